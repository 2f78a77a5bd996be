//! Apple's extensions in an attestation leaf, each in its own type.
//!
//! The identifiers are documented in Apple's device management schema
//! (`information.device.yaml`, `DevicePropertiesAttestation`); the encodings
//! are those of live certificates. [`with_properties`](crate::with_properties)
//! is the table of the device's properties, [`Value`] their encodings. Beside
//! them stands the freshness code (11.1, raw bytes). All other extensions of the
//! arc are kept raw. A blank value is an absent one.

use std::fmt;

use const_oid::ObjectIdentifier;

use super::{
    limits::MAX_PROPERTY_BYTES,
    posture::{KernelExtensions, SecureBoot, SystemIntegrityProtection},
};
use crate::reason::{Finding, Reason};
use crate::version::Version;
use crate::x509::extension::Extension;

/// Passes the table of all attested properties to a macro. One row per property:
/// documentation, the field's name (also the JSON key in recordings), its type,
/// the variant of [`Property`](crate::Property), the identifier's suffix in
/// Apple's arc, and the name for people.
///
/// Types with one field per property are defined by it, here and in the crates
/// above, so that a new property is one row. Code that must decide about a
/// property matches on `Property`, and the compiler reports what is missing.
#[macro_export]
macro_rules! with_properties {
    ($callback:ident) => {
        $callback! {
            /// The serial number (Apple schema: `1.2.840.113635.100.8.9.1`).
            serial: String, Serial, "9.1", "serial number";
            /// The UDID, on a Mac the provisioning UDID (`..8.9.2`).
            udid: String, Udid, "9.2", "UDID";
            /// The software update device id, e.g. `J413AP` (`..8.9.4`).
            model: String, Model, "9.4", "model";
            /// The version of the operating system (`..8.10.1`).
            os_version: Version, OsVersion, "10.1", "OS version";
            /// The version of sepOS (`..8.10.2`).
            sepos_version: Version, SeposVersion, "10.2", "sepOS version";
            /// The version of the low level bootloader (`..8.10.3`).
            llb_version: Version, LlbVersion, "10.3", "LLB version";
            /// System Integrity Protection (`..8.13.1`): good is enabled.
            sip: SystemIntegrityProtection, Sip, "13.1", "System Integrity Protection";
            /// The secure boot level (`..8.13.2`): good is full security.
            secure_boot: SecureBoot, SecureBoot, "13.2", "secure boot";
            /// Third-party kernel extensions (`..8.13.3`): good is not allowed.
            kernel_extensions: KernelExtensions, KernelExtensions, "13.3",
                "third-party kernel extensions";
        }
    };
}

/// Apple's arc of certificate extensions for attestation, to which suffixes are
/// appended.
macro_rules! arc {
    ($($suffix:literal)?) => {
        concat!("1.2.840.113635.100.8", $(".", $suffix)?)
    };
}

const ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap(arc!());
/// The nonce of WebAuthn's anonymous attestation format, which has the name
/// "apple" too, and another root.
const WEBAUTHN_NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap(arc!("2"));
pub(crate) const FRESHNESS: ObjectIdentifier = ObjectIdentifier::new_unwrap(arc!("11.1"));

macro_rules! properties {
    ($($(#[$doc:meta])* $field:ident: $type:ty, $property:ident, $suffix:literal, $name:literal;)*) => {
        /// A property that an attestation can state of a device.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Property {
            $($(#[$doc])* $property,)*
        }

        impl Property {
            /// Every property, in the order of recordings.
            pub const ALL: &[Self] = &[$(Self::$property),*];

            /// The stable name, as recordings have it: for example `os_version`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$property => stringify!($field),)*
                }
            }

            /// The name for people.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$property => $name,)*
                }
            }

            /// The identifier of the extension that states it, in dotted form.
            #[must_use]
            pub const fn oid(self) -> &'static str {
                match self {
                    $(Self::$property => arc!($suffix),)*
                }
            }

            /// The property that the extension of this identifier states.
            fn of(oid: ObjectIdentifier) -> Option<Self> {
                $(
                    if oid == const { ObjectIdentifier::new_unwrap(arc!($suffix)) } {
                        return Some(Self::$property);
                    }
                )*
                None
            }

            /// What its extension says, for people; `None` where it is blank.
            fn text(self, extension: &Extension<'_>) -> Result<Option<String>, Finding> {
                Ok(match self {
                    $(Self::$property => self.stated::<$type>(extension)?
                        .map(|stated| stated.to_string()),)*
                })
            }
        }

        /// What a leaf states, decoded but not yet believed.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Properties {
            $(pub(crate) $field: Option<<$type as Value>::Stated>,)*
            pub(crate) unknown: Vec<UnknownExtension>,
        }

        impl Properties {
            fn set(
                &mut self,
                property: Property,
                extension: &Extension<'_>,
            ) -> Result<(), Finding> {
                match property {
                    $(Property::$property => self.$field = property.stated::<$type>(extension)?,)*
                }
                Ok(())
            }
        }
    };
}

with_properties!(properties);

/// How a property of this type is written, and which of its values are good.
pub(crate) trait Value: Sized {
    /// The value before it is believed.
    type Stated: fmt::Display;

    /// Reads an extension's value; `None` where it is blank.
    fn read(value: &[u8]) -> Result<Option<Self::Stated>, &'static str>;

    /// The value, once every check passed.
    fn believed(stated: Self::Stated) -> Self;

    /// Whether it is the state that a policy asks for.
    fn is_good(&self) -> bool;
}

/// Raw UTF-8.
impl Value for String {
    type Stated = Self;

    fn read(value: &[u8]) -> Result<Option<Self>, &'static str> {
        text(value)
    }

    fn believed(stated: Self) -> Self {
        stated
    }

    fn is_good(&self) -> bool {
        true
    }
}

/// Raw UTF-8. Good is a version whose numbers can be compared; they are read only
/// of one that is believed.
impl Value for Version {
    type Stated = String;

    fn read(value: &[u8]) -> Result<Option<String>, &'static str> {
        text(value)
    }

    fn believed(stated: String) -> Self {
        Self::of(stated)
    }

    fn is_good(&self) -> bool {
        self.is_numeric()
    }
}

/// DER INTEGER, 0 = enabled.
impl Value for SystemIntegrityProtection {
    type Stated = Self;

    fn read(value: &[u8]) -> Result<Option<Self>, &'static str> {
        Ok(integer(value)?.map(|number| match number {
            [0] => Self::Enabled,
            [1] => Self::Disabled,
            _ => Self::Other,
        }))
    }

    fn believed(stated: Self) -> Self {
        stated
    }

    fn is_good(&self) -> bool {
        *self == Self::Enabled
    }
}

/// Raw UTF-8.
impl Value for SecureBoot {
    type Stated = Self;

    fn read(value: &[u8]) -> Result<Option<Self>, &'static str> {
        Ok(text(value)?.map(Self::from))
    }

    fn believed(stated: Self) -> Self {
        stated
    }

    fn is_good(&self) -> bool {
        *self == Self::Full
    }
}

/// DER INTEGER, 0 = not allowed.
impl Value for KernelExtensions {
    type Stated = Self;

    fn read(value: &[u8]) -> Result<Option<Self>, &'static str> {
        Ok(integer(value)?.map(|number| match number {
            [0] => Self::NotAllowed,
            _ => Self::Allowed,
        }))
    }

    fn believed(stated: Self) -> Self {
        stated
    }

    fn is_good(&self) -> bool {
        *self == Self::NotAllowed
    }
}

/// An Apple extension that this crate knows nothing about, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownExtension {
    /// The identifier in dotted form.
    pub oid: String,
    /// The extension's value: any bytes.
    pub value: Vec<u8>,
}

impl Property {
    /// The property that the extension of this identifier (in dotted form)
    /// states.
    #[must_use]
    pub fn of_oid(oid: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.oid() == oid)
    }

    fn stated<T: Value>(self, extension: &Extension<'_>) -> Result<Option<T::Stated>, Finding> {
        T::read(extension.value).map_err(|fault| {
            let (name, oid) = (self.name(), extension.oid);
            Finding::new(
                Reason::PropertyMalformed,
                format!("{name} ({oid}): {fault}"),
            )
        })
    }
}

impl Properties {
    /// Decodes the properties among a leaf's extensions, which do not repeat.
    pub(crate) fn read(extensions: &[Extension<'_>]) -> Result<Self, Finding> {
        let mut properties = Self::default();
        for extension in extensions.iter().filter(|one| is_apple(one.oid)) {
            match extension.oid {
                FRESHNESS => {}
                WEBAUTHN_NONCE => return Err(webauthn_anonymous()),
                oid => match Property::of(oid) {
                    Some(property) => properties.set(property, extension)?,
                    None => properties.unknown.push(UnknownExtension {
                        oid: oid.to_string(),
                        value: extension.value.to_owned(),
                    }),
                },
            }
        }
        Ok(properties)
    }
}

/// Whether an identifier belongs to Apple's arc.
pub(crate) fn is_apple(oid: ObjectIdentifier) -> bool {
    oid.as_bytes().starts_with(ARC.as_bytes())
}

/// Whether this crate decodes the extension, so that it may be critical.
pub(crate) fn is_understood(oid: ObjectIdentifier) -> bool {
    oid == FRESHNESS || Property::of(oid).is_some()
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
    match oid {
        FRESHNESS => Some("freshness code"),
        WEBAUTHN_NONCE => Some("WebAuthn nonce"),
        _ => Property::of(oid).map(Property::name),
    }
}

/// What an extension of Apple's says of the device, for people; `None` where it
/// says nothing of it that this crate knows.
pub(crate) fn shown(extension: &Extension<'_>) -> Result<Option<String>, Finding> {
    match extension.oid {
        WEBAUTHN_NONCE => Err(webauthn_anonymous()),
        oid => Property::of(oid).map_or(Ok(None), |property| property.text(extension)),
    }
}

fn webauthn_anonymous() -> Finding {
    Finding::new(
        Reason::WebauthnAnonymous,
        format!("extension {WEBAUTHN_NONCE} is the nonce of that format"),
    )
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
