/// The attested attribute that an identifier is compared with. Admission names
/// it; it is never "serial or UDID, whichever matches".
pub use assay_attest::Attribute;
use assay_attest::{
    AttestedDevice, KernelExtensions, Property, SecureBoot, SystemIntegrityProtection, Version,
};
use assay_proto::Timestamp;

/// The kind of an attested key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the curves' names say it")]
pub enum KeyKind {
    P256,
    P384,
}

impl KeyKind {
    /// Returns the curve's name for logs and commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }
}

/// Defines [`DeviceFacts`]. One row per fact: its name (also the key in an
/// operator's answers), its type, the attested property, that property's field in
/// [`AttestedDevice`], and the function that makes the fact of it. The compiler
/// reports a property without a row.
macro_rules! facts {
    ($($(#[$doc:meta])* $fact:ident: $type:ty = $property:ident as $field:ident, $keep:expr;)*) => {
        /// What a verified attestation states about the device, good or bad.
        /// `None`: not attested.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct DeviceFacts {
            $($(#[$doc])* pub $fact: Option<$type>,)*
        }

        impl DeviceFacts {
            /// The facts of a verified device.
            #[must_use]
            pub fn of(device: &AttestedDevice) -> Self {
                Self {
                    $($fact: device.$field.attested().map($keep),)*
                }
            }

            /// Every fact with its name, as text.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, Option<String>)> {
                vec![$((stringify!($fact), self.$fact.as_ref().map(Fact::text)),)*]
            }
        }

        const _: fn(Property) = |property| match property {
            $(Property::$property => {})*
        };
    };
}

facts! {
    /// The serial number.
    serial: String = Serial as serial, String::clone;
    /// The UDID; on a Mac the provisioning UDID.
    udid: String = Udid as udid, String::clone;
    /// The software update device id, for example `J413AP`.
    model: String = Model as model, String::clone;
    /// The version of the operating system.
    os_version: String = OsVersion as os_version, Version::to_string;
    /// The version of the Secure Enclave's operating system.
    sepos_version: String = SeposVersion as sepos_version, Version::to_string;
    /// The version of the low level bootloader.
    llb_version: String = LlbVersion as llb_version, Version::to_string;
    /// Whether System Integrity Protection is on.
    sip_enabled: bool = Sip as sip, |sip| *sip == SystemIntegrityProtection::Enabled;
    /// The secure boot level, as text.
    secure_boot: String = SecureBoot as secure_boot, SecureBoot::to_string;
    /// Whether third-party kernel extensions are allowed.
    kernel_extensions_allowed: bool =
        KernelExtensions as kernel_extensions, |state| *state != KernelExtensions::NotAllowed;
}

/// How commands show a fact.
trait Fact {
    fn text(&self) -> String;
}

impl Fact for String {
    fn text(&self) -> String {
        self.clone()
    }
}

/// `yes` or `no`.
impl Fact for bool {
    fn text(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

/// The result of a successful appraisal, kept instead of the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// SHA-256 of the attested key's SubjectPublicKeyInfo. A certificate is
    /// only issued for a CSR with this key.
    pub spki_sha256: [u8; 32],
    /// The kind of the key.
    pub key: KeyKind,
    /// What was attested about the device.
    pub facts: DeviceFacts,
    /// SHA-256 of the root certificate.
    pub root_sha256: [u8; 32],
    /// SHA-256 of the attestation object.
    pub object_sha256: [u8; 32],
    /// When it was appraised.
    pub at: Timestamp,
}
