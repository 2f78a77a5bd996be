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

impl DeviceProperties {
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
