//! Third gate, at finalize: does the CSR match, and what goes into the
//! certificate?

mod certificate;
mod csr;
mod trial;
mod validity;

use std::collections::HashSet;

use assay_ca::Csr;
use assay_proto::Timestamp;

pub(crate) use self::certificate::prepare;
pub use self::{
    certificate::{MAX_TBS, leaf},
    trial::{try_profile, try_server_certificates},
    validity::{ValidityLimits, end_of_ca, renew_ca},
};
use crate::{
    domain::{Authorization, Basis, DeviceFacts, EvidenceRecord, Order},
    error::{CsrRefusal, IssuanceRefusal},
    profile::Profile,
};

/// Checks that the CSR is for the key that every authorization attests, and
/// requests nothing that the order does not have. Returns the evidence for that
/// key.
///
/// # Errors
/// [`CsrRefusal`]; the order stays ready, because only the device can fix its
/// CSR and its attestation was costly.
pub fn check_csr<'a>(
    csr: &Csr,
    order: &Order,
    authorizations: &'a [Authorization],
    profile: &Profile,
    now: Timestamp,
) -> Result<&'a EvidenceRecord, CsrRefusal> {
    let evidence = evidence_for(csr.spki_sha256(), authorizations, now)?;
    csr::check_names(csr.names(), order, profile)?;
    Ok(evidence)
}

/// Returns the evidence for the key with this SHA-256.
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
                // With evidence under several roots, the first one is recorded.
                evidence.get_or_insert(record);
            }
            // Control over a name proves no key.
            Some(Basis::Control { .. } | Basis::Evidence(_)) | None => {
                return Err(CsrRefusal::KeyNotAttested);
            }
        }
    }
    evidence.ok_or(CsrRefusal::KeyNotAttested)
}

/// Checks that all evidence is for the same device. A key is in only one
/// device, and the content of the certificate must not depend on which evidence
/// is used.
///
/// # Errors
/// [`IssuanceRefusal::EvidenceDisagrees`]; only a wrong attestation by the
/// authority can cause it.
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

#[cfg(test)]
mod tests;
