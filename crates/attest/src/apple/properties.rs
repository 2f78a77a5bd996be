//! Apple's extensions in an attestation leaf, each in its own type.
//!
//! The identifiers are documented in Apple's device management schema
//! (`information.device.yaml`, `DevicePropertiesAttestation`); the encodings
//! are those of live certificates:
//!
//! | suffix | property | extension value |
//! |---|---|---|
//! | 9.1 | serial number | raw UTF-8 |
//! | 9.2 | UDID (on a Mac the provisioning UDID) | raw UTF-8 |
//! | 9.4 | software update device id (model) | raw UTF-8 |
//! | 10.1 | OS version | raw UTF-8 |
//! | 10.2 | sepOS version | raw UTF-8 |
//! | 10.3 | LLB version | raw UTF-8 |
//! | 11.1 | freshness code | raw bytes |
//! | 13.1 | System Integrity Protection | DER INTEGER, 0 = enabled |
//! | 13.2 | secure boot | raw text |
//! | 13.3 | third-party kernel extensions | DER INTEGER, 0 = not allowed |
//!
//! All others of the arc are kept raw. A blank value is an absent one.

use const_oid::ObjectIdentifier;

use super::{
    limits::MAX_PROPERTY_BYTES,
    posture::{KernelExtensions, SecureBoot, SystemIntegrityProtection},
};
use crate::reason::{Finding, Reason};
use crate::x509::extension::Extension;

/// The arc of Apple's certificate extensions for attestation.
const ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113635.100.8");
/// The nonce of WebAuthn's anonymous attestation format, which has the name
/// "apple" too, and another root.
pub(crate) const WEBAUTHN_NONCE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.2");
pub(crate) const SERIAL: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.9.1");
pub(crate) const UDID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.9.2");
pub(crate) const MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.9.4");
pub(crate) const OS_VERSION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.10.1");
pub(crate) const SEPOS_VERSION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.10.2");
pub(crate) const LLB_VERSION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.10.3");
pub(crate) const FRESHNESS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.11.1");
pub(crate) const SIP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.13.1");
pub(crate) const SECURE_BOOT: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.13.2");
pub(crate) const KERNEL_EXTENSIONS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.13.3");

/// Whether an identifier belongs to Apple's arc.
pub(crate) fn is_apple(oid: ObjectIdentifier) -> bool {
    oid.as_bytes().starts_with(ARC.as_bytes())
}

/// Whether this crate decodes the extension, so that it may be critical.
pub(crate) fn is_understood(oid: ObjectIdentifier) -> bool {
    name(oid).is_some() && oid != WEBAUTHN_NONCE
}

/// The reason against a leaf in which this extension is there twice, where it is
/// one of Apple's.
pub(crate) fn repetition(oid: ObjectIdentifier) -> Option<Reason> {
    if oid == FRESHNESS {
        Some(Reason::FreshnessRepeated)
    } else {
        is_apple(oid).then_some(Reason::PropertyRepeated)
    }
}

/// What a documented extension states.
pub(crate) fn name(oid: ObjectIdentifier) -> Option<&'static str> {
    Some(match oid {
        WEBAUTHN_NONCE => "WebAuthn nonce",
        SERIAL => "serial number",
        UDID => "UDID",
        MODEL => "model",
        OS_VERSION => "OS version",
        SEPOS_VERSION => "sepOS version",
        LLB_VERSION => "LLB version",
        FRESHNESS => "freshness code",
        SIP => "System Integrity Protection",
        SECURE_BOOT => "secure boot",
        KERNEL_EXTENSIONS => "third-party kernel extensions",
        _ => return None,
    })
}

/// An Apple extension that this crate knows nothing about, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownExtension {
    /// The identifier in dotted form.
    pub oid: String,
    /// The extension's value: any bytes.
    pub value: Vec<u8>,
}

/// What a leaf states, decoded but not yet believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) serial: Option<String>,
    pub(crate) udid: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) os_version: Option<String>,
    pub(crate) sepos_version: Option<String>,
    pub(crate) llb_version: Option<String>,
    pub(crate) sip: Option<SystemIntegrityProtection>,
    pub(crate) secure_boot: Option<SecureBoot>,
    pub(crate) kernel_extensions: Option<KernelExtensions>,
    pub(crate) unknown: Vec<UnknownExtension>,
}

impl Properties {
    /// Decodes the properties among a leaf's extensions, which do not repeat.
    pub(crate) fn read(extensions: &[Extension<'_>]) -> Result<Self, Finding> {
        let mut properties = Self::default();
        for extension in extensions.iter().filter(|one| is_apple(one.oid)) {
            match property(extension)? {
                Property::Freshness(_) => {}
                Property::KernelExtensions(value) => properties.kernel_extensions = value,
                Property::SecureBoot(value) => properties.secure_boot = value,
                Property::Sip(value) => properties.sip = value,
                Property::Text(value) => match extension.oid {
                    SERIAL => properties.serial = value,
                    UDID => properties.udid = value,
                    MODEL => properties.model = value,
                    OS_VERSION => properties.os_version = value,
                    SEPOS_VERSION => properties.sepos_version = value,
                    _ => properties.llb_version = value,
                },
                Property::Unknown => properties.unknown.push(UnknownExtension {
                    oid: extension.oid.to_string(),
                    value: extension.value.to_owned(),
                }),
            }
        }
        Ok(properties)
    }
}

/// One extension's meaning; `None` where it is blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Property<'a> {
    Freshness(&'a [u8]),
    KernelExtensions(Option<KernelExtensions>),
    SecureBoot(Option<SecureBoot>),
    Sip(Option<SystemIntegrityProtection>),
    Text(Option<String>),
    Unknown,
}

/// Decodes one extension of Apple's arc.
pub(crate) fn property<'a>(extension: &Extension<'a>) -> Result<Property<'a>, Finding> {
    let value = extension.value;
    let decoded = match extension.oid {
        WEBAUTHN_NONCE => {
            return Err(Finding::new(
                Reason::WebauthnAnonymous,
                format!("extension {WEBAUTHN_NONCE} is the nonce of that format"),
            ));
        }
        SERIAL | UDID | MODEL | OS_VERSION | SEPOS_VERSION | LLB_VERSION => {
            text(value).map(Property::Text)
        }
        FRESHNESS => Ok(Property::Freshness(value)),
        SIP => integer(value).map(|number| {
            Property::Sip(number.map(|bytes| match bytes {
                [0] => SystemIntegrityProtection::Enabled,
                [1] => SystemIntegrityProtection::Disabled,
                _ => SystemIntegrityProtection::Other,
            }))
        }),
        SECURE_BOOT => text(value).map(|text| Property::SecureBoot(text.map(SecureBoot::from))),
        KERNEL_EXTENSIONS => integer(value).map(|number| {
            Property::KernelExtensions(number.map(|bytes| match bytes {
                [0] => KernelExtensions::NotAllowed,
                _ => KernelExtensions::Allowed,
            }))
        }),
        _ => Ok(Property::Unknown),
    };
    decoded.map_err(|fault| {
        let oid = extension.oid;
        Finding::new(
            Reason::PropertyMalformed,
            format!("{} ({oid}): {fault}", name(oid).unwrap_or_default()),
        )
    })
}

/// Raw text. Every DER wrapper around a string begins with a control
/// character (its tag), so that a wrapped string is never read as text.
fn text(value: &[u8]) -> Result<Option<String>, &'static str> {
    if value.len() > MAX_PROPERTY_BYTES {
        return Err("has more than 256 bytes");
    }
    let text = std::str::from_utf8(value).map_err(|_| "is not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("has control characters: wrapped in DER, or not text");
    }
    // Blank means that Apple did not verify it.
    Ok((!text.trim().is_empty()).then(|| text.to_owned()))
}

/// The content of a DER INTEGER in its one valid encoding, nothing behind it.
fn integer(value: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    match value {
        [0x02, length, content @ ..] if usize::from(*length) == content.len() && *length < 0x80 => {
            match content {
                [] => Err("is an INTEGER without content"),
                [0x00, next, ..] if *next < 0x80 => Err("is an INTEGER with a leading zero byte"),
                [0xff, next, ..] if *next >= 0x80 => Err("is an INTEGER with a leading 0xff byte"),
                _ => Ok(Some(content)),
            }
        }
        _ => Err("is not one DER INTEGER"),
    }
}

#[cfg(test)]
mod tests;
