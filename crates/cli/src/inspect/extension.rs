//! Extensions.

use std::collections::HashSet;

use assay_attest::{Property, Reason, UnverifiedExtension};
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::Decode;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};

use super::{
    certificate::fault,
    json::{Extension, Fault},
    meaning::meaning,
    words,
};

/// Apple's arc for attestation.
pub(super) use crate::pieces::APPLE;

/// What the extensions say. Where the attestation verifier decodes it, its
/// reading stands; other well-known ones are read here.
pub(super) fn report(extensions: Vec<UnverifiedExtension>) -> Vec<Extension> {
    let mut seen = HashSet::new();
    extensions
        .into_iter()
        .map(|extension| {
            let repeated = !seen.insert(extension.oid.clone());
            one(extension, repeated)
        })
        .collect()
}

fn one(extension: UnverifiedExtension, repeated: bool) -> Extension {
    let oid = ObjectIdentifier::new(&extension.oid).ok();
    let value = extension.value.as_slice();
    let (decoded, fault) = match extension.decoded {
        Err(refusal) => (Vec::new(), Some(fault(refusal))),
        Ok(decoded) => match oid.and_then(|oid| well_known(oid, value)) {
            Some(Ok(decoded)) => (decoded, None),
            Some(Err(error)) => (
                Vec::new(),
                Some(Fault {
                    reason: Reason::ExtensionMalformed.as_str(),
                    detail: format!("extension {}: {error}", extension.oid),
                }),
            ),
            None => (decoded.into_iter().collect(), None),
        },
    };
    let is_read = fault.is_none() && extension.name.is_some();
    // Of what is read in Apple's arc, all but the freshness code is a property.
    let apple =
        (is_read && extension.oid.starts_with(APPLE)).then(|| Property::of_oid(&extension.oid));
    Extension {
        name: extension
            .name
            .map(str::to_owned)
            .or_else(|| oid.and_then(words::known)),
        critical: extension.critical,
        repeated,
        value: hex::encode(value),
        encoding: apple.map(|property| encoding(property, value)),
        meaning: apple.map(|property| meaning(property, decoded.first().map(String::as_str))),
        oid: extension.oid,
        decoded,
        fault,
    }
}

fn well_known(oid: ObjectIdentifier, value: &[u8]) -> Option<der::Result<Vec<String>>> {
    Some(match oid {
        KeyUsage::OID => KeyUsage::from_der(value).map(|usage| key_usages(&usage)),
        ExtendedKeyUsage::OID => ExtendedKeyUsage::from_der(value)
            .map(|usage| usage.0.into_iter().map(words::oid).collect()),
        SubjectAltName::OID => SubjectAltName::from_der(value).and_then(|names| {
            let shown = names.0.iter().map(|name| {
                let name = words::general_name(name)?;
                Ok(format!("{}: {}", name.kind, name.value))
            });
            shown.collect()
        }),
        _ => return None,
    })
}

fn key_usages(usage: &KeyUsage) -> Vec<String> {
    usage
        .0
        .into_iter()
        .map(|bit| match bit {
            KeyUsages::DigitalSignature => "digitalSignature",
            KeyUsages::NonRepudiation => "nonRepudiation",
            KeyUsages::KeyEncipherment => "keyEncipherment",
            KeyUsages::DataEncipherment => "dataEncipherment",
            KeyUsages::KeyAgreement => "keyAgreement",
            KeyUsages::KeyCertSign => "keyCertSign",
            KeyUsages::CRLSign => "cRLSign",
            KeyUsages::EncipherOnly => "encipherOnly",
            KeyUsages::DecipherOnly => "decipherOnly",
        })
        .map(str::to_owned)
        .collect()
}

/// How an Apple property (`None`: the freshness code) that was decoded is
/// written.
fn encoding(property: Option<Property>, value: &[u8]) -> String {
    let Some(property) = property else {
        return match value {
            [] => "empty".to_owned(),
            _ => format!("{} bytes", value.len()),
        };
    };
    match property {
        _ if value.is_empty() => "empty".to_owned(),
        Property::Sip | Property::KernelExtensions => match value {
            [_, _, byte] => format!("INTEGER {}", byte.cast_signed()),
            [_, _, content @ ..] => format!("INTEGER 0x{}", hex::encode(content)),
            _ => "text".to_owned(),
        },
        Property::Serial
        | Property::Udid
        | Property::Model
        | Property::OsVersion
        | Property::SeposVersion
        | Property::LlbVersion
        | Property::SecureBoot => "text".to_owned(),
    }
}
