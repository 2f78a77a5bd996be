//! `TBSCertificate` and `Certificate`, with names and keys as raw DER.
//!
//! x509-cert's own types decode names and keys and encode them again. These
//! types keep them undecoded, because the issuer's name and the certified key
//! must be copied byte for byte. All other fields use x509-cert's types.

use const_oid::AssociatedOid as _;
use der::{
    Decode, Sequence,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef},
};
use x509_cert::{
    certificate::Version,
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, ExtendedKeyUsage,
            InhibitAnyPolicy, KeyUsage, NameConstraints, PolicyConstraints, PolicyMappings,
            SubjectAltName, SubjectKeyIdentifier,
        },
    },
    spki::AlgorithmIdentifierRef,
    time::Validity,
};

/// RFC 5280 section 4.1:
///
/// ```text
/// Certificate  ::=  SEQUENCE  {
///      tbsCertificate       TBSCertificate,
///      signatureAlgorithm   AlgorithmIdentifier,
///      signatureValue       BIT STRING  }
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub(crate) struct Certificate<'a> {
    pub(crate) tbs_certificate: AnyRef<'a>,
    pub(crate) signature_algorithm: AlgorithmIdentifierRef<'a>,
    pub(crate) signature: BitStringRef<'a>,
}

/// RFC 5280 section 4.1:
///
/// ```text
/// TBSCertificate  ::=  SEQUENCE  {
///      version         [0]  EXPLICIT Version DEFAULT v1,
///      serialNumber         CertificateSerialNumber,
///      signature            AlgorithmIdentifier,
///      issuer               Name,
///      validity             Validity,
///      subject              Name,
///      subjectPublicKeyInfo SubjectPublicKeyInfo,
///      issuerUniqueID  [1]  IMPLICIT UniqueIdentifier OPTIONAL,
///      subjectUniqueID [2]  IMPLICIT UniqueIdentifier OPTIONAL,
///      extensions      [3]  EXPLICIT Extensions OPTIONAL  }
/// ```
///
/// The unique identifiers are omitted: conforming CAs do not write them
/// (section 4.1.2.8), so a certificate that has one does not decode.
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub(crate) struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", default = "Default::default")]
    pub(crate) version: Version,
    pub(crate) serial_number: UintRef<'a>,
    pub(crate) signature: AlgorithmIdentifierRef<'a>,
    pub(crate) issuer: AnyRef<'a>,
    pub(crate) validity: Validity,
    pub(crate) subject: AnyRef<'a>,
    pub(crate) subject_public_key_info: AnyRef<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) extensions: Option<Vec<Extension>>,
}

/// The extensions of a CA that relying parties process even if critical: those
/// of RFC 5280 section 4.2 that affect a path.
const PROCESSED: [ObjectIdentifier; 11] = [
    AuthorityKeyIdentifier::OID,
    BasicConstraints::OID,
    CertificatePolicies::OID,
    ExtendedKeyUsage::OID,
    InhibitAnyPolicy::OID,
    KeyUsage::OID,
    NameConstraints::OID,
    PolicyConstraints::OID,
    PolicyMappings::OID,
    SubjectAltName::OID,
    SubjectKeyIdentifier::OID,
];

impl TbsCertificate<'_> {
    /// The first critical extension that relying parties do not process. RFC
    /// 5280 section 4.2: "A certificate-using system MUST reject the certificate
    /// if it encounters a critical extension it does not recognize or a critical
    /// extension that contains information that it cannot process."
    pub(crate) fn unprocessed(&self) -> Option<ObjectIdentifier> {
        (self.extensions.iter().flatten())
            .find(|extension| extension.critical && !PROCESSED.contains(&extension.extn_id))
            .map(|extension| extension.extn_id)
    }

    /// Decodes the extension of this type, with its critical flag. `None` if it
    /// is absent, `Err` if it is repeated or does not decode.
    pub(crate) fn extension<'b, T>(&'b self) -> Result<Option<(bool, T)>, der::Error>
    where
        T: Decode<'b, Error = der::Error> + const_oid::AssociatedOid,
    {
        let mut matching = self
            .extensions
            .iter()
            .flatten()
            .filter(|extension| extension.extn_id == T::OID);
        match (matching.next(), matching.next()) {
            (None, _) => Ok(None),
            (Some(only), None) => {
                let value = T::from_der(only.extn_value.as_bytes())?;
                Ok(Some((only.critical, value)))
            }
            // RFC 5280 section 4.2: "A certificate MUST NOT include more than
            // one instance of a particular extension."
            (Some(_), Some(_)) => Err(der::ErrorKind::Failed.into()),
        }
    }
}
