//! RFC 5280 section 6.1, as far as attestation chains need it: everything
//! that can be said without a signature. The crate's documentation lists what
//! is applied and what is left out.

use const_oid::ObjectIdentifier;

use super::{
    Fault, FaultKind,
    certificate::Certificate,
    extension::{
        AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, KEY_USAGE,
        NAME_CONSTRAINTS, SUBJECT_KEY_IDENTIFIER,
    },
    key::PublicKey,
    signature::SignatureAlgorithm,
    time::utc,
};

/// RFC 5280 section 6.1.3 (a)(2): "The certificate validity period includes
/// the current time." Both ends belong to it (section 4.1.2.5).
pub(crate) fn check_validity(not_before: u64, not_after: u64, now: u64) -> Result<(), Fault> {
    if now < not_before {
        return Err(Fault::new(
            FaultKind::NotYetValid,
            format!("valid from {}, now {}", utc(not_before), utc(now)),
        ));
    }
    if now > not_after {
        return Err(Fault::new(
            FaultKind::Expired,
            format!("valid until {}, now {}", utc(not_after), utc(now)),
        ));
    }
    Ok(())
}

/// RFC 5280 section 6.1.3 (a)(4): "The certificate issuer name is the
/// working_issuer_name." Names are compared as bytes: section 7.1 would fold
/// case and spaces, which no issuer of these chains needs.
pub(crate) fn check_issued_by(
    certificate: &Certificate<'_>,
    issuer_name: &[u8],
    issuer_key_identifier: Option<&[u8]>,
) -> Result<(), Fault> {
    if certificate.issuer != issuer_name {
        return Err(Fault::new(
            FaultKind::IssuerMismatch,
            "its issuer is not the subject of the next certificate",
        ));
    }
    let named = match certificate.extension(AUTHORITY_KEY_IDENTIFIER) {
        Some(extension) => extension.authority_key_identifier()?,
        None => None,
    };
    match (named, issuer_key_identifier) {
        (Some(named), Some(actual)) if named != actual => Err(Fault::new(
            FaultKind::KeyIdentifierMismatch,
            "its authorityKeyIdentifier is not the issuer's subjectKeyIdentifier",
        )),
        _ => Ok(()),
    }
}

/// What a certificate must be to issue others; gives its path length
/// constraint.
pub(crate) fn check_ca(certificate: &Certificate<'_>) -> Result<Option<u8>, Fault> {
    check_extensions(certificate, |oid| {
        [
            AUTHORITY_KEY_IDENTIFIER,
            BASIC_CONSTRAINTS,
            KEY_USAGE,
            SUBJECT_KEY_IDENTIFIER,
        ]
        .contains(&oid)
    })?;
    // RFC 5280 section 6.1.4 (k): "If certificate i is a version 3
    // certificate, verify that the basicConstraints extension is present and
    // that cA is set to TRUE."
    let constraints = match certificate.extension(BASIC_CONSTRAINTS) {
        Some(extension) => extension.basic_constraints()?,
        None => {
            return Err(Fault::new(FaultKind::NotACa, "basicConstraints is absent"));
        }
    };
    if !constraints.ca {
        return Err(Fault::new(
            FaultKind::NotACa,
            "basicConstraints says cA FALSE",
        ));
    }
    // RFC 5280 section 6.1.4 (n): "If a key usage extension is present,
    // verify that the keyCertSign bit is set." Section 4.2.1.3: "Conforming
    // CAs MUST include this extension in certificates that contain public
    // keys that are used to validate digital signatures on other public key
    // certificates".
    match certificate.extension(KEY_USAGE) {
        Some(extension) if extension.key_cert_sign()? => {}
        Some(_) => return Err(Fault::new(FaultKind::KeyUsage, "keyCertSign is not set")),
        None => return Err(Fault::new(FaultKind::KeyUsage, "keyUsage is absent")),
    }
    if PublicKey::parse(certificate.spki).is_none() {
        return Err(Fault::new(
            FaultKind::KeyNotSupported,
            "the key is none of P-256, P-384 and RSA of 2048 to 4096 bits",
        ));
    }
    Ok(constraints.path_length)
}

/// What a leaf must not be. `vendor` says which extensions that are not of RFC
/// 5280 may be critical: those that the caller reads.
pub(crate) fn check_leaf(
    certificate: &Certificate<'_>,
    vendor: impl Fn(ObjectIdentifier) -> bool,
) -> Result<(), Fault> {
    // An extended key usage says what the device may do with its key. This
    // crate reads the certificate as a statement and uses the key for
    // nothing, so that no purpose can forbid it; it must be one, though.
    check_extensions(certificate, |oid| {
        [
            AUTHORITY_KEY_IDENTIFIER,
            BASIC_CONSTRAINTS,
            EXTENDED_KEY_USAGE,
            KEY_USAGE,
            SUBJECT_KEY_IDENTIFIER,
        ]
        .contains(&oid)
            || vendor(oid)
    })?;
    if let Some(extension) = certificate.extension(BASIC_CONSTRAINTS)
        && extension.basic_constraints()?.ca
    {
        return Err(Fault::new(
            FaultKind::LeafIsCa,
            "basicConstraints says cA TRUE",
        ));
    }
    if let Some(extension) = certificate.extension(KEY_USAGE)
        && extension.key_cert_sign()?
    {
        return Err(Fault::new(FaultKind::LeafIsCa, "keyUsage has keyCertSign"));
    }
    Ok(())
}

/// RFC 5280 section 6.1.4 (l), (m): `below` is the number of CAs between this
/// one and the leaf. Self-issued ones count too: the exemption serves key
/// roll-over inside a hierarchy, which a fresh chain has no use for.
pub(crate) fn check_path_length(path_length: Option<u8>, below: usize) -> Result<(), Fault> {
    match path_length {
        Some(allowed) if below > usize::from(allowed) => Err(Fault::new(
            FaultKind::PathLengthExceeded,
            format!("{below} CAs below it, pathLenConstraint {allowed}"),
        )),
        _ => Ok(()),
    }
}

/// The subject key identifier, where there is one.
pub(crate) fn key_identifier<'a>(certificate: &Certificate<'a>) -> Result<Option<&'a [u8]>, Fault> {
    certificate
        .extension(SUBJECT_KEY_IDENTIFIER)
        .map(|extension| extension.subject_key_identifier())
        .transpose()
}

/// The algorithm of the certificate's signature.
pub(crate) fn signature_algorithm(
    certificate: &Certificate<'_>,
) -> Result<SignatureAlgorithm, Fault> {
    certificate.algorithm.signature().ok_or_else(|| {
        Fault::new(
            FaultKind::SignatureAlgorithmNotSupported,
            format!("signature algorithm {}", certificate.algorithm.oid),
        )
    })
}

/// RFC 5280 section 4.2: "A certificate-using system MUST reject the
/// certificate if it encounters a critical extension it does not recognize or
/// a critical extension that contains information that it cannot process."
fn check_extensions(
    certificate: &Certificate<'_>,
    understood: impl Fn(ObjectIdentifier) -> bool,
) -> Result<(), Fault> {
    for extension in &certificate.extensions {
        // Not processed here, and to ignore them would widen what a CA may
        // name: refused, critical or not.
        if extension.oid == NAME_CONSTRAINTS {
            return Err(Fault::new(
                FaultKind::NameConstraints,
                "nameConstraints is present",
            ));
        }
        if !extension.critical {
            continue;
        }
        if !understood(extension.oid) {
            return Err(Fault::new(
                FaultKind::UnknownCriticalExtension,
                format!("critical extension {}", extension.oid),
            ));
        }
        // The others are decoded where they decide, critical or not.
        match extension.oid {
            EXTENDED_KEY_USAGE => extension.check_extended_key_usage()?,
            SUBJECT_KEY_IDENTIFIER => extension.subject_key_identifier().map(drop)?,
            _ => {}
        }
    }
    Ok(())
}
