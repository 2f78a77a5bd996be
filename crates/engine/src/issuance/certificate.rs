//! The content of a certificate, and the certificate before it is signed.

use assay_ca::{
    Csr, Issuer, LeafTemplate, LeafUsage, PrepareError, PreparedCert, SerialNumber, SubjectAltName,
    SubjectAttribute,
};
use assay_proto::{Identifier, Timestamp};

use crate::{
    domain::{EvidenceRecord, Order},
    error::{Error, IssuanceRefusal},
    profile::{Profile, SanRule, TemplateValues, legible},
};

/// The longest TBSCertificate, in bytes. With any signature the certificate has
/// at most 16 KiB: the most that `assay-attest` reads, and the size of one TLS
/// record. An order with it and five of the longest identifiers, and the signed
/// certificate, are far below the 64 KiB limit of a record, so an issuance that
/// was begun can be completed.
pub const MAX_TBS: usize = 15 * 1024;

/// Builds the content of the certificate. From the CSR it takes only the key,
/// which is the attested one.
///
/// # Errors
/// When the profile names an attribute that was not attested.
pub fn leaf(
    csr: &Csr,
    order: &Order,
    evidence: &EvidenceRecord,
    profile: &Profile,
    validity: (Timestamp, Timestamp),
) -> Result<LeafTemplate, Error> {
    let attested = TemplateValues {
        facts: &evidence.facts,
        spki_sha256: &evidence.spki_sha256,
    };
    Ok(LeafTemplate {
        spki_der: csr.spki_der().to_vec(),
        subject: subject(profile, &attested)?,
        names: names(profile, &order.identifiers, &attested)?,
        not_before: validity.0.0,
        not_after: validity.1.0,
        usage: LeafUsage::ClientAuth,
    })
}

/// Prepares a certificate for `leaf`, to be recorded and then signed.
///
/// # Errors
/// [`Error::Issuance`] if an attested value is not allowed in a certificate;
/// faults.
pub(crate) fn prepare(
    issuer: &Issuer,
    leaf: &LeafTemplate,
    serial: SerialNumber,
) -> Result<PreparedCert, Error> {
    recordable(issuer.prepare(leaf, serial))
}

/// Refuses a certificate that is too long for a record.
pub(super) fn recordable(
    prepared: Result<PreparedCert, PrepareError>,
) -> Result<PreparedCert, Error> {
    let too_long = |place| Error::Issuance(IssuanceRefusal::NameDoesNotFit(place));
    match prepared {
        Ok(prepared) if prepared.tbs_der().len() > MAX_TBS => Err(too_long("names all together")),
        Ok(prepared) => Ok(prepared),
        Err(fault) => Err(not_prepared(fault)),
    }
}

/// Converts the error of a build: an attested value is not allowed, or a fault
/// of the server.
pub(super) fn not_prepared(fault: PrepareError) -> Error {
    match fault {
        PrepareError::BadSubject(place) | PrepareError::BadName(place) => {
            Error::Issuance(IssuanceRefusal::NameDoesNotFit(place))
        }
        PrepareError::NoName => Error::Issuance(IssuanceRefusal::NoName),
        fault => Error::Internal(format!("the certificate cannot be built: {fault}")),
    }
}

/// The subject required by the profile.
pub(super) fn subject(
    profile: &Profile,
    attested: &TemplateValues<'_>,
) -> Result<Vec<SubjectAttribute>, Error> {
    profile
        .subject
        .iter()
        .map(|(field, template)| field.with(template, attested))
        .collect::<Result<_, _>>()
        .map_err(Error::Issuance)
}

/// The names required by the profile.
pub(super) fn names(
    profile: &Profile,
    identifiers: &[Identifier],
    attested: &TemplateValues<'_>,
) -> Result<Vec<SubjectAltName>, Error> {
    let mut names = Vec::new();
    for rule in &profile.san {
        match rule {
            SanRule::Uri(template) => {
                names.push(SanRule::uri(template, attested).map_err(Error::Issuance)?);
            }
            SanRule::HardwareModule | SanRule::PermanentIdentifier => {
                for identifier in identifiers {
                    names.extend(ordered(rule, identifier).map_err(Error::Issuance)?);
                }
            }
        }
    }
    Ok(names)
}

/// The name of an ordered identifier, if the rule is for its type.
pub(super) fn ordered(
    rule: &SanRule,
    identifier: &Identifier,
) -> Result<Option<SubjectAltName>, IssuanceRefusal> {
    Ok(match (rule, identifier) {
        (SanRule::HardwareModule, Identifier::HardwareModule(module)) => {
            Some(SubjectAltName::HardwareModule {
                hw_type: module.hw_type().to_string(),
                serial: legible(module.serial(), "hardware-module")?
                    .as_bytes()
                    .to_vec(),
            })
        }
        (SanRule::PermanentIdentifier, Identifier::PermanentIdentifier(identifier)) => {
            Some(SubjectAltName::PermanentIdentifier {
                value: legible(identifier.device(), "permanent-identifier")?.to_owned(),
                assigner: identifier.assigner().map(ToString::to_string),
            })
        }
        _ => None,
    })
}
