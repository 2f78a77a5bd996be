//! What verified evidence proves.

use crate::{
    apple::UnknownExtension,
    key::KeyKind,
    posture::{KernelExtensions, Posture, SecureBoot, SystemIntegrityProtection},
};

/// A device that an attestation authority vouches for, together with the key
/// that it holds. A value of this type went through every check of
/// [`Verifier`](crate::Verifier); whether its facts are the ones that a policy
/// wants is the caller's question.
///
/// A property is `None` where the authority left it out or blank.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttestedDevice {
    /// The SubjectPublicKeyInfo of the attested key, DER, byte for byte as in
    /// the leaf: the one key that a certificate may be issued for.
    pub spki_der: Vec<u8>,
    /// The SHA-256 of [`spki_der`](Self::spki_der).
    pub spki_sha256: [u8; 32],
    /// The kind of the attested key.
    pub key: KeyKind,
    /// The serial number (Apple schema: `1.2.840.113635.100.8.9.1`).
    pub serial: Option<String>,
    /// The UDID, on a Mac the provisioning UDID (`..8.9.2`).
    pub udid: Option<String>,
    /// The software update device id, e.g. `J413AP` (`..8.9.4`).
    pub model: Option<String>,
    /// The version of the operating system (`..8.10.1`).
    pub os_version: Option<String>,
    /// The version of sepOS (`..8.10.2`).
    pub sepos_version: Option<String>,
    /// The version of the low level bootloader (`..8.10.3`).
    pub llb_version: Option<String>,
    /// System Integrity Protection (`..8.13.1`).
    pub sip: Option<SystemIntegrityProtection>,
    /// The secure boot level (`..8.13.2`).
    pub secure_boot: Option<SecureBoot>,
    /// Third-party kernel extensions (`..8.13.3`).
    pub kernel_extensions: Option<KernelExtensions>,
    /// Apple extensions of other identifiers, in the leaf's order.
    pub unknown_extensions: Vec<UnknownExtension>,
    /// Start of the leaf's validity, seconds since the Unix epoch.
    pub not_before: u64,
    /// End of the leaf's validity, seconds since the Unix epoch.
    pub not_after: u64,
    /// The SHA-256 of the root certificate that vouched.
    pub root_sha256: [u8; 32],
    /// The name of that root.
    pub root_name: String,
    /// Whether that root is any other than Apple's.
    pub laboratory: bool,
}

impl AttestedDevice {
    /// Whether System Integrity Protection is attested to be enabled.
    #[must_use]
    pub fn sip_posture(&self) -> Posture {
        posture(self.sip.as_ref(), &SystemIntegrityProtection::Enabled)
    }

    /// Whether secure boot is attested to be at its full level.
    #[must_use]
    pub fn secure_boot_posture(&self) -> Posture {
        posture(self.secure_boot.as_ref(), &SecureBoot::Full)
    }

    /// Whether third-party kernel extensions are attested to be forbidden.
    #[must_use]
    pub fn kernel_extensions_posture(&self) -> Posture {
        posture(
            self.kernel_extensions.as_ref(),
            &KernelExtensions::NotAllowed,
        )
    }
}

fn posture<T: PartialEq>(attested: Option<&T>, good: &T) -> Posture {
    match attested {
        None => Posture::NotAttested,
        Some(state) if state == good => Posture::Good,
        Some(_) => Posture::Bad,
    }
}
