//! What verified evidence proves.

use sha2::{Digest, Sha256};

use crate::{
    anchor::TrustAnchor,
    apple::{
        freshness::Freshness,
        posture::{KernelExtensions, SecureBoot, SystemIntegrityProtection},
        properties::{Properties, UnknownExtension},
    },
    attested::Attested,
    check::{Check, Outcome},
    version::Version,
    x509::{certificate::Certificate, key::KeyKind},
};

/// A device that an attestation authority vouches for, together with the key
/// that it holds. A value of this type went through every check of
/// [`Verifier`](crate::Verifier); whether its facts are the ones that a policy
/// wants is the caller's question.
///
/// A text (serial number, UDID, model) is good where it is attested; a version
/// is bad where it has no numbers to compare; what state of a Mac is good
/// stands at the property.
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
    pub serial: Attested<String>,
    /// The UDID, on a Mac the provisioning UDID (`..8.9.2`).
    pub udid: Attested<String>,
    /// The software update device id, e.g. `J413AP` (`..8.9.4`).
    pub model: Attested<String>,
    /// The version of the operating system (`..8.10.1`).
    pub os_version: Attested<Version>,
    /// The version of sepOS (`..8.10.2`).
    pub sepos_version: Attested<Version>,
    /// The version of the low level bootloader (`..8.10.3`).
    pub llb_version: Attested<Version>,
    /// System Integrity Protection (`..8.13.1`): good is enabled.
    pub sip: Attested<SystemIntegrityProtection>,
    /// The secure boot level (`..8.13.2`): good is full security.
    pub secure_boot: Attested<SecureBoot>,
    /// Third-party kernel extensions (`..8.13.3`): good is not allowed.
    pub kernel_extensions: Attested<KernelExtensions>,
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

/// What the `DevicePropertiesAttestation` of a DeviceInformation answer proves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInformation {
    /// The device. Whether it is the one that was asked is a question of its
    /// own: [`AttestedDevice::check_identity`].
    pub device: AttestedDevice,
    /// Whether the attestation was made for the latest nonce.
    pub freshness: Freshness,
    /// When the nonce that it was made for was sent (the first time), seconds
    /// since the Unix epoch. It is not older than that.
    pub nonce_sent: u64,
}

impl AttestedDevice {
    /// What a leaf proves, once all that it says is believed.
    pub(crate) fn new(
        leaf: &Certificate<'_>,
        properties: Properties,
        key: KeyKind,
        anchor: &TrustAnchor,
    ) -> Self {
        let text = |value| Attested::sort(value, |_| true);
        let version =
            |value: Option<String>| Attested::sort(value.map(Version::of), Version::is_numeric);
        Self {
            spki_der: leaf.spki.to_owned(),
            spki_sha256: Sha256::digest(leaf.spki).into(),
            key,
            serial: text(properties.serial),
            udid: text(properties.udid),
            model: text(properties.model),
            os_version: version(properties.os_version),
            sepos_version: version(properties.sepos_version),
            llb_version: version(properties.llb_version),
            sip: Attested::sort(properties.sip, |state| {
                *state == SystemIntegrityProtection::Enabled
            }),
            secure_boot: Attested::sort(properties.secure_boot, |state| *state == SecureBoot::Full),
            kernel_extensions: Attested::sort(properties.kernel_extensions, |state| {
                *state == KernelExtensions::NotAllowed
            }),
            unknown_extensions: properties.unknown,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            root_sha256: *anchor.sha256(),
            root_name: anchor.name().to_owned(),
            laboratory: anchor.is_laboratory(),
        }
    }

    /// What became of every check, in order: all of them passed.
    pub fn checks(&self) -> impl Iterator<Item = (Check, Outcome)> + use<> {
        Check::outcomes(None)
    }
}
