//! The third gate, at finalize: does the CSR fit, and what goes into the
//! certificate?

use std::collections::HashSet;

use assay_ca::{
    Csr, Issuer, LeafTemplate, LeafUsage, PrepareError, PreparedCert, RequestedNames, SerialNumber,
    SubjectAltName, SubjectAttribute, authority::BACKDATE,
};
use assay_proto::{Identifier, Timestamp};

use crate::{
    domain::{Authorization, Basis, DeviceFacts, EvidenceRecord, Order},
    error::{CsrRefusal, Error, IssuanceRefusal},
    profile::{Attested, CsrNames, Profile, SanRule, legible},
    sha256,
};

/// The validity that certificates may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityLimits {
    /// The longest lifetime, in seconds.
    pub lifetime: u64,
    /// The start of the issuer's own validity.
    pub issuer_not_before: Timestamp,
    /// The end of the issuer's own validity.
    pub issuer_not_after: Timestamp,
}

impl ValidityLimits {
    /// Judges the validity that an order asks for. No certificate outlives one
    /// that is issued at `now` and valid from now on: one day's proof is no
    /// supply of certificates for years.
    ///
    /// # Errors
    /// [`Error::Validity`] naming the limit: what was asked for is honoured
    /// exactly or refused, never bent.
    pub fn check(
        &self,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Validity(text));
        let earliest = self.issuer_not_before.max(now.minus(BACKDATE));
        let start = not_before.unwrap_or(earliest);
        if start < earliest {
            return refuse(format!("notBefore is earlier than {earliest}"));
        }
        let latest = self.latest_end(now);
        if start >= latest {
            return refuse(format!(
                "notBefore is not before {latest}, the latest end of a certificate"
            ));
        }
        let Some(end) = not_after else { return Ok(()) };
        if end > latest {
            return refuse(format!("notAfter is later than {latest}"));
        }
        if end <= start || end <= now {
            return refuse("notAfter is not after notBefore and the present".to_owned());
        }
        Ok(())
    }

    /// The validity of a certificate that is issued at `now`. Only what was
    /// not asked for is clamped.
    ///
    /// # Errors
    /// [`IssuanceRefusal::ValidityOutOfReach`] when what was asked for could be
    /// had once, and the profile is another one now.
    pub fn of(
        &self,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), IssuanceRefusal> {
        let start = not_before.unwrap_or_else(|| self.issuer_not_before.max(now.minus(BACKDATE)));
        let latest = self.latest_end(now);
        let end = not_after.unwrap_or(latest);
        if start >= end || end > latest {
            return Err(IssuanceRefusal::ValidityOutOfReach);
        }
        Ok((start, end))
    }

    fn latest_end(&self, now: Timestamp) -> Timestamp {
        self.issuer_not_after.min(now.plus(self.lifetime))
    }
}

/// The end of a CA, of this name, that still may sign at `now`.
///
/// # Errors
/// That it has ended, for the operator.
pub fn end_of_ca(name: &str, issuer: &Issuer, now: Timestamp) -> Result<Timestamp, String> {
    let end = Timestamp(issuer.not_after());
    if now < end {
        Ok(end)
    } else {
        Err(format!(
            "the {name} CA's certificate ended at {end}, and it is {now}: {}",
            renew_ca(name)
        ))
    }
}

/// What to do about a CA that has ended.
#[must_use]
pub fn renew_ca(name: &str) -> &'static str {
    match name {
        "TLS" => {
            "make a new TLS CA with `assay tls host HOST --root-key FILE` (the host of the base \
             URL), and restart"
        }
        _ => {
            "have the root sign a new certificate for the same key and name (docs/cli.md, assay \
             init), put it in the place of the old one, and restart"
        }
    }
}

/// Checks that the CSR is for the key that every authorization attests, and
/// asks for nothing that the order does not have. Returns the evidence for that
/// key.
///
/// # Errors
/// [`CsrRefusal`]; the order stays ready, since only the device can mend its
/// CSR and its attestation was costly.
pub fn check_csr<'a>(
    csr: &Csr,
    order: &Order,
    authorizations: &'a [Authorization],
    profile: &Profile,
    now: Timestamp,
) -> Result<&'a EvidenceRecord, CsrRefusal> {
    let evidence = evidence_for(csr.spki_sha256(), authorizations, now)?;
    check_names(csr.names(), order, profile)?;
    Ok(evidence)
}

/// The evidence for the key of this SHA-256.
fn evidence_for<'a>(
    spki_sha256: &[u8; 32],
    authorizations: &'a [Authorization],
    now: Timestamp,
) -> Result<&'a EvidenceRecord, CsrRefusal> {
    // The device-attest draft: "the public key in the attestation matches the
    // public key in the CSR". An authorization without evidence matches no key,
    // and an order without authorizations has none.
    let mut evidence = None;
    for authorization in authorizations {
        match authorization.basis(now) {
            Some(Basis::Evidence(record)) if record.spki_sha256 == *spki_sha256 => {
                // With several roots in play, the one of the first is recorded.
                evidence.get_or_insert(record);
            }
            // Control over a name says nothing of a key.
            Some(Basis::Control { .. } | Basis::Evidence(_)) | None => {
                return Err(CsrRefusal::KeyNotAttested);
            }
        }
    }
    evidence.ok_or(CsrRefusal::KeyNotAttested)
}

fn check_names(names: &RequestedNames, order: &Order, profile: &Profile) -> Result<(), CsrRefusal> {
    if names.wants_ca {
        return Err(CsrRefusal::CaRequested);
    }
    for name in &names.permanent_identifiers {
        // The draft, section 3.2: "the identifierValue field of the
        // PermanentIdentifier MUST be present"; and an "octet-for-octet match".
        let ordered = order.identifiers.iter().any(|identifier| match identifier {
            Identifier::PermanentIdentifier(identifier) => {
                name.value.as_deref() == Some(identifier.device())
                    && name.assigner.as_deref()
                        == identifier.assigner().map(assay_proto::DottedOid::as_str)
            }
            Identifier::HardwareModule(_) => false,
        });
        if !ordered {
            return Err(CsrRefusal::NameNotOrdered("permanent identifier"));
        }
    }
    for name in &names.hardware_modules {
        let ordered = order.identifiers.iter().any(|identifier| match identifier {
            Identifier::HardwareModule(module) => {
                name.serial == module.serial().as_bytes()
                    && name.hw_type == module.hw_type().as_str()
            }
            Identifier::PermanentIdentifier(_) => false,
        });
        if !ordered {
            return Err(CsrRefusal::NameNotOrdered("hardware module"));
        }
    }
    if profile.csr_names == CsrNames::Refuse {
        let requested = [
            (!names.subject_is_empty, "subject"),
            (!names.dns.is_empty(), "DNS name"),
            (!names.emails.is_empty(), "mail address"),
            (!names.uris.is_empty(), "URI"),
            (!names.ips.is_empty(), "IP address"),
            (!names.upns.is_empty(), "user principal name"),
            (names.others > 0, "name of another kind"),
        ];
        if let Some((_, what)) = requested.into_iter().find(|(present, _)| *present) {
            return Err(CsrRefusal::NamesRefused(what));
        }
    }
    Ok(())
}

/// Checks that all evidence is of one device: a key is in one alone, and what
/// the certificate says of it must not depend on which evidence is read.
///
/// # Errors
/// [`IssuanceRefusal::EvidenceDisagrees`]; only an authority that attests
/// falsely can bring it about.
pub fn check_one_device(
    authorizations: &[Authorization],
    now: Timestamp,
) -> Result<(), IssuanceRefusal> {
    let one = |of: fn(&DeviceFacts) -> Option<&str>| {
        let stated: HashSet<_> = authorizations
            .iter()
            .filter_map(|authorization| authorization.basis(now)?.evidence())
            .filter_map(|evidence| of(&evidence.facts))
            .collect();
        stated.len() <= 1
    };
    if one(|facts| facts.serial.as_deref()) && one(|facts| facts.udid.as_deref()) {
        Ok(())
    } else {
        Err(IssuanceRefusal::EvidenceDisagrees)
    }
}

/// What the certificate will say. Nothing of it comes from the CSR but the
/// key, which is the attested one.
///
/// # Errors
/// When the profile names what was not attested.
pub fn leaf(
    csr: &Csr,
    order: &Order,
    evidence: &EvidenceRecord,
    profile: &Profile,
    validity: (Timestamp, Timestamp),
) -> Result<LeafTemplate, Error> {
    let attested = Attested {
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

/// Whether certificates of this profile can be built: with an Apple device's
/// usual serial number and UDID, under this issuer.
///
/// # Errors
/// Why not, for whoever wrote the profile.
pub fn try_profile(issuer: &Issuer, profile: &Profile) -> Result<(), Error> {
    let facts = DeviceFacts {
        serial: Some("C02ABCDEFGHJ".to_owned()),
        udid: Some("00008112-001A2B3C4D5E6F70".to_owned()),
        ..DeviceFacts::default()
    };
    let attested = Attested {
        facts: &facts,
        spki_sha256: &sha256(&SAMPLE_SPKI),
    };
    let not_before = issuer.not_before();
    let leaf = LeafTemplate {
        spki_der: SAMPLE_SPKI.to_vec(),
        subject: subject(profile, &attested)?,
        names: names(profile, &[], &attested)?,
        not_before,
        not_after: issuer.not_after().min(not_before + 1),
        usage: LeafUsage::ClientAuth,
    };
    match issuer.prepare(&leaf, SerialNumber::from_random([1; 16])) {
        // The names that only an order brings are not there to be seen.
        Err(PrepareError::NoName) => Ok(()),
        prepared => recordable(prepared).map(drop),
    }
}

/// Whether a CA may issue TLS certificates to servers, its names apart.
///
/// # Errors
/// Why not, for the operator.
pub fn try_server_certificates(issuer: &Issuer) -> Result<(), PrepareError> {
    let not_before = issuer.not_before();
    let leaf = LeafTemplate {
        spki_der: SAMPLE_SPKI.to_vec(),
        subject: Vec::new(),
        names: vec![SubjectAltName::Dns("localhost".to_owned())],
        not_before,
        not_after: issuer.not_after().min(not_before + 1),
        usage: LeafUsage::ServerAuth,
    };
    let prepared = issuer.prepare(&leaf, SerialNumber::from_random([1; 16]));
    prepared.map(drop)
}

/// A certificate for `leaf`, ready to be recorded and then signed.
///
/// # Errors
/// [`Error::Issuance`] where what is attested fits no certificate, faults.
pub(crate) fn prepare(
    issuer: &Issuer,
    leaf: &LeafTemplate,
    serial: SerialNumber,
) -> Result<PreparedCert, Error> {
    recordable(issuer.prepare(leaf, serial))
}

/// The longest TBSCertificate, in bytes: with any signature the certificate has
/// at most 16 KiB, which is the most that `assay-attest` reads of one, and what
/// one TLS record holds. An order that holds it beside five of the longest
/// identifiers, and the signed certificate, are far below the 64 KiB of a
/// record: what could be begun and not finished is never begun.
pub const MAX_TBS: usize = 15 * 1024;

fn recordable(prepared: Result<PreparedCert, PrepareError>) -> Result<PreparedCert, Error> {
    let too_long = |place| Error::Issuance(IssuanceRefusal::NameDoesNotFit(place));
    match prepared {
        Ok(prepared) if prepared.tbs_der().len() > MAX_TBS => Err(too_long("names all together")),
        Ok(prepared) => Ok(prepared),
        Err(fault) => Err(not_prepared(fault)),
    }
}

/// Why no certificate can be built: of what is attested, or a fault of ours.
fn not_prepared(fault: PrepareError) -> Error {
    match fault {
        PrepareError::BadSubject(place) | PrepareError::BadName(place) => {
            Error::Issuance(IssuanceRefusal::NameDoesNotFit(place))
        }
        fault => Error::Internal(format!("the certificate cannot be built: {fault}")),
    }
}

/// A P-256 key that nobody holds: the generator of the group.
const SAMPLE_SPKI: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1,
    0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d,
    0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe,
    0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b,
    0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

fn subject(profile: &Profile, attested: &Attested<'_>) -> Result<Vec<SubjectAttribute>, Error> {
    profile
        .subject
        .iter()
        .map(|(field, template)| field.with(template, attested))
        .collect::<Result<_, _>>()
        .map_err(Error::Issuance)
}

fn names(
    profile: &Profile,
    identifiers: &[Identifier],
    attested: &Attested<'_>,
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

/// The name of an ordered identifier, where the rule is for its type.
fn ordered(
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

#[cfg(test)]
mod tests;
