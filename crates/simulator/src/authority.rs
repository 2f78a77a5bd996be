//! A simulated attestation authority: a root, an intermediate and leaves with the same structure as
//! Apple's Enterprise Attestation hierarchy, but with names that cannot be confused with Apple's.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use data_encoding::{BASE64, HEXLOWER};
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::{
    evidence::{CertificateTemplate, DeviceProperties, Evidence, Extension, algorithm, der},
    key::{Key, KeyType},
};

const DAY: u64 = 86_400;

/// Why an attestation authority could not be created, stored or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file of the authority could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A key could not be generated, read or used.
    #[error("attestation authority key: {0}")]
    Key(#[from] rcgen::Error),
    /// A key does not match the certificate beside it.
    #[error("{0}: this key does not match the certificate beside it")]
    ForeignKey(PathBuf),
    /// A certificate file contains no PEM certificate.
    #[error("{0}: the file contains no PEM certificate")]
    NoCertificate(PathBuf),
}

/// The keys and certificates of a root and an intermediate. The holder can attest any device under
/// this root.
pub struct AttestationAuthority {
    root_key: Key,
    root_der: Vec<u8>,
    root_pem: String,
    sub_key: Key,
    sub_der: Vec<u8>,
}

impl AttestationAuthority {
    /// Generates new keys (P-384, like Apple's) and their certificates. `now` is in seconds since
    /// the Unix epoch. Both certificates are valid from one day earlier, the root for 25 years, the
    /// intermediate for 10.
    ///
    /// # Errors
    /// Key generation fails.
    pub fn create(now: u64) -> Result<Self, AuthorityError> {
        Self::certify(
            Key::random(KeyType::P384)?,
            Key::random(KeyType::P384)?,
            now,
        )
    }

    /// Derives an authority from a seed of any length, for evidence that can be reproduced byte for
    /// byte: the keys are derived from the seed and sign by RFC 6979. The same seed and `now` give
    /// the same authority. Anyone who knows the seed can attest any device.
    ///
    /// # Errors
    /// A library refuses the keys.
    pub fn from_seed(seed: &[u8], now: u64) -> Result<Self, AuthorityError> {
        Self::certify(
            Key::from_seed(KeyType::P384, "attestation root", seed)?,
            Key::from_seed(KeyType::P384, "attestation intermediate", seed)?,
            now,
        )
    }

    /// An authority with the same names and other keys, which no verifier trusts. Only the holder
    /// of this authority can derive it.
    ///
    /// # Errors
    /// A library refuses the keys.
    pub fn impostor(&self, now: u64) -> Result<Self, AuthorityError> {
        Self::certify(
            self.root_key.derive(KeyType::P384, "stranger root")?,
            self.sub_key
                .derive(KeyType::P384, "stranger intermediate")?,
            now,
        )
    }

    /// Makes the authority sign deterministically (RFC 6979): the same message always gives the
    /// same signature bytes.
    ///
    /// # Errors
    /// A key is neither on P-256 nor on P-384.
    pub fn deterministic(self) -> Result<Self, AuthorityError> {
        Ok(Self {
            root_key: self.root_key.deterministic()?,
            sub_key: self.sub_key.deterministic()?,
            ..self
        })
    }

    fn certify(root_key: Key, sub_key: Key, now: u64) -> Result<Self, AuthorityError> {
        let root_der = root_template(&root_key, now).sign(&root_key)?;
        let sub_der = sub_template(&root_key, &sub_key, now).sign(&root_key)?;
        Ok(Self::assemble(root_key, root_der, sub_key, sub_der))
    }

    /// Writes `root.pem`, `root.key`, `sub.pem` and `sub.key`, the keys with mode 0600. Creates
    /// `dir` if it does not exist.
    ///
    /// # Errors
    /// A file cannot be written, or exists already: nothing is overwritten.
    pub fn save(&self, dir: &Path) -> Result<(), AuthorityError> {
        fs::create_dir_all(dir).map_err(|source| file_error(dir.to_owned(), source))?;
        write_new(dir.join("root.key"), &self.root_key.to_pem(), 0o600)?;
        write_new(dir.join("sub.key"), &self.sub_key.to_pem(), 0o600)?;
        write_new(dir.join("root.pem"), &self.root_pem, 0o644)?;
        write_new(dir.join("sub.pem"), &pem(&self.sub_der), 0o644)
    }

    /// Reads the files that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// A file cannot be read or has another content than its name says.
    pub fn load(dir: &Path) -> Result<Self, AuthorityError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).map_err(|source| file_error(path, source))
        };
        let certificate = |name: &str| {
            CertificateDer::from_pem_slice(read(name)?.as_bytes())
                .map(|der| der.to_vec())
                .map_err(|_| AuthorityError::NoCertificate(dir.join(name)))
        };
        let pair = |name: &str| {
            let key_name = format!("{name}.key");
            let key = Key::from(KeyPair::from_pem(&read(&key_name)?)?);
            let der = certificate(&format!("{name}.pem"))?;
            let spki = key.subject_public_key_info();
            if der.windows(spki.len()).any(|bytes| bytes == spki) {
                Ok((key, der))
            } else {
                Err(AuthorityError::ForeignKey(dir.join(key_name)))
            }
        };
        let ((root_key, root_der), (sub_key, sub_der)) = (pair("root")?, pair("sub")?);
        Ok(Self::assemble(root_key, root_der, sub_key, sub_der))
    }

    fn assemble(root_key: Key, root_der: Vec<u8>, sub_key: Key, sub_der: Vec<u8>) -> Self {
        Self {
            root_pem: pem(&root_der),
            root_key,
            root_der,
            sub_key,
            sub_der,
        }
    }

    /// The root certificate in DER, to configure as the trust anchor.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// The root certificate in PEM.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The intermediate certificate in DER.
    #[must_use]
    pub fn sub_der(&self) -> &[u8] {
        &self.sub_der
    }

    /// The root's key, to forge certificates of the root.
    #[must_use]
    pub fn root_key(&self) -> &Key {
        &self.root_key
    }

    /// The intermediate's key, to forge leaves.
    #[must_use]
    pub fn sub_key(&self) -> &Key {
        &self.sub_key
    }

    /// Attests a device: signs a leaf for its public key (SubjectPublicKeyInfo in DER) with its
    /// properties and the freshness code, and returns the leaf and the intermediate. `now` is in
    /// seconds since the Unix epoch.
    ///
    /// # Errors
    /// The intermediate's key cannot sign.
    pub fn attest(
        &self,
        properties: &DeviceProperties,
        spki_der: &[u8],
        freshness: &[u8],
        now: u64,
    ) -> Result<Evidence, AuthorityError> {
        let leaf = self.leaf_template(properties, spki_der, freshness, now);
        Ok(Evidence {
            chain: vec![leaf.sign(&self.sub_key)?, self.sub_der.clone()],
        })
    }

    /// The fields of the leaf that [`attest`](Self::attest) signs: a subject CN of 64 hexadecimal
    /// digits, a millisecond timestamp as serial number, valid from one day before `now` until 90
    /// days after; basicConstraints and keyUsage critical; no key identifiers and no extended key
    /// usage.
    #[must_use]
    pub fn leaf_template(
        &self,
        properties: &DeviceProperties,
        spki_der: &[u8],
        freshness: &[u8],
        now: u64,
    ) -> CertificateTemplate {
        let digest = Sha256::digest(spki_der);
        // The milliseconds are derived from the key, so that two leaves of the same second have
        // different serial numbers.
        let milliseconds = u64::from(digest[0]) * 256 + u64::from(digest[1]);
        let mut extensions = vec![
            Extension::basic_constraints(false, None),
            // digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment
            Extension::key_usage(&[4, 0xf0]),
        ];
        extensions.extend(properties.extensions(freshness));
        CertificateTemplate {
            version: Some(2),
            serial: (now * 1000 + milliseconds % 1000).to_be_bytes()[2..].to_vec(),
            inner_algorithm: algorithm::ecdsa_sha384(),
            outer_algorithm: algorithm::ecdsa_sha384(),
            issuer: sub_name(),
            not_before: now.saturating_sub(DAY),
            not_after: now + 90 * DAY,
            subject: der::sequence(&[
                attribute("2.5.4.3", 0x0c, &HEXLOWER.encode(&digest)),
                attribute("2.5.4.11", 0x0c, "AAA Certification"),
                attribute("2.5.4.10", 0x0c, "Apple Inc."),
            ]),
            spki: spki_der.to_owned(),
            extensions,
        }
    }

    /// The fields of the intermediate with its own key, to be modified and signed again.
    #[must_use]
    pub fn sub_template(&self, now: u64) -> CertificateTemplate {
        sub_template(&self.root_key, &self.sub_key, now)
    }
}

fn root_template(key: &Key, now: u64) -> CertificateTemplate {
    let spki = key.subject_public_key_info();
    CertificateTemplate {
        version: Some(2),
        serial: serial(&spki),
        inner_algorithm: algorithm::ecdsa_sha384(),
        outer_algorithm: algorithm::ecdsa_sha384(),
        issuer: root_name(),
        not_before: now.saturating_sub(DAY),
        not_after: now + 25 * 365 * DAY,
        subject: root_name(),
        extensions: vec![
            Extension::basic_constraints(true, None),
            Extension::subject_key_identifier(&key_identifier(&spki)),
            // keyCertSign, cRLSign
            Extension::key_usage(&[1, 6]),
        ],
        spki,
    }
}

fn sub_template(root: &Key, key: &Key, now: u64) -> CertificateTemplate {
    let spki = key.subject_public_key_info();
    CertificateTemplate {
        serial: serial(&spki),
        issuer: root_name(),
        not_after: now + 10 * 365 * DAY,
        subject: sub_name(),
        extensions: vec![
            Extension::basic_constraints(true, Some(0)),
            Extension::authority_key_identifier(&key_identifier(&root.subject_public_key_info())),
            Extension::subject_key_identifier(&key_identifier(&spki)),
            Extension::key_usage(&[1, 6]),
        ],
        spki,
        ..root_template(root, now)
    }
}

fn root_name() -> Vec<u8> {
    authority_name("Laboratory Attestation Root CA")
}

fn sub_name() -> Vec<u8> {
    authority_name("Laboratory Attestation Sub CA 1")
}

/// Common name, organization and country, with the order and string types of Apple's root. ISO 3166
/// assigns ZZ to no country.
pub(crate) fn authority_name(common_name: &str) -> Vec<u8> {
    der::sequence(&[
        attribute("2.5.4.3", 0x0c, common_name),
        attribute("2.5.4.10", 0x0c, "Assay Laboratory"),
        attribute("2.5.4.6", 0x13, "ZZ"),
    ])
}

/// One relative distinguished name with one attribute; `tag` is its string
/// type: 0x0c UTF8String, 0x13 PrintableString.
fn attribute(oid: &str, tag: u8, value: &str) -> Vec<u8> {
    let pair = der::sequence(&[der::oid(oid), der::element(tag, value.as_bytes())]);
    der::element(0x31, &pair)
}

/// 20 bytes, positive, and different for each key.
fn serial(spki: &[u8]) -> Vec<u8> {
    let mut bytes = Sha256::digest(spki)[..20].to_vec();
    bytes[0] = bytes[0] & 0x3f | 0x40;
    bytes
}

/// RFC 7093 section 2, method 1: the leftmost 160 bits of the SHA-256.
fn key_identifier(spki: &[u8]) -> Vec<u8> {
    Sha256::digest(spki)[..20].to_vec()
}

fn pem(der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for start in (0..base64.len()).step_by(64) {
        out.push_str(&base64[start..base64.len().min(start + 64)]);
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

fn write_new(path: PathBuf, text: &str, mode: u32) -> Result<(), AuthorityError> {
    use std::os::unix::fs::OpenOptionsExt;

    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| file_error(path, source))
}

fn file_error(path: PathBuf, source: io::Error) -> AuthorityError {
    AuthorityError::File { path, source }
}

#[cfg(test)]
mod tests;
