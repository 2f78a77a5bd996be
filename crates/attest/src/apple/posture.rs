//! The state of a Mac as its attestation gives it (macOS 14.2 and later).

use std::fmt;

/// System Integrity Protection (1.2.840.113635.100.8.13.1): an INTEGER, of
/// which Apple documents 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemIntegrityProtection {
    /// 1.
    Disabled,
    /// 0: the good state.
    Enabled,
    /// Any other number.
    Other,
}

/// The secure boot level (1.2.840.113635.100.8.13.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecureBoot {
    /// `Full Security`: the good state.
    Full,
    /// Any other text.
    Other(String),
    /// `Permissive Security`.
    Permissive,
    /// `Reduced Security`.
    Reduced,
}

/// Third-party kernel extensions (1.2.840.113635.100.8.13.3): an INTEGER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelExtensions {
    /// Any number but 0.
    Allowed,
    /// 0: the good state.
    NotAllowed,
}

impl fmt::Display for SystemIntegrityProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Other => "unknown",
        })
    }
}

impl fmt::Display for SecureBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Full => "Full Security",
            Self::Other(text) => text,
            Self::Permissive => "Permissive Security",
            Self::Reduced => "Reduced Security",
        })
    }
}

impl fmt::Display for KernelExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allowed => "allowed",
            Self::NotAllowed => "not allowed",
        })
    }
}

impl From<String> for SecureBoot {
    fn from(text: String) -> Self {
        match text.as_str() {
            "Full Security" => Self::Full,
            "Permissive Security" => Self::Permissive,
            "Reduced Security" => Self::Reduced,
            _ => Self::Other(text),
        }
    }
}
