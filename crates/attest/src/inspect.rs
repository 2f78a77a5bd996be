//! A look at evidence without a verdict. Nothing here was verified: anybody
//! can write such a certificate.

mod name;
mod sketch;

use std::fmt::Write as _;

use crate::{
    apple::properties::{self, FRESHNESS},
    check::Check,
    faults::during,
    object::{self, Statement},
    reason::{Finding, Refusal},
    x509::{
        Fault,
        certificate::Certificate,
        extension::{
            AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, Extension, KEY_USAGE,
            NAME_CONSTRAINTS, SUBJECT_KEY_IDENTIFIER,
        },
        tlv::{Elements, Malformed},
    },
};

/// An attestation object of format "apple", decoded and **not verified**.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnverifiedObject {
    /// The certificates of `x5c`, in their order; each with the reason why it
    /// cannot be decoded, if so.
    pub certificates: Vec<Result<UnverifiedCertificate, Refusal>>,
}

impl UnverifiedObject {
    /// Decodes an attestation object.
    ///
    /// # Errors
    /// The object's own shape is refused. What is wrong with a certificate
    /// stands in its place.
    pub fn decode(object: &[u8]) -> Result<Self, Refusal> {
        let Statement::Apple(x5c) = object::read(object).map_err(during(Check::Object))?;
        Ok(Self {
            certificates: x5c.into_iter().map(UnverifiedCertificate::decode).collect(),
        })
    }
}

/// A certificate, decoded and **not verified**.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnverifiedCertificate {
    /// The X.509 version, from 1.
    pub version: u16,
    /// The subject (RFC 4514 text, control characters escaped).
    pub subject: String,
    /// The issuer (RFC 4514 text, control characters escaped).
    pub issuer: String,
    /// The serial number, hexadecimal.
    pub serial_number: String,
    /// Start of validity, seconds since the Unix epoch.
    pub not_before: u64,
    /// End of validity, seconds since the Unix epoch.
    pub not_after: u64,
    /// The signature algorithm's identifier in dotted form.
    pub signature_algorithm: String,
    /// The SubjectPublicKeyInfo, DER.
    pub spki_der: Vec<u8>,
    /// The extensions in their order, repeated ones too.
    pub extensions: Vec<UnverifiedExtension>,
}

impl UnverifiedCertificate {
    /// Decodes a certificate (DER).
    ///
    /// # Errors
    /// It is not a well-formed X.509 certificate of version 3.
    pub fn decode(der: &[u8]) -> Result<Self, Refusal> {
        Self::read(der).map_err(during(Check::Certificates))
    }

    /// Reads what there is of a certificate that [`decode`](Self::decode)
    /// refuses, for people: of version 1, with an empty subject or names out of
    /// order, with a negative serial number, followed by other bytes.
    ///
    /// # Errors
    /// Not even its fields stand in their order.
    pub fn sketch(der: &[u8]) -> Result<Self, Refusal> {
        sketch::certificate(der).map_err(during(Check::Certificates))
    }

    fn read(der: &[u8]) -> Result<Self, Fault> {
        Certificate::check_size(der)?;
        let certificate = Certificate::parse(der)?;
        Ok(Self {
            version: 3,
            subject: name(certificate.subject)?,
            issuer: name(certificate.issuer)?,
            serial_number: hexadecimal(certificate.serial),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            signature_algorithm: certificate.algorithm.oid.to_string(),
            spki_der: certificate.spki.to_owned(),
            extensions: certificate
                .extensions
                .iter()
                .map(UnverifiedExtension::decode)
                .collect(),
        })
    }
}

/// One extension of a certificate, decoded and **not verified**.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnverifiedExtension {
    /// The identifier in dotted form.
    pub oid: String,
    /// What it states, where that is known.
    pub name: Option<&'static str>,
    /// Whether it is critical.
    pub critical: bool,
    /// Its value as it stands in the certificate.
    pub value: Vec<u8>,
    /// The value for people, or why it cannot be decoded; `None` where this
    /// crate does not read it or where it is blank.
    pub decoded: Result<Option<String>, Refusal>,
}

impl UnverifiedExtension {
    fn decode(extension: &Extension<'_>) -> Self {
        let (name, decoded) = if properties::is_apple(extension.oid) {
            (
                properties::name(extension.oid),
                apple_value(extension).map_err(during(Check::Properties)),
            )
        } else {
            let (name, decoded) = standard_value(extension);
            (name, decoded.map_err(during(Check::Path)))
        };
        Self {
            oid: extension.oid.to_string(),
            name,
            critical: extension.critical,
            value: extension.value.to_owned(),
            decoded,
        }
    }
}

/// The name of an extension of RFC 5280, and what it says.
fn standard_value(
    extension: &Extension<'_>,
) -> (Option<&'static str>, Result<Option<String>, Fault>) {
    match extension.oid {
        AUTHORITY_KEY_IDENTIFIER => (
            Some("authorityKeyIdentifier"),
            extension
                .authority_key_identifier()
                .map(|identifier| identifier.map(hexadecimal)),
        ),
        BASIC_CONSTRAINTS => (
            Some("basicConstraints"),
            extension.basic_constraints().map(|constraints| {
                Some(match constraints.path_length {
                    Some(length) => format!("CA: {}, path length: {length}", constraints.ca),
                    None => format!("CA: {}", constraints.ca),
                })
            }),
        ),
        EXTENDED_KEY_USAGE => (Some("extKeyUsage"), Ok(None)),
        KEY_USAGE => (
            Some("keyUsage"),
            extension
                .key_cert_sign()
                .map(|signs| Some(format!("keyCertSign: {signs}"))),
        ),
        NAME_CONSTRAINTS => (Some("nameConstraints"), Ok(None)),
        SUBJECT_KEY_IDENTIFIER => (
            Some("subjectKeyIdentifier"),
            extension
                .subject_key_identifier()
                .map(|identifier| Some(hexadecimal(identifier))),
        ),
        _ => (None, Ok(None)),
    }
}

fn apple_value(extension: &Extension<'_>) -> Result<Option<String>, Finding> {
    match (extension.oid, extension.value) {
        (FRESHNESS, []) => Ok(None),
        (FRESHNESS, code) => Ok(Some(hexadecimal(code))),
        _ => properties::shown(extension),
    }
}

fn name(der: &[u8]) -> Result<String, Malformed> {
    Ok(name::text(Elements::of(der).next()?))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
