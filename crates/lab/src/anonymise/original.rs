//! What can be read of the evidence that was recorded, verified or not.

use assay_attest::{UnverifiedCertificate, UnverifiedExtension, UnverifiedObject};
use assay_recording::{Answer, Evidence};
use assay_simulator::{KeyType, evidence::oids};
use const_oid::db::rfc5912::{SECP_256_R_1, SECP_384_R_1};
use der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// The certificates, leaf first, as far as they can be decoded.
pub(super) struct Original {
    certificates: Vec<Option<UnverifiedCertificate>>,
}

impl Original {
    pub(super) fn read(evidence: &Evidence) -> Self {
        let certificates = match evidence {
            Evidence::Acme(acme) => match &acme.answer {
                Answer::DeviceError(_) => Vec::new(),
                Answer::Object(object) => UnverifiedObject::decode(object)
                    .map(|object| object.certificates)
                    .unwrap_or_default(),
            },
            Evidence::DeviceInformation(answer) => answer
                .certificates
                .iter()
                .map(|der| UnverifiedCertificate::decode(der))
                .collect(),
        };
        Self {
            certificates: certificates.into_iter().map(Result::ok).collect(),
        }
    }

    /// The leaf, where it can be decoded.
    pub(super) fn leaf(&self) -> Option<&UnverifiedCertificate> {
        self.certificates.first()?.as_ref()
    }

    /// How many certificates there are.
    pub(super) fn length(&self) -> usize {
        self.certificates.len()
    }

    /// Those that can be decoded.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &UnverifiedCertificate> {
        self.certificates.iter().flatten()
    }

    /// The leaf's serial numbers and UDIDs: one of each, unless it is forged.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.extensions(&[oids::SERIAL, oids::UDID])
            .filter_map(text_of)
    }

    /// Those of the leaf's texts that stay as they are.
    pub(super) fn kept(&self) -> impl Iterator<Item = &str> {
        self.extensions(&[
            oids::MODEL,
            oids::OS_VERSION,
            oids::SEPOS_VERSION,
            oids::LLB_VERSION,
            oids::SECURE_BOOT,
        ])
        .filter_map(text_of)
    }

    /// The leaf's freshness codes: one, unless it is forged.
    pub(super) fn codes(&self) -> impl Iterator<Item = &[u8]> {
        self.extensions(&[oids::FRESHNESS])
            .map(|extension| extension.value.as_slice())
            .filter(|code| !code.is_empty())
    }

    /// The kind of the leaf's key, where it is one that devices have.
    pub(super) fn key_type(&self) -> Option<KeyType> {
        let spki = SubjectPublicKeyInfoRef::from_der(&self.leaf()?.spki_der).ok()?;
        match spki.algorithm.parameters?.decode_as().ok()? {
            SECP_256_R_1 => Some(KeyType::P256),
            SECP_384_R_1 => Some(KeyType::P384),
            _ => None,
        }
    }

    fn extensions<'o>(
        &'o self,
        which: &'o [&str],
    ) -> impl Iterator<Item = &'o UnverifiedExtension> {
        let all = self.leaf().into_iter().flat_map(|leaf| &leaf.extensions);
        all.filter(|extension| which.contains(&extension.oid.as_str()))
    }
}

/// What a text says; `None` where it is blank or cannot be decoded.
pub(super) fn text_of(extension: &UnverifiedExtension) -> Option<&str> {
    matches!(extension.decoded, Ok(Some(_)))
        .then(|| std::str::from_utf8(&extension.value).ok())
        .flatten()
}
