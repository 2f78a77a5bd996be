//! What can be read of a certificate that the verifier refuses as one of
//! evidence: of version 1, with names out of order or none at all, with a
//! negative serial number. For people; nothing here decides.

use der::Decode;
use x509_cert::time::Time;

use super::{UnverifiedCertificate, UnverifiedExtension, hexadecimal, name};
use crate::{
    check::Check,
    faults::during,
    x509::{
        Fault,
        extension::Extension,
        tlv::{self, Elements, Malformed},
    },
};

/// Reads as much as there is. Only the order of the fields is asked for, with
/// tags and lengths.
pub(super) fn certificate(der: &[u8]) -> Result<UnverifiedCertificate, Fault> {
    let mut outer = Elements::of(Elements::of(der).content(tlv::SEQUENCE)?);
    let mut fields = Elements::of(outer.content(tlv::SEQUENCE)?);
    let version = match fields.optional(tlv::CONTEXT_0)? {
        Some([0x02, 0x01, version]) => u16::from(*version) + 1,
        Some(_) => return Err(Malformed("the version cannot be read").into()),
        None => 1,
    };
    let serial = fields.content(tlv::INTEGER)?;
    let mut algorithm = Elements::of(fields.content(tlv::SEQUENCE)?);
    let algorithm = name::dotted(algorithm.content(tlv::OBJECT_IDENTIFIER)?);
    let issuer = fields.next()?;
    let mut validity = Elements::of(fields.content(tlv::SEQUENCE)?);
    let (not_before, not_after) = (seconds(&mut validity)?, seconds(&mut validity)?);
    let subject = fields.next()?;
    let spki = fields.next()?.whole;
    let mut extensions = Vec::new();
    while !fields.is_finished() {
        // Unique identifiers may stand before it.
        let field = fields.next()?;
        if field.tag == tlv::CONTEXT_3 {
            extensions = list(field.content)?;
        }
    }
    Ok(UnverifiedCertificate {
        version,
        subject: name::text(subject),
        issuer: name::text(issuer),
        serial_number: hexadecimal(serial),
        not_before,
        not_after,
        signature_algorithm: algorithm,
        spki_der: spki.to_owned(),
        extensions,
    })
}

fn seconds(validity: &mut Elements<'_>) -> Result<u64, Fault> {
    Ok(Time::from_der(validity.next()?.whole)?
        .to_unix_duration()
        .as_secs())
}

fn list(content: &[u8]) -> Result<Vec<UnverifiedExtension>, Malformed> {
    let mut list = tlv::only(content, tlv::SEQUENCE)?;
    let mut extensions = Vec::new();
    while !list.is_finished() {
        extensions.push(extension(list.content(tlv::SEQUENCE)?)?);
    }
    Ok(extensions)
}

fn extension(content: &[u8]) -> Result<UnverifiedExtension, Malformed> {
    let mut fields = Elements::of(content);
    let arcs = fields.content(tlv::OBJECT_IDENTIFIER)?;
    let critical = match fields.optional(tlv::BOOLEAN)? {
        None | Some([0]) => false,
        Some(_) => true,
    };
    let value = fields.content(tlv::OCTET_STRING)?;
    Ok(match tlv::object_identifier(arcs) {
        Ok(oid) => UnverifiedExtension::decode(&Extension {
            oid,
            critical,
            value,
        }),
        Err(fault) => UnverifiedExtension {
            oid: name::dotted(arcs),
            name: None,
            critical,
            value: value.to_owned(),
            decoded: Err(during(Check::Certificates)(Fault::from(fault))),
        },
    })
}
