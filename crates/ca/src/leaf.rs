//! The content of a leaf certificate and its encoding.

use std::net::IpAddr;

use const_oid::db::{
    rfc4519,
    rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH},
};
use der::{
    Any, Encode, Tag,
    asn1::{Ia5String, ObjectIdentifier, PrintableStringRef},
};
use thiserror::Error;
use x509_cert::{
    attr::AttributeTypeAndValue,
    ext::pkix::name::GeneralName,
    name::{RdnSequence, RelativeDistinguishedName},
};

use crate::{SerialError, hardware_module, oid, permanent_identifier};

/// The variable parts of a leaf certificate. The fixed parts are not here:
/// version 3, not a CA, key usage digitalSignature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeafTemplate {
    /// The DER `SubjectPublicKeyInfo`, copied unchanged.
    pub spki_der: Vec<u8>,
    /// The subject: one attribute per RDN, in encoding order (most general
    /// first).
    pub subject: Vec<SubjectAttribute>,
    /// The subject alternative names, in encoding order. If empty, the
    /// extension is omitted.
    pub names: Vec<SubjectAltName>,
    /// The first second of validity, since the Unix epoch.
    pub not_before: u64,
    /// The last second of validity, since the Unix epoch.
    pub not_after: u64,
    /// The only extended key usage.
    pub usage: LeafUsage,
}

/// One attribute of the subject. Its length limits are the upper bounds of RFC
/// 5280 appendix A.1, in characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubjectAttribute {
    /// `commonName`, UTF8String, up to 64.
    CommonName(String),
    /// `countryName`, PrintableString, exactly 2.
    Country(String),
    /// `organizationName`, UTF8String, up to 64.
    Organization(String),
    /// `organizationalUnitName`, UTF8String, up to 64.
    OrganizationalUnit(String),
    /// `serialNumber`, PrintableString, up to 64.
    SerialNumber(String),
}

/// One subject alternative name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubjectAltName {
    /// `dNSName`; the first label may be `*`.
    Dns(String),
    /// Other name `HardwareModuleName` (RFC 4108 section 5).
    HardwareModule {
        /// `hwType`, dotted-decimal.
        hw_type: String,
        /// `hwSerialNum`, octets unchanged.
        serial: Vec<u8>,
    },
    /// `iPAddress`.
    Ip(IpAddr),
    /// Other name `PermanentIdentifier` (RFC 4043 section 2).
    PermanentIdentifier {
        /// `identifierValue`, octets unchanged.
        value: String,
        /// `assigner`, dotted-decimal.
        assigner: Option<String>,
    },
    /// `uniformResourceIdentifier`, ASCII.
    Uri(String),
}

/// What a leaf may be used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeafUsage {
    /// `id-kp-clientAuth`: a device.
    ClientAuth,
    /// `id-kp-serverAuth`: the server's own TLS certificate.
    ServerAuth,
}

/// Why a certificate could not be prepared.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum PrepareError {
    /// A subject attribute is empty, too long, contains control characters, or
    /// does not fit its string type.
    #[error("the subject's {0} is empty, too long, or contains a forbidden character")]
    BadSubject(&'static str),
    /// A recorded TBS is a CA certificate, or lacks what every leaf contains.
    #[error("the recorded certificate is not a leaf that this CA writes")]
    NotALeaf,
    /// Neither subject nor subject alternative name.
    #[error("the certificate would have neither subject nor subject alternative name")]
    NoName,
    /// A DNS name or URI that a certificate cannot contain.
    #[error("a certificate cannot contain this {0} name")]
    BadName(&'static str),
    /// The recorded TBS names another issuer, key or signature algorithm.
    #[error("the recorded certificate belongs to another issuer; load the CA that it names")]
    OtherIssuer,
    /// A recorded TBS with a serial number that RFC 5280 forbids.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// The public key is not a `SubjectPublicKeyInfo`.
    #[error("the public key is not a DER SubjectPublicKeyInfo")]
    Spki,
    /// The recorded TBS is not DER, or not the DER that this CA writes.
    #[error("the recorded certificate is not exact DER")]
    Tbs,
    /// An assigner or hardware type that cannot be encoded.
    #[error("the object identifier {0} is too large to encode")]
    UnsupportedOid(String),
    /// The issuer's own extended key usage does not cover the leaf's.
    #[error("the CA may not issue certificates of this extended key usage")]
    UsageOutsideIssuer,
    /// Ends before it starts, ends after the year 9999, or exceeds the issuer's
    /// own validity.
    #[error("the validity is empty or exceeds that of the CA")]
    Validity,
}

impl LeafUsage {
    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::ClientAuth => ID_KP_CLIENT_AUTH,
            Self::ServerAuth => ID_KP_SERVER_AUTH,
        }
    }
}

/// Encodes the attributes as a DER `Name`.
pub(crate) fn subject_der(attributes: &[SubjectAttribute]) -> Result<Vec<u8>, PrepareError> {
    let rdns = attributes
        .iter()
        .map(SubjectAttribute::to_rdn)
        .collect::<Result<Vec<_>, _>>()?;
    RdnSequence::from(rdns)
        .to_der()
        .map_err(|_| PrepareError::BadSubject("name"))
}

impl SubjectAttribute {
    fn to_rdn(&self) -> Result<RelativeDistinguishedName, PrepareError> {
        let (what, oid, tag, length, value) = match self {
            Self::CommonName(value) => (
                "common name",
                rfc4519::COMMON_NAME,
                Tag::Utf8String,
                1..=64,
                value,
            ),
            Self::Country(value) => (
                "country",
                rfc4519::COUNTRY_NAME,
                Tag::PrintableString,
                2..=2,
                value,
            ),
            Self::Organization(value) => (
                "organization",
                rfc4519::ORGANIZATION_NAME,
                Tag::Utf8String,
                1..=64,
                value,
            ),
            Self::OrganizationalUnit(value) => (
                "organizational unit",
                rfc4519::ORGANIZATIONAL_UNIT_NAME,
                Tag::Utf8String,
                1..=64,
                value,
            ),
            // RFC 5280 appendix A.1: "X520SerialNumber ::= PrintableString
            // (SIZE (1..ub-serial-number))".
            Self::SerialNumber(value) => (
                "serial number",
                rfc4519::SERIAL_NUMBER,
                Tag::PrintableString,
                1..=64,
                value,
            ),
        };
        let fits = length.contains(&value.chars().count())
            && !value.chars().any(char::is_control)
            && (tag == Tag::Utf8String || PrintableStringRef::new(value).is_ok());
        if !fits {
            return Err(PrepareError::BadSubject(what));
        }
        Any::new(tag, value.as_bytes())
            .and_then(|value| vec![AttributeTypeAndValue { oid, value }].try_into())
            .map_err(|_| PrepareError::BadSubject(what))
    }
}

impl SubjectAltName {
    pub(crate) fn to_general_name(&self) -> Result<GeneralName, PrepareError> {
        match self {
            Self::Dns(name) => {
                let host = name.strip_prefix("*.").unwrap_or(name);
                if !is_dns_name(host) {
                    return Err(PrepareError::BadName("DNS"));
                }
                Ia5String::new(name)
                    .map(GeneralName::DnsName)
                    .map_err(|_| PrepareError::BadName("DNS"))
            }
            Self::HardwareModule { hw_type, serial } => {
                hardware_module::to_other_name(encodable(hw_type)?, serial)
                    .map(GeneralName::OtherName)
                    .map_err(|_| PrepareError::BadName("hardware module"))
            }
            Self::Ip(address) => Ok(GeneralName::from(*address)),
            Self::PermanentIdentifier { value, assigner } => {
                let assigner = assigner.as_deref().map(encodable).transpose()?;
                permanent_identifier::to_other_name(value, assigner)
                    .map(GeneralName::OtherName)
                    .map_err(|_| PrepareError::BadName("permanent identifier"))
            }
            Self::Uri(uri) => {
                let printable = uri.bytes().all(|byte| byte.is_ascii_graphic());
                match Ia5String::new(uri) {
                    Ok(uri) if printable && !uri.as_str().is_empty() => {
                        Ok(GeneralName::UniformResourceIdentifier(uri))
                    }
                    _ => Err(PrepareError::BadName("URI")),
                }
            }
        }
    }
}

fn encodable(dotted: &str) -> Result<ObjectIdentifier, PrepareError> {
    oid::from_dotted(dotted).ok_or_else(|| PrepareError::UnsupportedOid(dotted.to_owned()))
}

/// Whether a certificate can contain this DNS name. RFC 5280 section 4.2.1.6:
/// "The name MUST be in the "preferred name syntax"": labels of 1 to 63
/// letters, digits and inner hyphens.
#[must_use]
pub fn is_dns_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}
