//! Whether a device is the one that is meant.

use crate::device::AttestedDevice;

/// An attested property that tells one device from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// The serial number, 1.2.840.113635.100.8.9.1.
    Serial,
    /// The UDID, 1.2.840.113635.100.8.9.2; on a Mac the provisioning UDID.
    Udid,
}

impl Attribute {
    /// Its name, as configurations, logs and recordings have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Udid => "udid",
        }
    }
}

/// Why a device is not the one that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IdentityFault {
    /// It is another device.
    #[error("the attestation is of another device")]
    Mismatch,
    /// The evidence does not state the attribute.
    #[error("the attestation does not state the device's {}", .0.as_str())]
    NotAttested(Attribute),
}

impl IdentityFault {
    /// The fault's name, in kebab case. It never changes: logs, metrics and
    /// recordings rely on it, beside those of [`Reason`](crate::Reason).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mismatch => "identifier-mismatch",
            Self::NotAttested(Attribute::Serial) => "serial-not-attested",
            Self::NotAttested(Attribute::Udid) => "udid-not-attested",
        }
    }
}

impl AttestedDevice {
    /// Compares one attribute with the text that it is expected to be.
    ///
    /// draft-ietf-acme-device-attest, section 5: "Verify that the attestation
    /// statement contains a device identifier and that it matches the
    /// identifier in the Order." Octet for octet, and with this attribute
    /// alone: never "serial or UDID, whichever matches".
    ///
    /// # Errors
    /// The evidence does not state the attribute, or states another text.
    pub fn check_identity(
        &self,
        attribute: Attribute,
        expected: &str,
    ) -> Result<(), IdentityFault> {
        match self.attribute(attribute) {
            None => Err(IdentityFault::NotAttested(attribute)),
            Some(attested) if attested == expected => Ok(()),
            Some(_) => Err(IdentityFault::Mismatch),
        }
    }

    /// The attested text of an attribute.
    #[must_use]
    pub fn attribute(&self, attribute: Attribute) -> Option<&str> {
        match attribute {
            Attribute::Serial => &self.serial,
            Attribute::Udid => &self.udid,
        }
        .good()
        .map(String::as_str)
    }
}
