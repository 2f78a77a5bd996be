//! The input and the output of a forgery.

use rcgen::PublicKeyData;

use crate::{
    authority::{AttestationAuthority, AuthorityError, authority_name},
    device::Device,
    evidence::{Cbor, CertificateTemplate, DeviceProperties, Evidence, Extension},
    key::{Key, KeyType},
};

/// The input of a forgery: authority, device and challenge. The same input gives the same bytes, if
/// the authority and the device sign deterministically.
#[derive(Clone)]
pub struct Forger<'a> {
    /// The attestation authority.
    pub authority: &'a AttestationAuthority,
    /// The device whose properties and key the evidence states.
    pub device: &'a Device,
    /// The freshness code of valid evidence: SHA-256 of the token, or the nonce of a
    /// DeviceInformation query.
    pub freshness: Vec<u8>,
    /// The challenge's key authorization (RFC 8555 section 8.1), which valid evidence does not
    /// cover.
    pub key_authorization: String,
    /// The time of all certificates, in seconds since the Unix epoch.
    pub now: u64,
}

/// Evidence, valid or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// A certificate chain, leaf first, for both of Apple's protocols.
    Chain(Vec<Vec<u8>>),
    /// The bytes to send instead of an attestation object.
    Object(Vec<u8>),
}

impl Forgery {
    /// The attestation object.
    #[must_use]
    pub fn attestation_object(&self) -> Vec<u8> {
        match self {
            Self::Chain(chain) => Evidence {
                chain: chain.clone(),
            }
            .attestation_object(),
            Self::Object(object) => object.clone(),
        }
    }

    /// The certificates, leaf first, if the forgery is only a chain.
    #[must_use]
    pub fn chain(&self) -> Option<&[Vec<u8>]> {
        match self {
            Self::Chain(chain) => Some(chain),
            Self::Object(_) => None,
        }
    }
}

/// Why evidence could not be forged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// The authority failed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The fault is in the requests.
    #[error(
        "{name} is a fault of the requests, not of the evidence: only an enrolment can show it"
    )]
    InTheRequests {
        /// The fault.
        name: &'static str,
    },
    /// A key failed.
    #[error("key: {0}")]
    Key(#[from] rcgen::Error),
    /// The fault would leave this device's evidence valid.
    #[error("{name} changes nothing about this device: give it another serial number or UDID")]
    NoDifference {
        /// The fault.
        name: &'static str,
    },
}

impl Forger<'_> {
    /// The leaf of valid evidence, to be modified.
    #[must_use]
    pub fn leaf(&self) -> CertificateTemplate {
        self.leaf_of(&self.device.properties)
    }

    /// The leaf for other properties than the device's.
    #[must_use]
    pub fn leaf_of(&self, properties: &DeviceProperties) -> CertificateTemplate {
        let spki = self.device.spki_der();
        self.authority
            .leaf_template(properties, &spki, &self.freshness, self.now)
    }

    /// The leaf of valid evidence, signed.
    ///
    /// # Errors
    /// The authority's key cannot sign.
    pub fn good_leaf(&self) -> Result<Vec<u8>, ForgeError> {
        Ok(self.leaf().sign(self.authority.sub_key())?)
    }

    /// The chain of valid evidence.
    ///
    /// # Errors
    /// The authority's key cannot sign.
    pub fn good_chain(&self) -> Result<Vec<Vec<u8>>, ForgeError> {
        self.chain_of(&self.leaf())
    }

    /// The leaf, signed by the intermediate, and the intermediate.
    ///
    /// # Errors
    /// The authority's key cannot sign.
    pub fn chain_of(&self, leaf: &CertificateTemplate) -> Result<Vec<Vec<u8>>, ForgeError> {
        Ok(vec![
            leaf.sign(self.authority.sub_key())?,
            self.authority.sub_der().to_vec(),
        ])
    }

    /// A chain with one more CA than Apple's. The upper CA has this path length.
    ///
    /// # Errors
    /// A key cannot be made or cannot sign.
    pub fn deeper_chain(&self, path_length: Option<u64>) -> Result<Vec<Vec<u8>>, ForgeError> {
        let sub_key = self.authority.sub_key();
        let lower_key: Key = sub_key.derive(KeyType::P384, "lower intermediate")?;
        let mut upper = self.authority.sub_template(self.now);
        upper.remove_extension(BASIC_CONSTRAINTS);
        let constraints = Extension::basic_constraints(true, path_length);
        upper.extensions.insert(0, constraints);
        let mut lower = self.authority.sub_template(self.now);
        lower.issuer.clone_from(&upper.subject);
        lower.subject = other_sub_name();
        lower.spki = lower_key.subject_public_key_info();
        lower.remove_extension(AUTHORITY_KEY_IDENTIFIER);
        lower.remove_extension(SUBJECT_KEY_IDENTIFIER);
        let mut leaf = self.leaf();
        leaf.issuer.clone_from(&lower.subject);
        Ok(vec![
            leaf.sign(&lower_key)?,
            lower.sign(sub_key)?,
            upper.sign(self.authority.root_key())?,
        ])
    }

    /// The statement `{"x5c": [..]}` of valid evidence.
    pub(super) fn statement(&self) -> Result<Cbor, ForgeError> {
        let chain = self.good_chain()?;
        Ok(Evidence { chain }.statement())
    }
}

pub(super) const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
pub(super) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(super) const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";

/// The name of an intermediate that does not belong to the authority.
pub(super) fn other_sub_name() -> Vec<u8> {
    authority_name("Laboratory Attestation Sub CA 2")
}
