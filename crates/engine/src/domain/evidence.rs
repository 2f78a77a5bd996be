/// The attested attribute that an identifier is compared with. Admission names
/// it; it is never "serial or UDID, whichever matches".
pub use assay_attest::Attribute;
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

/// What a verified attestation states about the device. `None`: not attested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// The serial number.
    pub serial: Option<String>,
    /// The UDID; on a Mac the provisioning UDID.
    pub udid: Option<String>,
    /// The software update device id, for example `J413AP`.
    pub model: Option<String>,
    /// The version of the operating system.
    pub os_version: Option<String>,
    /// The version of the Secure Enclave's operating system.
    pub sepos_version: Option<String>,
    /// The version of the low level bootloader.
    pub llb_version: Option<String>,
    /// Whether System Integrity Protection is on.
    pub sip_enabled: Option<bool>,
    /// The secure boot level, as text.
    pub secure_boot: Option<String>,
    /// Whether third-party kernel extensions are allowed.
    pub kernel_extensions_allowed: Option<bool>,
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
