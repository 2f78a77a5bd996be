//! What a fault of a certificate or a path means for the evidence.

use crate::{
    apple::properties,
    check::Check,
    reason::{Finding, Reason, Refusal},
    x509::{Fault, FaultKind},
};

/// Turns a finding, or a fault of X.509, into the refusal by this check.
pub(crate) fn during<F: Into<Finding>>(check: Check) -> impl Fn(F) -> Refusal {
    move |finding| finding.into().during(check)
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        Self {
            reason: match fault.kind {
                FaultKind::CertificateMalformed => Reason::CertificateMalformed,
                FaultKind::CertificateSerialNumber => Reason::CertificateSerialNumber,
                FaultKind::CertificateTooLarge => Reason::CertificateTooLarge,
                FaultKind::CertificateVersion => Reason::CertificateVersion,
                FaultKind::DuplicateExtension(oid) => {
                    properties::repetition(oid).unwrap_or(Reason::DuplicateExtension)
                }
                FaultKind::Expired => Reason::Expired,
                FaultKind::ExtensionMalformed => Reason::ExtensionMalformed,
                FaultKind::IssuerMismatch => Reason::IssuerMismatch,
                FaultKind::KeyIdentifierMismatch => Reason::KeyIdentifierMismatch,
                FaultKind::KeyNotSupported => Reason::KeyNotSupported,
                FaultKind::KeyUsage => Reason::KeyUsage,
                FaultKind::LeafIsCa => Reason::LeafIsCa,
                FaultKind::NameConstraints => Reason::NameConstraints,
                FaultKind::NotACa => Reason::NotACa,
                FaultKind::NotYetValid => Reason::NotYetValid,
                FaultKind::PathLengthExceeded => Reason::PathLengthExceeded,
                FaultKind::SignatureAlgorithmMismatch => Reason::SignatureAlgorithmMismatch,
                FaultKind::SignatureAlgorithmNotSupported => Reason::SignatureAlgorithmNotSupported,
                FaultKind::TooManyAttributes => Reason::TooManyAttributes,
                FaultKind::TooManyExtensions => Reason::TooManyExtensions,
                FaultKind::UnknownCriticalExtension => Reason::UnknownCriticalExtension,
            },
            detail: fault.detail,
        }
    }
}
