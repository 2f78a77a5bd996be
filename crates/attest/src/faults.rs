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

#[cfg(test)]
mod tests {
    use const_oid::ObjectIdentifier;

    use super::*;

    #[test]
    fn a_fault_is_the_reason_of_its_name() {
        use FaultKind as K;

        for kind in [
            K::CertificateMalformed,
            K::CertificateSerialNumber,
            K::CertificateTooLarge,
            K::CertificateVersion,
            K::Expired,
            K::ExtensionMalformed,
            K::IssuerMismatch,
            K::KeyIdentifierMismatch,
            K::KeyNotSupported,
            K::KeyUsage,
            K::LeafIsCa,
            K::NameConstraints,
            K::NotACa,
            K::NotYetValid,
            K::PathLengthExceeded,
            K::SignatureAlgorithmMismatch,
            K::SignatureAlgorithmNotSupported,
            K::TooManyAttributes,
            K::TooManyExtensions,
            K::UnknownCriticalExtension,
        ] {
            let finding = Finding::from(Fault::new(kind, "detail"));
            assert_eq!(format!("{:?}", finding.reason), format!("{kind:?}"));
            assert_eq!(finding.detail, "detail");
        }
    }

    #[test]
    fn a_repeated_extension_is_refused_for_what_it_is() {
        for (oid, reason) in [
            ("1.2.840.113635.100.8.11.1", Reason::FreshnessRepeated),
            ("1.2.840.113635.100.8.9.1", Reason::PropertyRepeated),
            ("1.2.840.113635.100.8.99.1", Reason::PropertyRepeated),
            ("2.5.29.19", Reason::DuplicateExtension),
        ] {
            let kind = FaultKind::DuplicateExtension(ObjectIdentifier::new(oid).unwrap());
            assert_eq!(Finding::from(Fault::new(kind, "")).reason, reason, "{oid}");
        }
    }
}
