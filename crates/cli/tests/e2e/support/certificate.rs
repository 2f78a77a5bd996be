//! What was issued, and what is asked for, written and read by other tools than
//! the server's.

use std::{path::Path, process::Command};

use assay_simulator::{
    Device,
    evidence::{Extension, der},
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    certificate::X509Certificate,
    oid_registry::{OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_SUBJECT_ALT_NAME},
    prelude::FromDer,
};

/// A certificate as it was downloaded.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) url: String,
    pub(crate) der: Vec<u8>,
    pub(crate) chain_pem: String,
    pub(crate) spki: Vec<u8>,
    pub(crate) subject: String,
    /// The value of the subjectAltName extension.
    pub(crate) names: Option<Vec<u8>>,
    pub(crate) is_ca: bool,
    /// Seconds since the Unix epoch.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Certificate {
    pub(crate) fn read(url: String, chain_pem: &str) -> Self {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        let (rest, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
        assert_eq!(rest, b"");
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        assert!(
            leaf.get_extension_unique(&OID_X509_EXT_EXTENDED_KEY_USAGE)
                .is_ok()
        );
        let names = leaf
            .get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME)
            .unwrap();
        Self {
            spki: leaf.public_key().raw.to_vec(),
            subject: leaf.subject().to_string(),
            names: names.map(|extension| extension.value.to_vec()),
            is_ca: leaf.is_ca(),
            not_before: leaf.validity().not_before.timestamp(),
            not_after: leaf.validity().not_after.timestamp(),
            der: chain[0].to_vec(),
            chain_pem: chain_pem.to_owned(),
            url,
        }
    }
}

/// A CSR with the device's key: a subject, extensions, nothing else.
pub(crate) fn csr_with(
    device: &Device,
    common_name: Option<&str>,
    extensions: &[Extension],
) -> Vec<u8> {
    let key = KeyPair::from_pem(&device.key_pem()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.custom_extensions = extensions
        .iter()
        .map(|extension| {
            let arcs: Vec<u64> = extension
                .oid
                .split('.')
                .map(|arc| arc.parse().unwrap())
                .collect();
            CustomExtension::from_oid_content(&arcs, extension.value.clone())
        })
        .collect();
    params.serialize_request(&key).unwrap().der().to_vec()
}

/// A GeneralName that is a PermanentIdentifier (RFC 4043).
pub(crate) fn permanent_identifier(value: &str, assigner: Option<&str>) -> Vec<u8> {
    let mut fields = vec![der::element(0x0c, value.as_bytes())];
    fields.extend(assigner.map(der::oid));
    other_name("1.3.6.1.5.5.7.8.3", &der::sequence(&fields))
}

/// A GeneralName that is a HardwareModuleName (RFC 4108).
pub(crate) fn hardware_module(hw_type: &str, serial: &str) -> Vec<u8> {
    let fields = [der::oid(hw_type), der::element(0x04, serial.as_bytes())];
    other_name("1.3.6.1.5.5.7.8.4", &der::sequence(&fields))
}

fn other_name(type_id: &str, value: &[u8]) -> Vec<u8> {
    der::element(
        0xa0,
        &[der::oid(type_id), der::element(0xa0, value)].concat(),
    )
}

/// Runs openssl, which must be there and be content.
pub(crate) fn openssl(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("openssl is needed: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// That `openssl verify` leads the leaf at `certificate` to the root, over the
/// issuers at `untrusted`, for TLS clients.
pub(crate) fn verify_with_openssl(root: &Path, untrusted: &Path, certificate: &Path) {
    openssl(
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"])
            .arg(root)
            .arg("-untrusted")
            .arg(untrusted)
            .arg(certificate),
    );
}
