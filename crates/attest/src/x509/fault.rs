//! What is wrong with a certificate or a path.

use std::fmt;

use const_oid::ObjectIdentifier;

use super::tlv::Malformed;

/// What is wrong with a certificate or a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// The exact finding. It may quote the certificate.
    pub(crate) detail: String,
}

/// The rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    CertificateMalformed,
    CertificateSerialNumber,
    CertificateTooLarge,
    CertificateVersion,
    /// This extension is there twice.
    DuplicateExtension(ObjectIdentifier),
    Expired,
    ExtensionMalformed,
    IssuerMismatch,
    KeyIdentifierMismatch,
    KeyNotSupported,
    KeyUsage,
    LeafIsCa,
    NameConstraints,
    NotACa,
    NotYetValid,
    PathLengthExceeded,
    SignatureAlgorithmMismatch,
    SignatureAlgorithmNotSupported,
    TooManyAttributes,
    TooManyExtensions,
    UnknownCriticalExtension,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// The same fault, its detail beginning with the place.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.detail = format!("{place}: {}", self.detail);
        self
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::new(FaultKind::CertificateMalformed, malformed.0)
    }
}

impl From<der::Error> for Fault {
    fn from(error: der::Error) -> Self {
        Self::new(FaultKind::CertificateMalformed, error.to_string())
    }
}
