//! X.509 certificates (RFC 5280), built field by field without checks.

use rcgen::SigningKey;

use super::der;
use crate::authority::AuthorityError;

/// AlgorithmIdentifiers in DER.
pub mod algorithm {
    use super::der;

    /// ecdsa-with-SHA256 (RFC 5758 section 3.2).
    #[must_use]
    pub fn ecdsa_sha256() -> Vec<u8> {
        der::sequence(&[der::oid("1.2.840.10045.4.3.2")])
    }

    /// ecdsa-with-SHA384 (RFC 5758 section 3.2).
    #[must_use]
    pub fn ecdsa_sha384() -> Vec<u8> {
        der::sequence(&[der::oid("1.2.840.10045.4.3.3")])
    }
}

/// An extension. Identifiers may repeat, values may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The identifier in dotted form.
    pub oid: String,
    /// Whether it is marked critical.
    pub critical: bool,
    /// The content of the OCTET STRING.
    pub value: Vec<u8>,
}

impl Extension {
    /// An extension that is not critical.
    #[must_use]
    pub fn new(oid: &str, value: &[u8]) -> Self {
        Self {
            oid: oid.to_owned(),
            critical: false,
            value: value.to_owned(),
        }
    }

    /// Marks the extension critical.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.critical = true;
        self
    }

    /// keyUsage (RFC 5280 section 4.2.1.3), critical. `bits` is the content of the BIT STRING,
    /// starting with the count of unused bits.
    #[must_use]
    pub fn key_usage(bits: &[u8]) -> Self {
        Self::new("2.5.29.15", &der::element(0x03, bits)).critical()
    }

    /// basicConstraints (RFC 5280 section 4.2.1.9), critical.
    #[must_use]
    pub fn basic_constraints(ca: bool, path_length: Option<u64>) -> Self {
        let mut fields = Vec::new();
        if ca {
            fields.push(der::element(0x01, &[0xff]));
        }
        fields.extend(path_length.map(der::integer));
        Self::new("2.5.29.19", &der::sequence(&fields)).critical()
    }

    /// subjectKeyIdentifier (RFC 5280 section 4.2.1.2).
    #[must_use]
    pub fn subject_key_identifier(identifier: &[u8]) -> Self {
        Self::new("2.5.29.14", &der::element(0x04, identifier))
    }

    /// authorityKeyIdentifier (RFC 5280 section 4.2.1.1), keyIdentifier only.
    #[must_use]
    pub fn authority_key_identifier(identifier: &[u8]) -> Self {
        Self::new(
            "2.5.29.35",
            &der::sequence(&[der::element(0x80, identifier)]),
        )
    }

    fn encode(&self) -> Vec<u8> {
        let mut fields = vec![der::oid(&self.oid)];
        if self.critical {
            fields.push(der::element(0x01, &[0xff]));
        }
        fields.push(der::element(0x04, &self.value));
        der::sequence(&fields)
    }
}

/// The fields of a certificate. Encoded fields (names, key, algorithms) are copied unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTemplate {
    /// The number in the version field: 2 means v3; `None` omits the field (v1).
    pub version: Option<u64>,
    /// The content of the serial number's INTEGER.
    pub serial: Vec<u8>,
    /// The `signature` field inside the TBSCertificate.
    pub inner_algorithm: Vec<u8>,
    /// The `signatureAlgorithm` outside the TBSCertificate.
    pub outer_algorithm: Vec<u8>,
    /// The issuer's name in DER.
    pub issuer: Vec<u8>,
    /// Start of validity, seconds since the Unix epoch.
    pub not_before: u64,
    /// End of validity, seconds since the Unix epoch.
    pub not_after: u64,
    /// The subject's name in DER.
    pub subject: Vec<u8>,
    /// The SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
    /// The extensions, in this order. If empty, the field is omitted.
    pub extensions: Vec<Extension>,
}

impl CertificateTemplate {
    /// The TBSCertificate in DER, which the signature covers.
    #[must_use]
    pub fn tbs(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        if let Some(version) = self.version {
            fields.push(der::element(0xa0, &der::integer(version)));
        }
        fields.extend([
            der::element(0x02, &self.serial),
            self.inner_algorithm.clone(),
            self.issuer.clone(),
            der::sequence(&[der::time(self.not_before), der::time(self.not_after)]),
            self.subject.clone(),
            self.spki.clone(),
        ]);
        if !self.extensions.is_empty() {
            let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::encode).collect();
            fields.push(der::element(0xa3, &der::sequence(&extensions)));
        }
        der::sequence(&fields)
    }

    /// The certificate in DER, with an existing signature.
    #[must_use]
    pub fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        der::sequence(&[
            self.tbs(),
            self.outer_algorithm.clone(),
            der::bit_string(signature),
        ])
    }

    /// The certificate in DER, signed with `key`. The key determines the signature algorithm,
    /// whatever the template's fields say.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, key: &impl SigningKey) -> Result<Vec<u8>, AuthorityError> {
        Ok(self.with_signature(&key.sign(&self.tbs())?))
    }

    /// The first extension with this identifier, to be changed in place.
    pub fn extension_mut(&mut self, oid: &str) -> Option<&mut Extension> {
        self.extensions
            .iter_mut()
            .find(|extension| extension.oid == oid)
    }

    /// Replaces the value of the first extension with this identifier; if there is none, adds one
    /// that is not critical.
    pub fn set_extension(&mut self, oid: &str, value: &[u8]) {
        match self.extension_mut(oid) {
            Some(extension) => extension.value = value.to_owned(),
            None => self.extensions.push(Extension::new(oid, value)),
        }
    }

    /// Removes every extension with this identifier.
    pub fn remove_extension(&mut self, oid: &str) {
        self.extensions.retain(|extension| extension.oid != oid);
    }
}
