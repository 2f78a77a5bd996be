//! Reads the facts about an issued certificate.

use std::net::{Ipv4Addr, Ipv6Addr};

use const_oid::db::rfc5280::{
    ID_KP_CLIENT_AUTH, ID_KP_CODE_SIGNING, ID_KP_EMAIL_PROTECTION, ID_KP_OCSP_SIGNING,
    ID_KP_SERVER_AUTH, ID_KP_TIME_STAMPING,
};
use data_encoding::HEXLOWER;
use der::{
    Decode, Encode, Sequence,
    asn1::{ObjectIdentifier, OctetString},
};
use sha2::{Digest, Sha256};
use x509_cert::{
    Certificate,
    ext::pkix::{
        ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
        name::{GeneralName, OtherName},
    },
};

use super::CertificateFacts;

/// RFC 4043 section 2:
///
/// ```text
/// PermanentIdentifier ::= SEQUENCE {
///     identifierValue    UTF8String             OPTIONAL,
///     assigner           OBJECT IDENTIFIER      OPTIONAL
/// }
/// ```
#[derive(Sequence)]
struct PermanentIdentifier {
    value: Option<String>,
    assigner: Option<ObjectIdentifier>,
}

/// `id-on-permanentIdentifier`.
const ID_ON_PERMANENT_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.3");

/// RFC 4108 section 5:
///
/// ```text
/// HardwareModuleName ::= SEQUENCE {
///     hwType       OBJECT IDENTIFIER,
///     hwSerialNum  OCTET STRING
/// }
/// ```
#[derive(Sequence)]
struct HardwareModuleName {
    hw_type: ObjectIdentifier,
    serial: OctetString,
}

/// `id-on-hardwareModuleName`.
const ID_ON_HARDWARE_MODULE_NAME: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.4");

impl CertificateFacts {
    /// The facts about a certificate (DER). Its signature is not checked.
    ///
    /// `None` if it is not an X.509 certificate that can be read, or if one of
    /// the extensions that are facts is malformed or repeated.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let tbs = certificate.tbs_certificate();
        let names = tbs.get_extension::<SubjectAltName>().ok()?;
        let usage = tbs.get_extension::<KeyUsage>().ok()?;
        let extended = tbs.get_extension::<ExtendedKeyUsage>().ok()?;
        let validity = tbs.validity();
        let [start, end] =
            [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
        let spki = tbs.subject_public_key_info().to_der().ok()?;
        Some(Self {
            subject: tbs.subject().to_string(),
            names: names
                .iter()
                .flat_map(|(_, names)| &names.0)
                .map(name)
                .collect(),
            spki_sha256: HEXLOWER.encode(&Sha256::digest(spki)),
            key_usage: usage
                .iter()
                .flat_map(|(_, usage)| usage.0)
                .map(|bit| usage_name(bit).to_owned())
                .collect(),
            extended_key_usage: extended
                .iter()
                .flat_map(|(_, usage)| &usage.0)
                .map(extended_usage_name)
                .collect(),
            lifetime: end.checked_sub(start)?,
        })
    }
}

/// A name as `KIND:VALUE`. The names of devices are written as ACME orders
/// them; a kind that a certificate of Assay never has is written as DER in hex.
fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(host) => format!("dns:{host}"),
        GeneralName::Rfc822Name(address) => format!("email:{address}"),
        GeneralName::UniformResourceIdentifier(uri) => format!("uri:{uri}"),
        GeneralName::IpAddress(address) => ip(address.as_bytes()),
        GeneralName::DirectoryName(name) => format!("directory:{name}"),
        GeneralName::OtherName(other) => device_name(other),
        other => format!("other:{}", hexadecimal(other)),
    }
}

fn ip(octets: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return format!("ip:{}", Ipv4Addr::from(four));
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(sixteen) => format!("ip:{}", Ipv6Addr::from(sixteen)),
        Err(_) => format!("ip:{}", HEXLOWER.encode(octets)),
    }
}

fn device_name(other: &OtherName) -> String {
    let value = other.value.to_der().unwrap_or_default();
    let device = match other.type_id {
        ID_ON_PERMANENT_IDENTIFIER => permanent_identifier(&value),
        ID_ON_HARDWARE_MODULE_NAME => hardware_module(&value),
        _ => None,
    };
    device.unwrap_or_else(|| format!("other-name:{}:{}", other.type_id, HEXLOWER.encode(&value)))
}

fn permanent_identifier(der: &[u8]) -> Option<String> {
    let read = PermanentIdentifier::from_der(der).ok()?;
    let value = read.value.unwrap_or_default();
    Some(match read.assigner {
        Some(assigner) => format!("permanent-identifier:{value}/{assigner}"),
        None => format!("permanent-identifier:{value}"),
    })
}

fn hardware_module(der: &[u8]) -> Option<String> {
    let read = HardwareModuleName::from_der(der).ok()?;
    let serial = std::str::from_utf8(read.serial.as_bytes()).ok()?;
    Some(format!("hardware-module:{serial}/{}", read.hw_type))
}

fn hexadecimal(name: &GeneralName) -> String {
    HEXLOWER.encode(&name.to_der().unwrap_or_default())
}

/// RFC 5280 section 4.2.1.3.
fn usage_name(usage: KeyUsages) -> &'static str {
    match usage {
        KeyUsages::DigitalSignature => "digitalSignature",
        KeyUsages::NonRepudiation => "nonRepudiation",
        KeyUsages::KeyEncipherment => "keyEncipherment",
        KeyUsages::DataEncipherment => "dataEncipherment",
        KeyUsages::KeyAgreement => "keyAgreement",
        KeyUsages::KeyCertSign => "keyCertSign",
        KeyUsages::CRLSign => "cRLSign",
        KeyUsages::EncipherOnly => "encipherOnly",
        KeyUsages::DecipherOnly => "decipherOnly",
    }
}

/// RFC 5280 section 4.2.1.12; any other purpose by its identifier.
fn extended_usage_name(purpose: &ObjectIdentifier) -> String {
    let name = match *purpose {
        ID_KP_SERVER_AUTH => "serverAuth",
        ID_KP_CLIENT_AUTH => "clientAuth",
        ID_KP_CODE_SIGNING => "codeSigning",
        ID_KP_EMAIL_PROTECTION => "emailProtection",
        ID_KP_TIME_STAMPING => "timeStamping",
        ID_KP_OCSP_SIGNING => "OCSPSigning",
        _ => return purpose.to_string(),
    };
    name.to_owned()
}
