//! Verifies one attestation object, without a server: which device has the
//! key, and since when does a root vouch for it?
//!
//! ```text
//! cargo run -p assay-examples --bin verify_evidence -- OBJECT FRESHNESS_HEX UNIX_TIME [ROOT_DER]
//! ```
//!
//! Without `ROOT_DER` the object must be Apple's.

use std::{env, fs, io::Write, process::ExitCode};

use anyhow::{Context as _, bail};
use assay_attest::{AttestedDevice, RustCrypto, TrustAnchor, Verifier};

fn main() -> ExitCode {
    match run() {
        Ok(device) => {
            let text = format!(
                "serial   {}\nUDID     {}\nkey      {:?} {}\nroot     {}\n",
                device.serial,
                device.udid,
                device.key,
                hex::encode(device.spki_sha256),
                device.root_name,
            );
            match std::io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            // Nothing can be said when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<AttestedDevice> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (object, freshness, time, root) = match arguments.as_slice() {
        [object, freshness, time] => (object, freshness, time, None),
        [object, freshness, time, root] => (object, freshness, time, Some(root)),
        _ => bail!("usage: verify_evidence OBJECT FRESHNESS_HEX UNIX_TIME [ROOT_DER]"),
    };
    let object = fs::read(object).with_context(|| format!("cannot read {object}"))?;
    // For ACME: the SHA-256 of the challenge's token.
    let freshness: [u8; 32] = hex::decode(freshness)?
        .try_into()
        .ok()
        .context("the freshness code must have 32 bytes")?;
    let now = time.parse().context("the time is in seconds since 1970")?;
    let anchor = match root {
        None => TrustAnchor::apple(),
        Some(path) => TrustAnchor::laboratory(&fs::read(path)?, path)?,
    };
    let verifier = Verifier::new(vec![anchor], Box::new(RustCrypto));
    verifier
        .verify_object(&object, &freshness, now)
        .context("refused")
}
