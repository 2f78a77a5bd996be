//! The leaf again, extension by extension, for the invented device.

use assay_attest::{UnverifiedCertificate, UnverifiedExtension};
use assay_simulator::evidence::{DeviceProperties, Extension, oids};
use der::Decode;
use sha2::{Digest, Sha256};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::{invented_device::InventedDevice, original::text_of};

const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
const KEY_USAGE: &str = "2.5.29.15";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";

/// A chain with the structure of the original's leaf.
pub(super) struct Rebuilt {
    /// DER, the leaf first.
    pub(super) chain: Vec<Vec<u8>>,
    /// The OIDs of the extensions that are not in it: what they say is not documented.
    pub(super) left_out: Vec<String>,
}

/// What becomes of an extension.
enum Fate {
    /// It may say anything.
    LeftOut,
    /// It becomes one of this value.
    Value(Vec<u8>),
    /// It cannot be decoded, and so not be said in other words.
    Stuck,
}

/// Makes the leaf again: the same extensions in the same order, the same
/// validity, another key, other names, under another authority; `time` in
/// seconds since the Unix epoch. `None` where an extension of known meaning
/// cannot be decoded.
pub(super) fn rebuild(
    leaf: &UnverifiedCertificate,
    invented: &InventedDevice,
    time: u64,
) -> anyhow::Result<Option<Rebuilt>> {
    let mut extensions = Vec::new();
    let mut left_out = Vec::new();
    for extension in &leaf.extensions {
        match fate(extension, invented, time)? {
            Fate::LeftOut => left_out.push(extension.oid.clone()),
            Fate::Stuck => return Ok(None),
            Fate::Value(value) => extensions.push(Extension {
                oid: extension.oid.clone(),
                critical: extension.critical,
                value,
            }),
        }
    }
    let (spki, nothing) = (invented.device.spki_der(), DeviceProperties::default());
    let mut template = invented.authority.leaf_template(&nothing, &spki, &[], time);
    template.extensions = extensions;
    template.not_before = leaf.not_before;
    template.not_after = leaf.not_after;
    template.serial.clone_from(&invented.certificate_serial);
    Ok(Some(Rebuilt {
        chain: vec![
            template.sign(invented.authority.sub_key())?,
            invented.authority.sub_der().to_vec(),
        ],
        left_out,
    }))
}

fn fate(
    extension: &UnverifiedExtension,
    invented: &InventedDevice,
    time: u64,
) -> anyhow::Result<Fate> {
    let value = &extension.value;
    let known = match extension.oid.as_str() {
        oids::SERIAL | oids::UDID => match text_of(extension) {
            Some(text) => invented.names.of(text)?.into_bytes(),
            None => value.clone(),
        },
        oids::FRESHNESS if value.is_empty() => Vec::new(),
        oids::FRESHNESS => invented.codes.of(value)?.clone(),
        oids::MODEL | oids::OS_VERSION | oids::SEPOS_VERSION | oids::LLB_VERSION => value.clone(),
        oids::SIP | oids::SECURE_BOOT | oids::KERNEL_EXTENSIONS => value.clone(),
        BASIC_CONSTRAINTS | KEY_USAGE => value.clone(),
        SUBJECT_KEY_IDENTIFIER => {
            Extension::subject_key_identifier(&Sha256::digest(invented.device.spki_der())[..20])
                .value
        }
        AUTHORITY_KEY_IDENTIFIER => issuer_key_identifier(invented, time),
        EXTENDED_KEY_USAGE if ExtendedKeyUsage::from_der(value).is_ok() => value.clone(),
        _ => return Ok(Fate::LeftOut),
    };
    Ok(match extension.decoded {
        Ok(_) => Fate::Value(known),
        Err(_) => Fate::Stuck,
    })
}

/// The authorityKeyIdentifier that names the intermediate's key.
fn issuer_key_identifier(invented: &InventedDevice, time: u64) -> Vec<u8> {
    let mut intermediate = invented.authority.sub_template(time);
    let own = intermediate.extension_mut(SUBJECT_KEY_IDENTIFIER);
    // Behind tag and length of its OCTET STRING.
    let identifier = own.and_then(|own| own.value.get(2..).map(<[u8]>::to_vec));
    Extension::authority_key_identifier(&identifier.unwrap_or_default()).value
}
