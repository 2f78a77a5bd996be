//! Certificates.

use assay_attest::{Refusal, TrustAnchor, UnverifiedCertificate};
use assay_proto::Timestamp;
use const_oid::ObjectIdentifier;

use super::{
    InspectError,
    checks::{self, Evidence, Question},
    extension,
    json::{AppleRoot, Certificate, Content, Entry, EntryContent, Fault, Report, Validity},
    words,
};

/// The subject of Apple's root, as [`UnverifiedCertificate::subject`] has it.
const APPLE_ROOT_NAME: &str = "C=US,O=Apple Inc.,CN=Apple Enterprise Attestation Root CA";

/// A certificate that could be read, and why the verifier refuses it as one of
/// evidence, if it does.
pub(super) struct Read {
    pub(super) certificate: UnverifiedCertificate,
    pub(super) refusal: Option<Refusal>,
}

/// The certificate, or why nothing of it can be shown.
pub(super) type Decoded = Result<Read, Refusal>;

/// Reads a certificate in DER: strictly where that is possible, otherwise as
/// much of it as there is.
///
/// # Errors
/// Not even its fields can be told apart.
pub(super) fn read(der: &[u8]) -> Decoded {
    match UnverifiedCertificate::decode(der) {
        Ok(certificate) => Ok(Read {
            certificate,
            refusal: None,
        }),
        Err(refusal) => match UnverifiedCertificate::sketch(der) {
            Ok(certificate) => Ok(Read {
                certificate,
                refusal: Some(refusal),
            }),
            Err(_) => Err(refusal),
        },
    }
}

/// Reports on certificates in DER, at least one.
///
/// # Errors
/// None of them can be decoded.
pub(super) fn report(ders: &[Vec<u8>], question: &Question<'_>) -> Result<Report, InspectError> {
    let decoded: Vec<_> = ders.iter().map(|der| read(der)).collect();
    if let Some(Err(refusal)) = decoded.first()
        && decoded.iter().all(Result::is_err)
    {
        return Err(InspectError::Certificate(refusal.clone()));
    }
    let verdict = (ders.len() > 1 && checks::is_attestation(decoded.first())).then(|| {
        let chain: Vec<&[u8]> = ders.iter().map(Vec::as_slice).collect();
        question.judge(&Evidence::Chain(&chain))
    });
    let certificates: Vec<_> = ders
        .iter()
        .zip(decoded)
        .map(|(der, decoded)| entry(der, decoded, question.at))
        .collect();
    let content = match <[Entry; 1]>::try_from(certificates) {
        Ok(certificates) => Content::Certificate { certificates },
        Err(certificates) => Content::Chain { certificates },
    };
    Ok(match verdict {
        Some(verdict) => Report::judged(content, verdict),
        None => Report::unjudged(content),
    })
}

/// What one certificate says, or why it cannot be decoded.
pub(super) fn entry(der: &[u8], decoded: Decoded, now: u64) -> Entry {
    let sha256 = words::sha256(der);
    let content = match decoded {
        Ok(read) => EntryContent::Certificate(Box::new(certificate_of(read, &sha256, now))),
        Err(refusal) => EntryContent::Broken {
            fault: fault(refusal),
        },
    };
    Entry { sha256, content }
}

/// A refusal as reports have it.
pub(super) fn fault(refusal: Refusal) -> Fault {
    Fault {
        reason: refusal.reason.as_str(),
        detail: refusal.detail,
    }
}

fn certificate_of(read: Read, sha256: &str, now: u64) -> Certificate {
    let Read {
        certificate,
        refusal,
    } = read;
    let algorithm = certificate.signature_algorithm;
    Certificate {
        version: certificate.version,
        fault: refusal.map(fault),
        validity: if now < certificate.not_before {
            Validity::NotYetValid
        } else if now > certificate.not_after {
            Validity::Expired
        } else {
            Validity::Valid
        },
        apple_root: apple_root(&certificate.issuer, sha256),
        subject: certificate.subject,
        issuer: certificate.issuer,
        serial_number: certificate.serial_number,
        not_before: Timestamp(certificate.not_before),
        not_after: Timestamp(certificate.not_after),
        signature_algorithm: ObjectIdentifier::new(&algorithm).map_or(algorithm, words::oid),
        key: words::key(&certificate.spki_der),
        spki_sha256: words::sha256(&certificate.spki_der),
        extensions: extension::report(certificate.extensions),
    }
}

fn apple_root(issuer: &str, sha256: &str) -> Option<AppleRoot> {
    if sha256 == hex::encode(TrustAnchor::apple().sha256()) {
        Some(AppleRoot::This)
    } else if issuer == APPLE_ROOT_NAME {
        Some(AppleRoot::Issuer)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/evidence/golden/apple-enterprise-attestation-root-ca.der"
    ));

    #[test]
    fn apples_root_is_told_by_its_bytes_and_its_issue_by_the_name() {
        let root = UnverifiedCertificate::decode(ROOT).unwrap();
        assert_eq!(root.subject, APPLE_ROOT_NAME);
        let fingerprint = words::sha256(ROOT);
        assert_eq!(
            apple_root(&root.issuer, &fingerprint),
            Some(AppleRoot::This)
        );
        let other = words::sha256(b"another certificate");
        assert_eq!(apple_root(&root.issuer, &other), Some(AppleRoot::Issuer));
        assert_eq!(apple_root("CN=Apple Root CA", &other), None);
    }

    #[test]
    fn both_ends_of_the_validity_are_valid() {
        let root = UnverifiedCertificate::decode(ROOT).unwrap();
        let read = || Read {
            certificate: root.clone(),
            refusal: None,
        };
        let validity = |now| certificate_of(read(), "", now).validity;
        assert_eq!(validity(root.not_before - 1), Validity::NotYetValid);
        assert_eq!(validity(root.not_before), Validity::Valid);
        assert_eq!(validity(root.not_after), Validity::Valid);
        assert_eq!(validity(root.not_after + 1), Validity::Expired);
    }
}
