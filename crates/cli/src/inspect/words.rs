//! Names for what stands in evidence as numbers.

use std::net::IpAddr;

use const_oid::{
    ObjectIdentifier,
    db::{
        DB,
        rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1},
        rfc8410::ID_ED_25519,
    },
};
use der::{
    Decode, Sequence,
    asn1::{AnyRef, OctetString, UintRef},
};
use sha2::{Digest, Sha256};
use x509_cert::{
    ext::pkix::name::{GeneralName, OtherName},
    spki::SubjectPublicKeyInfoRef,
};

use super::json::Name;
use assay_engine::text::is_unsafe_to_print;

const PERMANENT_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.3");
const HARDWARE_MODULE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.4");
/// `szOID_NT_PRINCIPAL_NAME`.
const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The name of an object identifier, without the arc's prefix; itself where it
/// has none.
pub(super) fn oid(oid: ObjectIdentifier) -> String {
    known(oid).unwrap_or_else(|| oid.to_string())
}

/// The name of an object identifier, if it is known.
pub(super) fn known(oid: ObjectIdentifier) -> Option<String> {
    let name = DB.by_oid(&oid)?;
    let short = ["id-ce-", "id-pe-", "id-kp-"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
    Some(short.unwrap_or(name).to_owned())
}

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// The kind of key in a SubjectPublicKeyInfo; of an EC key also how its point is
/// encoded, if that is not as every verifier takes it.
pub(super) fn key(spki: &[u8]) -> String {
    let Ok(spki) = SubjectPublicKeyInfoRef::from_der(spki) else {
        return "cannot be decoded".to_owned();
    };
    let curve = |parameters: AnyRef<'_>| parameters.decode_as::<ObjectIdentifier>().ok();
    match spki.algorithm.oid {
        ID_EC_PUBLIC_KEY => {
            let curve = match spki.algorithm.parameters.and_then(curve) {
                Some(SECP_256_R_1) => "P-256".to_owned(),
                Some(SECP_384_R_1) => "P-384".to_owned(),
                Some(SECP_521_R_1) => "P-521".to_owned(),
                Some(other) => oid(other),
                None => return "EC, no named curve".to_owned(),
            };
            // SEC 1 section 2.3.3. X9.62 also has 06 and 07.
            let point = spki.subject_public_key.as_bytes();
            let encoding = match point.and_then(|point| point.first()) {
                Some(2 | 3) => ", compressed point",
                Some(6 | 7) => ", hybrid point",
                _ => "",
            };
            format!("EC {curve}{encoding}")
        }
        ID_ED_25519 => "Ed25519".to_owned(),
        RSA_ENCRYPTION => {
            let bits = spki.subject_public_key.as_bytes().and_then(|der| {
                let key = RsaPublicKey::from_der(der).ok()?;
                let modulus = key.modulus.as_bytes();
                Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
            });
            match bits {
                Some(bits) => format!("RSA {bits} bits"),
                None => "RSA, cannot be decoded".to_owned(),
            }
        }
        other => oid(other),
    }
}

/// `PermanentIdentifier` (RFC 4043 section 2).
#[derive(Sequence)]
struct PermanentIdentifier {
    identifier_value: Option<String>,
    assigner: Option<ObjectIdentifier>,
}

/// `HardwareModuleName` (RFC 4108 section 5).
#[derive(Sequence)]
struct HardwareModuleName {
    hw_type: ObjectIdentifier,
    hw_serial_num: OctetString,
}

/// One name of a subjectAltName.
pub(super) fn general_name(name: &GeneralName) -> der::Result<Name> {
    let (kind, value) = match name {
        GeneralName::OtherName(name) => return other_name(name),
        GeneralName::Rfc822Name(email) => ("email", email.to_string()),
        GeneralName::DnsName(dns) => ("dns", dns.to_string()),
        GeneralName::DirectoryName(name) => ("directory-name", name.to_string()),
        GeneralName::EdiPartyName(_) => ("edi-party-name", "not shown".to_owned()),
        GeneralName::UniformResourceIdentifier(uri) => ("uri", uri.to_string()),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let address = <[u8; 4]>::try_from(octets)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
            let shown = address.map_or_else(|_| hex::encode(octets), |ip| ip.to_string());
            ("ip", shown)
        }
        GeneralName::RegisteredId(id) => ("registered-id", id.to_string()),
    };
    Ok(Name { kind, value })
}

fn other_name(name: &OtherName) -> der::Result<Name> {
    Ok(match name.type_id {
        PERMANENT_IDENTIFIER => {
            let decoded: PermanentIdentifier = name.value.decode_as()?;
            permanent_identifier(
                decoded.identifier_value.as_deref(),
                decoded.assigner.map(|oid| oid.to_string()).as_deref(),
            )
        }
        HARDWARE_MODULE_NAME => {
            let decoded: HardwareModuleName = name.value.decode_as()?;
            hardware_module(
                decoded.hw_serial_num.as_bytes(),
                &decoded.hw_type.to_string(),
            )
        }
        UPN => Name {
            kind: "upn",
            value: name.value.decode_as()?,
        },
        other => Name {
            kind: "other-name",
            value: format!("{other} {}", hex::encode(name.value.value())),
        },
    })
}

/// In the grammar of draft-ietf-acme-device-attest section 3.
pub(super) fn permanent_identifier(value: Option<&str>, assigner: Option<&str>) -> Name {
    let value = value.unwrap_or_default();
    Name {
        kind: "permanent-identifier",
        value: match assigner {
            Some(assigner) => format!("{value}/{assigner}"),
            None => value.to_owned(),
        },
    }
}

/// In the grammar of draft-ietf-acme-device-attest section 4; a serial number
/// that is no text stands there in hexadecimal.
pub(super) fn hardware_module(serial: &[u8], hw_type: &str) -> Name {
    let serial = match std::str::from_utf8(serial) {
        Ok(text) if !text.chars().any(is_unsafe_to_print) => text.to_owned(),
        _ => format!("0x{}", hex::encode(serial)),
    };
    Name {
        kind: "hardware-module",
        value: format!("{serial}/{hw_type}"),
    }
}
