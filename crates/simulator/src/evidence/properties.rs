//! The attested properties of a device, and the extensions that carry them.

use super::{Extension, der};

/// Apple's extension identifiers in an attestation leaf
/// (Apple's schema `information.device.yaml`).
pub mod oids {
    /// The serial number, raw UTF-8.
    pub const SERIAL: &str = "1.2.840.113635.100.8.9.1";
    /// The UDID (on a Mac the provisioning UDID), raw UTF-8.
    pub const UDID: &str = "1.2.840.113635.100.8.9.2";
    /// The software update device id (model), raw UTF-8.
    pub const MODEL: &str = "1.2.840.113635.100.8.9.4";
    /// The version of the operating system, raw UTF-8.
    pub const OS_VERSION: &str = "1.2.840.113635.100.8.10.1";
    /// The version of sepOS, raw UTF-8.
    pub const SEPOS_VERSION: &str = "1.2.840.113635.100.8.10.2";
    /// The version of the low level bootloader, raw UTF-8.
    pub const LLB_VERSION: &str = "1.2.840.113635.100.8.10.3";
    /// The freshness code, raw bytes.
    pub const FRESHNESS: &str = "1.2.840.113635.100.8.11.1";
    /// System Integrity Protection, a DER INTEGER.
    pub const SIP: &str = "1.2.840.113635.100.8.13.1";
    /// Secure boot, raw text.
    pub const SECURE_BOOT: &str = "1.2.840.113635.100.8.13.2";
    /// Third-party kernel extensions, a DER INTEGER.
    pub const KERNEL_EXTENSIONS: &str = "1.2.840.113635.100.8.13.3";
    /// The nonce of WebAuthn's anonymous "apple" format, which never occurs in an attestation of a
    /// managed device.
    pub const WEBAUTHN_NONCE: &str = "1.2.840.113635.100.8.2";
}

/// The properties of one device. `None` omits the extension; an empty value writes an empty
/// extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceProperties {
    /// The serial number.
    pub serial: Option<String>,
    /// The UDID.
    pub udid: Option<String>,
    /// The software update device id, e.g. `J413AP`.
    pub model: Option<String>,
    /// The version of the operating system, e.g. `15.5`.
    pub os_version: Option<String>,
    /// The version of sepOS.
    pub sepos_version: Option<String>,
    /// The version of the low level bootloader.
    pub llb_version: Option<String>,
    /// System Integrity Protection: 0 = enabled, 1 = disabled.
    pub sip: Option<u8>,
    /// `Full Security`, `Reduced Security` or `Permissive Security`.
    pub secure_boot: Option<String>,
    /// Third-party kernel extensions: 0 = not allowed, otherwise allowed.
    pub kernel_extensions: Option<u8>,
}

/// Why a property cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// It is stated as a number from 0 to 255.
    #[error("not a number from 0 to 255")]
    NotANumber,
    /// There is no property of this name.
    #[error("no property of this name")]
    Unknown,
}

impl DeviceProperties {
    /// The names of all properties, as recordings have them.
    pub const NAMES: [&'static str; 9] = [
        "serial",
        "udid",
        "model",
        "os_version",
        "sepos_version",
        "llb_version",
        "sip",
        "secure_boot",
        "kernel_extensions",
    ];

    /// Sets the property with this name; `None` omits it. The value is the one that the evidence
    /// states: `1` for System Integrity Protection that is disabled.
    ///
    /// # Errors
    /// There is no such property, or its value is a number and this is none.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), PropertyError> {
        let text = || value.map(str::to_owned);
        let number = || {
            let number = value.map(str::parse).transpose();
            number.map_err(|_| PropertyError::NotANumber)
        };
        match name {
            "serial" => self.serial = text(),
            "udid" => self.udid = text(),
            "model" => self.model = text(),
            "os_version" => self.os_version = text(),
            "sepos_version" => self.sepos_version = text(),
            "llb_version" => self.llb_version = text(),
            "sip" => self.sip = number()?,
            "secure_boot" => self.secure_boot = text(),
            "kernel_extensions" => self.kernel_extensions = number()?,
            _ => return Err(PropertyError::Unknown),
        }
        Ok(())
    }

    /// The leaf's extensions for these properties and the freshness code, ordered by identifier,
    /// none critical.
    #[must_use]
    pub fn extensions(&self, freshness: &[u8]) -> Vec<Extension> {
        let text = |oid, value: &Option<String>| {
            value
                .as_ref()
                .map(|text| Extension::new(oid, text.as_bytes()))
        };
        let integer = |oid, value: Option<u8>| {
            value.map(|number| Extension::new(oid, &der::integer(number.into())))
        };
        [
            text(oids::SERIAL, &self.serial),
            text(oids::UDID, &self.udid),
            text(oids::MODEL, &self.model),
            text(oids::OS_VERSION, &self.os_version),
            text(oids::SEPOS_VERSION, &self.sepos_version),
            text(oids::LLB_VERSION, &self.llb_version),
            Some(Extension::new(oids::FRESHNESS, freshness)),
            integer(oids::SIP, self.sip),
            text(oids::SECURE_BOOT, &self.secure_boot),
            integer(oids::KERNEL_EXTENSIONS, self.kernel_extensions),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_sets_one_property_and_omits_it() {
        let full = DeviceProperties::mac("SERIAL", "UDID");
        for name in DeviceProperties::NAMES {
            let mut changed = full.clone();
            changed.set(name, Some("7")).unwrap();
            assert_eq!(changed.extensions(&[]).len(), 10, "{name}");
            assert_ne!(changed, full, "{name}");
            changed.set(name, None).unwrap();
            assert_eq!(changed.extensions(&[]).len(), 9, "{name}");
        }
        let mut properties = full.clone();
        assert_eq!(
            properties.set("SIP", Some("0")),
            Err(PropertyError::Unknown)
        );
        let error = Err(PropertyError::NotANumber);
        assert_eq!(properties.set("sip", Some("enabled")), error);
        assert_eq!(properties.set("kernel_extensions", Some("256")), error);
        assert_eq!(properties, full);
    }
}
