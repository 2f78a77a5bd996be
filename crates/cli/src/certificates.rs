//! Loads certificates and keys from files.

use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use assay_attest::TrustAnchor;
use assay_ca::{FileSigner, Issuer, Root, authority};
use rustls_pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};

use crate::{dir::Dir, files, permissions};

/// Loads a CA that may sign, and whether its name carries the laboratory mark.
pub fn load_issuer(dir: &Dir, name: &str) -> anyhow::Result<(Issuer, bool)> {
    let (certificate_path, key_path) = (dir.ca_certificate(name), dir.ca_key(name));
    let pem = files::read_text(&certificate_path, files::SMALL)?;
    let certificate =
        one_certificate(&pem).with_context(|| format!("{}", certificate_path.display()))?;
    // If the root's pair is installed here, the root's key is on the server,
    // too.
    let root = files::read_text(&dir.ca_certificate("root"), files::SMALL);
    let root = root.and_then(|pem| one_certificate(&pem));
    ensure!(
        root.ok().as_deref() != Some(&certificate[..]),
        "{} is the root's certificate, whose key must stay off the server and signs no leaf: restore the certificate and key of the CA \"{name}\" that `assay init` created",
        certificate_path.display()
    );
    permissions::check_key(&key_path)?;
    let key = files::read_text(&key_path, files::SMALL)?;
    let signer =
        FileSigner::from_pkcs8_pem(&key).with_context(|| format!("{}", key_path.display()))?;
    let issuer = Issuer::new(&certificate, Box::new(signer))
        .with_context(|| format!("{}", certificate_path.display()))?;
    Ok((issuer, authority::is_laboratory(&certificate)))
}

/// Loads the root that relying parties trust, `ca/root.pem`.
pub fn load_root(dir: &Dir) -> anyhow::Result<Root> {
    let path = dir.ca_certificate("root");
    let pem = files::read_text(&path, files::SMALL)?;
    one_certificate(&pem)
        .and_then(|der| Ok(Root::from_der(&der)?))
        .with_context(|| format!("{}", path.display()))
}

/// Loads the root of a laboratory's attestation authority, PEM; it is named
/// after the file.
pub fn load_laboratory_root(path: &Path) -> anyhow::Result<TrustAnchor> {
    let pem = files::read_text(path, files::SMALL)?;
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let root = one_certificate(&pem)
        .and_then(|der| Ok(TrustAnchor::laboratory(&der, &name)?))
        .with_context(|| format!("{}", path.display()))?;
    Ok(root)
}

/// Returns the only certificate in a PEM text, DER.
pub fn one_certificate(pem: &str) -> anyhow::Result<Vec<u8>> {
    let pem = pem.trim_start_matches('\u{feff}');
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    match (certificates.next(), certificates.next()) {
        (Some(Ok(certificate)), None) => Ok(certificate.to_vec()),
        (Some(Err(error)), _) => Err(anyhow!("not a PEM certificate: {}", pem_fault(&error))),
        (None, _) => Err(anyhow!("the file contains no PEM certificate")),
        (Some(Ok(_)), Some(_)) => Err(anyhow!("the file contains more than one certificate")),
    }
}

/// Describes a PEM error without the bytes that the library quotes.
pub fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::Base64Decode(_) => "its base64 is invalid",
        pem::Error::IllegalSectionStart { .. } => "a line that begins a section is invalid",
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it contains no such section",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_before_a_certificate_is_skipped() {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let marked = format!("\u{feff}{}", made.pem());
        assert_eq!(one_certificate(&marked).unwrap(), made.der().to_vec());
    }
}
