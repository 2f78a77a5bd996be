//! What verified evidence proves.

use sha2::{Digest, Sha256};

use crate::{
    anchor::TrustAnchor,
    apple::{
        freshness::Freshness,
        posture::{KernelExtensions, SecureBoot, SystemIntegrityProtection},
        properties::{Properties, Property, UnknownExtension, Value},
    },
    attested::Attested,
    check::{Check, Outcome},
    version::Version,
    with_properties,
    x509::{certificate::Certificate, key::KeyKind},
};

macro_rules! attested_device {
    ($($(#[$doc:meta])* $field:ident: $type:ty, $property:ident, $suffix:literal, $name:literal;)*) => {
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
            $($(#[$doc])* pub $field: Attested<$type>,)*
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
            /// What a leaf proves, once all that it says is believed.
            pub(crate) fn new(
                leaf: &Certificate<'_>,
                properties: Properties,
                key: KeyKind,
                anchor: &TrustAnchor,
            ) -> Self {
                Self {
                    spki_der: leaf.spki.to_owned(),
                    spki_sha256: Sha256::digest(leaf.spki).into(),
                    key,
                    $(
                        $field: Attested::sort(
                            properties.$field.map(<$type as Value>::believed),
                            Value::is_good,
                        ),
                    )*
                    unknown_extensions: properties.unknown,
                    not_before: leaf.not_before,
                    not_after: leaf.not_after,
                    root_sha256: *anchor.sha256(),
                    root_name: anchor.name().to_owned(),
                    laboratory: anchor.is_laboratory(),
                }
            }

            /// What is attested of a property, good or bad, as text.
            #[must_use]
            pub fn text(&self, property: Property) -> Option<String> {
                match property {
                    $(Property::$property => self.$field.attested().map(ToString::to_string),)*
                }
            }
        }
    };
}

with_properties!(attested_device);

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
    /// What became of every check, in order: all of them passed.
    pub fn checks(&self) -> impl Iterator<Item = (Check, Outcome)> + use<> {
        Check::outcomes(None)
    }
}
