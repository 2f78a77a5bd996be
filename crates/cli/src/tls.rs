//! The server's TLS termination: a certificate from files, or from its own TLS
//! CA, renewed while running.

pub mod check;
pub mod command;
mod files;
pub mod kept;

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use assay_ca::{Issuer, authority};
use assay_engine::Engine;
use assay_proto::Timestamp;
use assay_server::TlsIdentity;
use rcgen::{KeyPair, PublicKeyData};

pub use files::FileIdentity;

use crate::{config::BaseUrl, dir::Dir};

/// How long to wait after a failed renewal.
const RETRY: Duration = Duration::from_secs(300);
/// The longest sleep, because the server's time may be adjusted to the clock
/// meanwhile.
const CHECK: Duration = Duration::from_secs(60);

/// Where TLS ends, and with which certificate.
#[derive(Clone)]
pub enum TlsEnd {
    /// Here, with a certificate from files.
    Files(FileIdentity),
    /// At a proxy in front.
    Off,
    /// Here, with a certificate of the server's own TLS CA.
    OwnCa,
}

impl TlsEnd {
    /// Checks that this server may serve TLS for `base_url`.
    pub fn check_host(&self, issuer: Option<&Issuer>, base_url: &BaseUrl) -> anyhow::Result<()> {
        if let Self::Files(files) = self {
            return files.check(base_url.host());
        }
        let Some(issuer) = issuer else {
            return Ok(());
        };
        let host = base_url.host();
        ensure!(
            authority::is_constrained_to(issuer.certificate_der(), &host.for_certificate()),
            "the TLS CA may not certify {host}, the host of the base URL: its name constraints were set by init; \
             make a TLS CA for that host with `assay tls host {host} --root-key FILE`, or give server.base_url the host of init, \
             or use tls = \"files\" or \"off\"",
        );
        Ok(())
    }
}

/// A certificate that this server issued to itself, and when to issue the next.
pub struct OwnIdentity {
    pub identity: Arc<TlsIdentity>,
    renew_at: Timestamp,
    /// Where the certificate is stored.
    dir: Dir,
}

impl OwnIdentity {
    /// Issues the first certificate for `host`, and stores it in `dir`.
    pub async fn issue(engine: &Engine, host: &str, dir: &Dir) -> anyhow::Result<Self> {
        let (chain, key, renew_at) = issue(engine, host, dir).await?;
        Ok(Self {
            identity: Arc::new(TlsIdentity::new(chain, &key)?),
            renew_at,
            dir: dir.clone(),
        })
    }

    /// Renews the certificate in time, indefinitely.
    pub async fn renew(mut self, engine: Arc<Engine>, host: String) {
        loop {
            let left = self.renew_at.0.saturating_sub(engine.now().0);
            if left > 0 {
                tokio::time::sleep(Duration::from_secs(left).min(CHECK)).await;
                continue;
            }
            let renewed = match issue(&engine, &host, &self.dir).await {
                Ok((chain, key, renew_at)) => self
                    .identity
                    .replace(chain, &key)
                    .map(|()| renew_at)
                    .map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match renewed {
                Ok(renew_at) => {
                    tracing::info!(event = "tls_renewed", %renew_at, "TLS certificate renewed");
                    self.renew_at = renew_at;
                }
                Err(error) => {
                    tracing::error!(event = "tls_renewal_failed", error = %format!("{error:#}"), "TLS certificate not renewed; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Creates an untrusted certificate, for responses before the server can issue
/// its own: a supervisor that does not verify it can see that the process is
/// alive.
pub fn throw_away() -> anyhow::Result<Arc<TlsIdentity>> {
    let made = rcgen::generate_simple_self_signed(["starting.invalid".to_owned()])?;
    let chain = vec![made.cert.der().to_vec()];
    let identity = TlsIdentity::new(chain, &made.signing_key.serialize_der())?;
    Ok(Arc::new(identity))
}

/// A certificate chain (DER), its key (PKCS #8) and when to issue the next.
async fn issue(
    engine: &Engine,
    host: &str,
    dir: &Dir,
) -> anyhow::Result<(Vec<Vec<u8>>, Vec<u8>, Timestamp)> {
    let key = KeyPair::generate()?;
    let certificate = engine
        .issue_server_certificate(&key.subject_public_key_info(), host)
        .await?;
    kept::keep(dir, &certificate.chain, &key.serialize_pem());
    Ok((certificate.chain, key.serialize_der(), certificate.renew_at))
}
