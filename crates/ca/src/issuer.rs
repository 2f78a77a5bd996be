//! An issuing CA: its certificate, its signer, and what it signs.

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use const_oid::{AssociatedOid, db::rfc5280::ANY_EXTENDED_KEY_USAGE};
use der::{
    DateTime, Decode, Encode,
    asn1::{AnyRef, ObjectIdentifier, OctetString, UintRef},
};
use thiserror::Error;
use x509_cert::{
    certificate::Version,
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
            NameConstraints, PolicyConstraints, SubjectAltName as SubjectAltNames,
            SubjectKeyIdentifier,
        },
    },
    name::Name,
    spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef},
    time::{Time, Validity},
};

use crate::{
    IssuedCert, LeafTemplate, LeafUsage, PrepareError, PreparedCert, SerialNumber, SignError,
    Signer, Signing, certificate_pem,
    leaf::subject_der,
    tbs::{Certificate, TbsCertificate},
};

/// A CA certificate with the signer that holds its key.
pub struct Issuer {
    id: [u8; 32],
    certificate_der: Vec<u8>,
    certificate_pem: String,
    subject_der: Vec<u8>,
    name: String,
    key_identifier: Vec<u8>,
    extended_key_usage: Option<Vec<ObjectIdentifier>>,
    has_name_constraints: bool,
    not_before: u64,
    not_after: u64,
    signer: Arc<dyn Signer>,
}

impl Issuer {
    /// Parses a CA certificate and pairs it with its signer.
    ///
    /// # Errors
    /// [`IssuerError`] if the certificate may not sign certificates, or the
    /// signer holds another key.
    pub fn new(certificate_der: &[u8], signer: Box<dyn Signer>) -> Result<Self, IssuerError> {
        let malformed = |_| IssuerError::Malformed;
        let certificate = Certificate::from_der(certificate_der).map_err(malformed)?;
        let tbs_der = certificate.tbs_certificate.to_der().map_err(malformed)?;
        let tbs = TbsCertificate::from_der(&tbs_der).map_err(malformed)?;
        if tbs.version != Version::V3 {
            return Err(IssuerError::NotACa);
        }
        // RFC 5280 section 4.2.1.9: "Conforming CAs MUST include this
        // extension in all CA certificates [...] and MUST mark the extension
        // as critical in such certificates."
        match tbs.extension::<BasicConstraints>().map_err(malformed)? {
            Some((true, constraints)) if constraints.ca => {}
            _ => return Err(IssuerError::NotACa),
        }
        // RFC 5280 section 4.2.1.3: "Conforming CAs MUST include this
        // extension in certificates that contain public keys that are used to
        // validate digital signatures on other public key certificates".
        match tbs.extension::<KeyUsage>().map_err(malformed)? {
            Some((_, usage)) if usage.key_cert_sign() => {}
            _ => return Err(IssuerError::NoKeyCertSign),
        }
        // RFC 5280 section 4.2.1.2: "this extension MUST appear in all
        // conforming CA certificates".
        let Some((_, SubjectKeyIdentifier(key_identifier))) =
            tbs.extension::<SubjectKeyIdentifier>().map_err(malformed)?
        else {
            return Err(IssuerError::NoSubjectKeyIdentifier);
        };
        let extended_key_usage = tbs
            .extension::<ExtendedKeyUsage>()
            .map_err(malformed)?
            .map(|(_, usage)| usage.0);
        // An empty SEQUENCE is refused. RFC 5280 section 4.1.2.6: "If the
        // subject is a CA [...], then the subject field MUST be populated with
        // a non-empty distinguished name".
        if tbs.subject.value().is_empty() {
            return Err(IssuerError::EmptySubject);
        }
        if let Some(extension) = tbs.unprocessed() {
            return Err(IssuerError::UnknownExtension(extension));
        }
        // RFC 5280 section 4.2.1.11: requireExplicitPolicy is "the number of
        // additional certificates that may appear in the path before an
        // explicit policy is required for the entire path". Certificates that
        // are issued here never contain a policy.
        let policies = tbs.extension::<PolicyConstraints>().map_err(malformed)?;
        if policies.is_some_and(|(_, policies)| policies.require_explicit_policy.is_some()) {
            return Err(IssuerError::PolicyRequired);
        }
        let has_name_constraints = (tbs.extension::<NameConstraints>())
            .map_err(malformed)?
            .is_some();
        let spki_der = tbs.subject_public_key_info.to_der().map_err(malformed)?;
        if spki_der != signer.spki_der() {
            return Err(IssuerError::OtherKey);
        }
        Ok(Self {
            id: sha256(certificate_der),
            certificate_der: certificate_der.to_vec(),
            certificate_pem: certificate_pem(certificate_der).ok_or(IssuerError::Malformed)?,
            subject_der: tbs.subject.to_der().map_err(malformed)?,
            name: (tbs.subject.decode_as::<Name>()).map_or_else(
                |_| "a name that cannot be read".to_owned(),
                |name| name.to_string(),
            ),
            key_identifier: key_identifier.into_bytes().into_vec(),
            extended_key_usage,
            has_name_constraints,
            not_before: tbs.validity.not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity.not_after.to_unix_duration().as_secs(),
            signer: signer.into(),
        })
    }

    /// SHA-256 of the certificate's DER. An intent records it, so that recovery
    /// finds the issuer that prepared the certificate.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// The CA's subject, in the form of RFC 4514.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the CA's SubjectPublicKeyInfo, which does not change when its
    /// certificate is renewed.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(self.signer.spki_der())
    }

    /// Whether a certificate names this CA and its key as its issuer. The
    /// signature is not checked.
    #[must_use]
    pub fn is_named_by(&self, certificate_der: &[u8]) -> bool {
        let named = || -> Result<bool, der::Error> {
            let certificate = Certificate::from_der(certificate_der)?;
            let tbs_der = certificate.tbs_certificate.to_der()?;
            let tbs = TbsCertificate::from_der(&tbs_der)?;
            let authority = tbs.extension::<AuthorityKeyIdentifier>()?;
            let key = authority.and_then(|(_, authority)| authority.key_identifier);
            Ok(tbs.issuer.to_der()? == self.subject_der
                && key.is_some_and(|key| key.as_bytes() == self.key_identifier))
        };
        named().unwrap_or(false)
    }

    /// The CA certificate, DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// The CA certificate as PEM, with a final newline.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The last second of the CA's validity, since the Unix epoch.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The first second of the CA's validity, since the Unix epoch.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Whether its extended key usage allows certificates for `usage`.
    #[must_use]
    pub fn may_certify(&self, usage: LeafUsage) -> bool {
        (self.extended_key_usage.as_ref()).is_none_or(|allowed| {
            allowed.contains(&usage.oid()) || allowed.contains(&ANY_EXTENDED_KEY_USAGE)
        })
    }

    /// Whether the CA has name constraints.
    #[must_use]
    pub fn has_name_constraints(&self) -> bool {
        self.has_name_constraints
    }

    /// Builds the complete `TBSCertificate` of a leaf.
    ///
    /// # Errors
    /// [`PrepareError`]; no part of the template is silently dropped or
    /// truncated.
    pub fn prepare(
        &self,
        leaf: &LeafTemplate,
        serial: SerialNumber,
    ) -> Result<PreparedCert, PrepareError> {
        self.check_validity(leaf.not_before, leaf.not_after)?;
        if !self.may_certify(leaf.usage) {
            return Err(PrepareError::UsageOutsideIssuer);
        }
        let spki =
            SubjectPublicKeyInfoRef::from_der(&leaf.spki_der).map_err(|_| PrepareError::Spki)?;
        let subject = subject_der(&leaf.subject)?;
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: UintRef::new(serial.as_bytes()).map_err(|_| PrepareError::Tbs)?,
            signature: self.algorithm(),
            // RFC 5280 section 4.1.2.4: "The issuer field MUST contain a
            // non-empty distinguished name". It is a byte-for-byte copy of the
            // CA's subject, because path building compares the two.
            issuer: AnyRef::from_der(&self.subject_der).map_err(|_| PrepareError::Tbs)?,
            validity: Validity::new(time(leaf.not_before)?, time(leaf.not_after)?),
            subject: AnyRef::from_der(&subject).map_err(|_| PrepareError::Tbs)?,
            subject_public_key_info: AnyRef::from_der(&leaf.spki_der)
                .map_err(|_| PrepareError::Spki)?,
            extensions: Some(self.leaf_extensions(leaf, &spki)?),
        };
        let tbs_der = tbs.to_der().map_err(|_| PrepareError::Tbs)?;
        Ok(PreparedCert {
            tbs_der,
            serial,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            issuer_id: self.id,
        })
    }

    /// Restores a recorded `TBSCertificate` byte for byte, to sign what an
    /// interrupted issuance prepared.
    ///
    /// # Errors
    /// [`PrepareError::OtherIssuer`] if the bytes name another issuer, and
    /// other variants if [`Issuer::prepare`] cannot have written them.
    pub fn resume(&self, tbs_der: &[u8]) -> Result<PreparedCert, PrepareError> {
        let tbs = TbsCertificate::from_der(tbs_der).map_err(|_| PrepareError::Tbs)?;
        if tbs.to_der().as_deref() != Ok(tbs_der) {
            return Err(PrepareError::Tbs);
        }
        let authority = tbs
            .extension::<AuthorityKeyIdentifier>()
            .map_err(|_| PrepareError::Tbs)?
            .and_then(|(_, authority)| authority.key_identifier);
        if tbs.issuer.to_der().as_deref() != Ok(&self.subject_der)
            || authority.as_ref().map(OctetString::as_bytes) != Some(&self.key_identifier)
            || tbs.signature != self.algorithm()
        {
            return Err(PrepareError::OtherIssuer);
        }
        match tbs.extension::<BasicConstraints>() {
            Ok(Some((true, constraints))) if !constraints.ca && tbs.version == Version::V3 => {}
            _ => return Err(PrepareError::NotALeaf),
        }
        let serial = SerialNumber::from_magnitude(tbs.serial_number.as_bytes())?;
        let not_before = tbs.validity.not_before.to_unix_duration().as_secs();
        let not_after = tbs.validity.not_after.to_unix_duration().as_secs();
        self.check_validity(not_before, not_after)?;
        Ok(PreparedCert {
            tbs_der: tbs_der.to_vec(),
            serial,
            not_before,
            not_after,
            issuer_id: self.id,
        })
    }

    /// Consumes a prepared certificate and returns the pending signature, which
    /// can run here or on a thread that may block.
    ///
    /// # Errors
    /// [`SignError::OtherIssuer`].
    pub fn signing(&self, prepared: PreparedCert) -> Result<Signing, SignError> {
        if prepared.issuer_id != self.id {
            return Err(SignError::OtherIssuer);
        }
        Ok(Signing::new(Arc::clone(&self.signer), prepared))
    }

    /// Whether the signer may block: see [`Signing::may_block`].
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.signer.may_block()
    }

    /// Signs and consumes a prepared certificate on this thread.
    ///
    /// # Errors
    /// [`SignError`]. The prepared certificate is consumed; [`Issuer::resume`]
    /// restores it from its recorded bytes.
    pub fn sign(&self, prepared: PreparedCert) -> Result<IssuedCert, SignError> {
        self.signing(prepared)?.run()
    }

    fn algorithm(&self) -> AlgorithmIdentifierRef<'static> {
        algorithm(self.signer.as_ref())
    }

    /// Refuses a leaf that is valid before or after its issuer: it would not
    /// verify for its whole validity.
    fn check_validity(&self, not_before: u64, not_after: u64) -> Result<(), PrepareError> {
        if self.not_before <= not_before && not_before < not_after && not_after <= self.not_after {
            Ok(())
        } else {
            Err(PrepareError::Validity)
        }
    }

    fn leaf_extensions(
        &self,
        leaf: &LeafTemplate,
        spki: &SubjectPublicKeyInfoRef<'_>,
    ) -> Result<Vec<Extension>, PrepareError> {
        let public_key = spki
            .subject_public_key
            .as_bytes()
            .ok_or(PrepareError::Spki)?;
        let octets = |bytes: &[u8]| OctetString::new(bytes).map_err(|_| PrepareError::Tbs);
        let mut extensions = vec![
            extension(
                false,
                &AuthorityKeyIdentifier {
                    key_identifier: Some(octets(&self.key_identifier)?),
                    authority_cert_issuer: None,
                    authority_cert_serial_number: None,
                },
            )?,
            extension(
                false,
                &SubjectKeyIdentifier(octets(&key_identifier(public_key))?),
            )?,
            extension(
                true,
                &BasicConstraints {
                    ca: false,
                    path_len_constraint: None,
                },
            )?,
            extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
            extension(false, &ExtendedKeyUsage(vec![leaf.usage.oid()]))?,
        ];
        // RFC 5280 section 4.1.2.6: "If subject naming information is present
        // only in the subjectAltName extension [...], then the subject name
        // MUST be an empty sequence and the subjectAltName extension MUST be
        // critical."
        let critical = leaf.subject.is_empty();
        if !leaf.names.is_empty() {
            let names = leaf
                .names
                .iter()
                .map(crate::SubjectAltName::to_general_name)
                .collect::<Result<Vec<_>, _>>()?;
            extensions.push(extension(critical, &SubjectAltNames(names))?);
        } else if critical {
            return Err(PrepareError::NoName);
        }
        Ok(extensions)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// Why a certificate and a signer do not make an issuer.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum IssuerError {
    /// The subject is an empty name.
    #[error("the CA certificate has an empty subject")]
    EmptySubject,
    /// Not exactly one DER certificate, or an extension is repeated or does not
    /// decode.
    #[error("the CA certificate is not exactly one well-formed DER certificate")]
    Malformed,
    /// Key usage without keyCertSign, or no key usage.
    #[error("the CA certificate has no key usage keyCertSign")]
    NoKeyCertSign,
    /// No subject key identifier, which issued certificates must name.
    #[error("the CA certificate has no subject key identifier")]
    NoSubjectKeyIdentifier,
    /// Not version 3 with critical basicConstraints and cA.
    #[error(
        "the certificate is not a CA certificate: it needs version 3 and critical basicConstraints with cA"
    )]
    NotACa,
    /// A deterministic key without the laboratory mark in the certificate.
    #[error(
        "the CA certificate has no laboratory mark, so a deterministic key must not sign for it"
    )]
    NotALaboratory,
    /// It requires certificate policies, but certificates issued here have
    /// none.
    #[error(
        "the CA certificate requires certificate policies (policy constraints), but certificates issued here have none, so relying parties would refuse them"
    )]
    PolicyRequired,
    /// A critical extension that relying parties do not process.
    #[error(
        "the CA certificate has the critical extension {0}, which relying parties do not know: they would refuse the certificates that it issues"
    )]
    UnknownExtension(ObjectIdentifier),
    /// The signer's public key is not that of the certificate.
    #[error("the key does not belong to the CA certificate")]
    OtherKey,
}

/// The AlgorithmIdentifier of the signer's signatures.
pub(crate) fn algorithm(signer: &dyn Signer) -> AlgorithmIdentifierRef<'static> {
    AlgorithmIdentifierRef {
        oid: signer.algorithm().oid(),
        parameters: None,
    }
}

/// RFC 7093 section 2 method 1: "The keyIdentifier is composed of the leftmost
/// 160-bits of the SHA-256 hash of the value of the BIT STRING
/// subjectPublicKey (excluding the tag, length, and number of unused bits)."
pub(crate) fn key_identifier(subject_public_key: &[u8]) -> [u8; 20] {
    let mut truncated = [0; 20];
    truncated.copy_from_slice(&sha256(subject_public_key)[..20]);
    truncated
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut value = [0; 32];
    value.copy_from_slice(digest(&SHA256, bytes).as_ref());
    value
}

/// Encodes a time by RFC 5280 section 4.1.2.5: UTCTime through 2049,
/// GeneralizedTime from 2050.
fn time(seconds: u64) -> Result<Time, PrepareError> {
    DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map(Time::from)
        .map_err(|_| PrepareError::Validity)
}

fn extension<T: AssociatedOid + Encode>(
    critical: bool,
    value: &T,
) -> Result<Extension, PrepareError> {
    let encoded = value.to_der().and_then(OctetString::new);
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: encoded.map_err(|_| PrepareError::Tbs)?,
    })
}
