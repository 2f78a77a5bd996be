//! A TLS certificate from files, which is reloaded when they change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use assay_proto::Timestamp;
use assay_server::TlsIdentity;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use tokio::time::{MissedTickBehavior, interval};

use super::check::{check_server, validity_of};
use crate::{
    certificates::pem_fault,
    config::UrlHost,
    files::{self, Stamp, stamp},
    now, permissions,
    sighup::Requests,
};

const CHECK: Duration = Duration::from_secs(1);

/// A certificate from two files.
#[derive(Clone)]
pub struct FileIdentity {
    pub identity: Arc<TlsIdentity>,
    certificate: PathBuf,
    key: PathBuf,
    /// The server's own certificate, DER.
    leaf: Vec<u8>,
    /// The state of the files before they were read.
    stamps: [Option<Stamp>; 2],
}

/// A chain and its key, not yet checked.
struct Pair {
    chain: Vec<Vec<u8>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl FileIdentity {
    /// Reads a certificate chain and its key, and checks that they match.
    pub fn read(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let stamps = [stamp(&certificate), stamp(&key)];
        let Pair { chain, key: der } = Pair::read(&certificate, &key)?;
        let leaf = chain.first().cloned().unwrap_or_default();
        let identity = TlsIdentity::new(chain, der.secret_pkcs8_der())
            .with_context(|| format!("{} and {}", certificate.display(), key.display()))?;
        Ok(Self {
            identity: Arc::new(identity),
            certificate,
            key,
            leaf,
            stamps,
        })
    }

    /// Checks that it can serve TLS now, for `host`.
    pub fn check(&self, host: &UrlHost) -> anyhow::Result<()> {
        check_server(&self.leaf, Some(host), Timestamp(now()))
            .with_context(|| format!("{}", self.certificate.display()))
    }

    /// When its certificate ends, if less than a tenth of its lifetime is left.
    pub fn ends_soon(&self, now: Timestamp) -> Option<Timestamp> {
        let (begin, end) = validity_of(&self.leaf).ok()?;
        let life = end.0.saturating_sub(begin.0);
        (end.0.saturating_sub(now.0) < life / 10).then_some(end)
    }

    /// Serves the content of the files, as they change and on SIGHUP. If the
    /// new pair is unusable, the old one remains. Runs until dropped.
    pub async fn watch(self, host: UrlHost, mut hangup: Requests) {
        let mut ticks = interval(CHECK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut served = self.stamps;
        let mut seen = served;
        let mut complaint = None;
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                _ = hangup.recv() => true,
            };
            let present = [stamp(&self.certificate), stamp(&self.key)];
            // Two files are not replaced atomically: they are read once they no
            // longer change.
            let at_rest = std::mem::replace(&mut seen, present) == present;
            if !asked && (present == served || !at_rest) {
                continue;
            }
            match self.renew(&host).await {
                Ok(()) => {
                    served = present;
                    complaint = None;
                    tracing::info!(event = "tls_reloaded", "TLS certificate read again");
                    if asked {
                        let path = self.certificate.display();
                        hangup.report(Ok(format!("the certificate of {path}")));
                    }
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    // The error contains the time; compare the files instead to
                    // detect the same error.
                    if asked || complaint != Some(present) {
                        tracing::error!(
                            event = "tls_refused",
                            %error,
                            "the new TLS certificate is unusable: the old one remains in use"
                        );
                    }
                    if asked {
                        hangup.report(Err(error));
                    }
                    complaint = Some(present);
                }
            }
        }
    }

    async fn renew(&self, host: &UrlHost) -> anyhow::Result<()> {
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        let read = tokio::task::spawn_blocking(move || Pair::read(&certificate, &key));
        let Pair { chain, key } = read.await??;
        let named = || format!("{}", self.certificate.display());
        let leaf = chain.first().map_or(&[][..], Vec::as_slice);
        check_server(leaf, Some(host), Timestamp(now())).with_context(named)?;
        let replaced = self.identity.replace(chain, key.secret_pkcs8_der());
        replaced.with_context(named)
    }
}

impl Pair {
    fn read(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let read = |path: &Path| files::read(path, files::SMALL);
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
            .map(|certificate| certificate.map(|der| der.to_vec()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| anyhow!(pem_fault(&error)))
            .with_context(|| format!("{}", certificate.display()))?;
        ensure!(
            !chain.is_empty(),
            "{} contains no certificate",
            certificate.display()
        );
        permissions::check_key(key)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&read(key)?);
        // Never show the error itself: it quotes the file, which may be a key.
        let der = der.map_err(|error| anyhow!(pem_fault(&error)));
        let key = der.with_context(|| {
            format!(
                "{} contains no PKCS #8 key; if it has another format: openssl pkcs8 -topk8 -nocrypt -in {0}",
                key.display()
            )
        })?;
        Ok(Self { chain, key })
    }
}
