//! Stores the last certificate of the server's own TLS CA, with its key, in
//! `ca/serving.pem`. It serves responses while the index is rebuilt, when
//! nothing can be recorded and so nothing can be signed.

use std::{os::unix::fs::MetadataExt, path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use assay_ca::certificate_pem;
use assay_proto::Timestamp;
use assay_server::TlsIdentity;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::check::check_server;
use crate::{certificates::pem_fault, config::UrlHost, dir::Dir, files, now};

/// Stores the certificate chain (DER) and its key (PEM). A failure is only
/// logged, because only the next rebuild needs the file.
pub fn keep(dir: &Dir, chain: &[Vec<u8>], key_pem: &str) {
    let mut text = key_pem.to_owned();
    text.extend(chain.iter().filter_map(|der| certificate_pem(der)));
    let path = dir.serving();
    let name = path.file_name().unwrap_or_default();
    if let Err(error) = files::replace(&dir.ca(), name, text.as_bytes(), 0o600) {
        tracing::warn!(
            event = "tls_not_kept",
            path = %path.display(),
            %error,
            "cannot store the TLS certificate: responses during a rebuild of the index will use an untrusted one"
        );
    }
}

/// Loads the stored certificate, if it can serve `host` now and was issued by
/// the TLS CA with the certificate `ca` (DER).
pub fn read(dir: &Dir, ca: &[u8], host: &UrlHost) -> Option<Arc<TlsIdentity>> {
    let path = dir.serving();
    if !path.exists() {
        return None;
    }
    try_read(&path, ca, host, Timestamp(now()))
        .inspect_err(|error| {
            tracing::warn!(
                event = "tls_not_kept",
                path = %path.display(),
                error = %format!("{error:#}"),
                "the stored TLS certificate is unusable: responses use an untrusted one until the index is rebuilt"
            );
        })
        .ok()
}

fn try_read(
    path: &Path,
    ca: &[u8],
    host: &UrlHost,
    now: Timestamp,
) -> anyhow::Result<Arc<TlsIdentity>> {
    let mode = std::fs::metadata(path)?.mode();
    ensure!(
        mode & 0o077 == 0,
        "users other than its owner can read it (mode {:o})",
        mode & 0o777
    );
    let text = files::read(path, files::SMALL)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow::anyhow!(pem_fault(&error)))?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(&text)
        .map_err(|error| anyhow::anyhow!(pem_fault(&error)))?;
    let [leaf, issuer] = chain.as_slice() else {
        anyhow::bail!("it does not contain a certificate and its issuer's");
    };
    ensure!(issuer == ca, "another TLS CA issued it");
    check_server(leaf, Some(host), now)?;
    let identity = TlsIdentity::new(chain.clone(), key.secret_pkcs8_der());
    Ok(Arc::new(identity.context("its key does not match")?))
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa,
        KeyPair,
    };

    use super::*;

    const HOST: &str = "ca.example.org";

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn what_was_kept_serves_its_host_and_ca_while_it_is_valid_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Dir::new(dir.path());
        std::fs::create_dir(dir.ca()).unwrap();
        let (ca, key) = (authority(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &ca).unwrap();
        let chain = [leaf.der().to_vec(), ca.der().to_vec()];
        let host = UrlHost::Dns(HOST.to_owned());
        assert!(read(&dir, &chain[1], &host).is_none());
        keep(&dir, &chain, &key.serialize_pem());
        let path = dir.serving();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(read(&dir, &chain[1], &host).is_some());
        // Another CA, another host, another time, another key, a readable key.
        assert!(read(&dir, authority().der(), &host).is_none());
        let other = UrlHost::Dns("other.example.org".to_owned());
        assert!(read(&dir, &chain[1], &other).is_none());
        assert!(try_read(&path, &chain[1], &host, Timestamp(0)).is_err());
        keep(&dir, &chain, &KeyPair::generate().unwrap().serialize_pem());
        assert!(read(&dir, &chain[1], &host).is_none());
        keep(&dir, &chain, &key.serialize_pem());
        assert!(read(&dir, &chain[1], &host).is_some());
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(&path, open).unwrap();
        assert!(read(&dir, &chain[1], &host).is_none());
    }
}
