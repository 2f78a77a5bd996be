//! Certificates and keys from files.

use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use assay_attest::TrustAnchor;
use assay_ca::{FileSigner, Issuer, Root, authority};
use rustls_pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};

use crate::{dir::Dir, files, permissions};

/// A CA that may sign, and whether its name says that it is a laboratory's.
pub fn load_issuer(dir: &Dir, name: &str) -> anyhow::Result<(Issuer, bool)> {
    let (certificate_path, key_path) = (dir.ca_certificate(name), dir.ca_key(name));
    let pem = files::read_text(&certificate_path, files::SMALL)?;
    let certificate =
        one_certificate(&pem).with_context(|| format!("{}", certificate_path.display()))?;
    // Whoever puts the root's pair here keeps its key on the server, too.
    let root = files::read_text(&dir.ca_certificate("root"), files::SMALL);
    let root = root.and_then(|pem| one_certificate(&pem));
    ensure!(
        root.ok().as_deref() != Some(&certificate[..]),
        "{} is the root's certificate, whose key stays off the server and signs no leaf: put the certificate and key of the CA \"{name}\" back, which `assay init` made",
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

/// The root that relying parties trust, `ca/root.pem`.
pub fn load_root(dir: &Dir) -> anyhow::Result<Root> {
    let path = dir.ca_certificate("root");
    let pem = files::read_text(&path, files::SMALL)?;
    one_certificate(&pem)
        .and_then(|der| Ok(Root::from_der(&der)?))
        .with_context(|| format!("{}", path.display()))
}

/// The root of an attestation authority of a laboratory's, PEM; it has the
/// file's name.
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

/// The one certificate in a PEM text, DER.
pub fn one_certificate(pem: &str) -> anyhow::Result<Vec<u8>> {
    let pem = pem.trim_start_matches('\u{feff}');
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    match (certificates.next(), certificates.next()) {
        (Some(Ok(certificate)), None) => Ok(certificate.to_vec()),
        (Some(Err(error)), _) => Err(anyhow!("not a PEM certificate: {}", pem_fault(&error))),
        (None, _) => Err(anyhow!("there is no PEM certificate in it")),
        (Some(Ok(_)), Some(_)) => Err(anyhow!("there is more than one certificate in it")),
    }
}

/// What is wrong with PEM, without the bytes that the library quotes.
pub fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::Base64Decode(_) => "its base64 is broken",
        pem::Error::IllegalSectionStart { .. } => "a line that begins a section is broken",
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it holds nothing of the kind",
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
