//! Shared helpers for tests of certificates.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]
#![allow(
    dead_code,
    reason = "each test binary compiles this module and uses a part of it"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use assay_ca::{
    FileSigner, Issuer, LeafTemplate, LeafUsage, SerialNumber, SubjectAltName, SubjectAttribute,
    authority::{self, Authority, AuthorityPlan, CaMaterial, Host, KeyType},
};
use tempfile::TempDir;

/// 2026-11-24T00:00:00Z.
pub(crate) const NOW: u64 = 1_795_478_400;
pub(crate) const DAY: u64 = 24 * 3600;

pub(crate) fn plan() -> AuthorityPlan {
    AuthorityPlan {
        name: "Example Corp".to_owned(),
        issuing_key: KeyType::P256,
        host: Host::Dns("acme.example.com".to_owned()),
        laboratory: false,
        now: NOW,
    }
}

pub(crate) fn authority(host: Host) -> Authority {
    authority::create(&AuthorityPlan { host, ..plan() }).unwrap()
}

pub(crate) fn issuer(material: &CaMaterial) -> Issuer {
    let signer = FileSigner::from_pkcs8_pem(&material.key_pem).unwrap();
    Issuer::new(&der(&material.certificate_pem), Box::new(signer)).unwrap()
}

pub(crate) fn der(pem: &str) -> Vec<u8> {
    let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).unwrap();
    assert_eq!(label, "CERTIFICATE");
    der
}

/// The SPKI of a new P-256 key.
pub(crate) fn spki() -> Vec<u8> {
    use p256::{SecretKey, elliptic_curve::Generate, pkcs8::EncodePublicKey};
    let key = SecretKey::generate().public_key();
    key.to_public_key_der().unwrap().into_vec()
}

/// A device certificate for one year, with a subject and without names.
pub(crate) fn leaf() -> LeafTemplate {
    LeafTemplate {
        spki_der: spki(),
        subject: vec![
            SubjectAttribute::Organization("Example Corp".to_owned()),
            SubjectAttribute::CommonName("device".to_owned()),
        ],
        names: Vec::new(),
        not_before: NOW,
        not_after: NOW + 365 * DAY,
        usage: LeafUsage::ClientAuth,
    }
}

pub(crate) fn server_leaf(name: SubjectAltName) -> LeafTemplate {
    LeafTemplate {
        subject: Vec::new(),
        names: vec![name],
        usage: LeafUsage::ServerAuth,
        ..leaf()
    }
}

pub(crate) fn serial() -> SerialNumber {
    SerialNumber::from_random([0xa5; 16])
}

/// Runs openssl in a temporary directory. Tests fail if openssl is not
/// installed.
pub(crate) struct OpenSsl(TempDir);

impl OpenSsl {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.run_with(arguments, &[])
    }

    /// `arguments` are split at spaces; `further` are not split.
    pub(crate) fn run_with(&self, arguments: &str, further: &[&str]) -> Output {
        Command::new("openssl")
            .args(arguments.split(' '))
            .args(further)
            .current_dir(self.path())
            .output()
            .expect("these tests need the openssl command")
    }

    /// Returns the standard output of a command that must succeed.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns the output of a command that must fail.
    pub(crate) fn fails(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "openssl {arguments} succeeded");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }
}
