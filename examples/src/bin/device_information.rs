//! What an MDM server does with a device's answer to the DeviceInformation
//! query `DevicePropertiesAttestation`: is it from this device, and how fresh is it?
//!
//! ```text
//! cargo run -p assay-examples --bin device_information -- \
//!     ANSWER.plist SERIAL UNIX_TIME ROOT_DER|apple NONCE_HEX@SENT...
//! ```
//!
//! `NONCE_HEX@SENT` is each `DeviceAttestationNonce` that the server sent to
//! this device, and the Unix time at which it did.

use std::{env, fs, io::Write, process::ExitCode};

use anyhow::{Context as _, bail};
use assay_attest::{Attribute, DeviceInformation, RustCrypto, SentNonce, TrustAnchor, Verifier};

fn main() -> ExitCode {
    match run() {
        Ok(DeviceInformation {
            device, freshness, ..
        }) => {
            let text = format!(
                "{} attestation of {}: OS {}, SIP {}, secure boot {}\n",
                freshness.as_str(),
                device.serial,
                device.os_version,
                device.sip,
                device.secure_boot,
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

fn run() -> anyhow::Result<DeviceInformation> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [answer, serial, time, root, sent @ ..] = arguments.as_slice() else {
        bail!(
            "usage: device_information ANSWER.plist SERIAL UNIX_TIME ROOT_DER|apple NONCE_HEX@SENT..."
        );
    };
    let now = time.parse().context("the time is in seconds since 1970")?;
    let anchor = match root.as_str() {
        "apple" => TrustAnchor::apple(),
        path => TrustAnchor::laboratory(&fs::read(path)?, path)?,
    };
    let verifier = Verifier::new(vec![anchor], Box::new(RustCrypto));

    // The server's own record of this device.
    let nonces = sent
        .iter()
        .map(|text| nonce(text))
        .collect::<Result<Vec<_>, _>>()?;

    let answer =
        plist::Value::from_file(answer).with_context(|| format!("cannot read {answer}"))?;
    let certificates =
        certificates(&answer).context("the answer has no DevicePropertiesAttestation")?;
    let answer = verifier
        .verify_device_information(&certificates, &nonces, now)
        .context("refused")?;
    answer.device.check_identity(Attribute::Serial, serial)?;
    Ok(answer)
}

fn nonce(text: &str) -> anyhow::Result<SentNonce> {
    let (nonce, sent) = text.split_once('@').context("a nonce is NONCE_HEX@SENT")?;
    Ok(SentNonce::new(&hex::decode(nonce)?, sent.parse()?)?)
}

/// The array `QueryResponses.DevicePropertiesAttestation`: DER, leaf first.
fn certificates(answer: &plist::Value) -> Option<Vec<&[u8]>> {
    let responses = answer.as_dictionary()?.get("QueryResponses")?;
    let array = responses
        .as_dictionary()?
        .get("DevicePropertiesAttestation")?;
    array
        .as_array()?
        .iter()
        .map(plist::Value::as_data)
        .collect()
}
