//! From what the engine reports to a file.

use anyhow::bail;
use assay_attest::TrustAnchor;
use assay_engine::{
    domain::Failure,
    events::{Judged, RefusedIssuance},
    ids::{AuthorizationId, OrderId},
    ports,
    profile::Profile,
};
use assay_proto::Problem;
use assay_recording::{
    Acme, Admission, Answer, CertificateFacts, Claims, Contents, Evidence, Fault, FileName,
    Issuance, ProfileSettings, RecordedProblem, RecordedProfile, Recording, RecordingError, Rule,
    Time, Verdict,
};

use super::{Finalize, SentCsr};

/// The name of the file of an authorization.
pub fn name(order: OrderId, authorization: AuthorizationId) -> String {
    let name = FileName {
        order: *order.as_bytes(),
        authorization: *authorization.as_bytes(),
    };
    name.to_string()
}

/// The recording of a verdict. The root of the laboratory goes into it: the one
/// that vouched, or the only one that might have.
pub fn recording(
    judged: Judged<'_>,
    rule: Rule,
    laboratory_roots: &[TrustAnchor],
) -> Result<Recording, RecordingError> {
    let verdict = match &judged.refused {
        None => Verdict::accepted(),
        Some(reason) => Verdict::refused(reason),
    };
    let (claims, root) = match &judged.device {
        Some(device) => (
            Claims::of_device(device, verdict),
            laboratory_roots
                .iter()
                .find(|root| *root.sha256() == device.root_sha256),
        ),
        None => (
            Claims::of_verdict(verdict),
            match laboratory_roots {
                [only] => Some(only),
                _ => None,
            },
        ),
    };
    let time = Time::from_seconds(judged.at.0).ok_or_else(|| RecordingError::Field {
        field: "time".to_owned(),
        fault: Fault::NotTime,
    })?;
    let mut acme = Acme::new(
        judged.token.as_str(),
        judged.identifier.to_wire(),
        Admission::new(rule, judged.attribute, judged.identifier.device()),
        match judged.answer.into_owned() {
            ports::Answer::Error(text) => Answer::DeviceError(text),
            ports::Answer::Object(object) => Answer::Object(object),
        },
    );
    acme.account = Some(judged.account_key.0);
    let mut contents = Contents::new(time, Evidence::Acme(Box::new(acme)), claims);
    contents.embedded_root = root.map(|root| root.der().to_vec());
    Recording::new(contents)
}

/// The recording with what happened at finalize; `None` if that changes
/// nothing.
///
/// An issued certificate is the end of its order: what another request reports
/// later, which came too late, does not replace it.
///
/// # Errors
/// The recording is not one of a challenge, or would be too large.
pub fn completed(recording: Recording, finalize: &Finalize) -> anyhow::Result<Option<Recording>> {
    let mut contents = recording.into_contents();
    let Evidence::Acme(acme) = &mut contents.evidence else {
        bail!("it is not the recording of a challenge");
    };
    if acme.issuance.as_ref().is_some_and(Issuance::is_issued) {
        return Ok(None);
    }
    match &finalize.csr {
        SentCsr::Earlier => {}
        SentCsr::Sent(csr) => acme.csr = Some(csr.clone()),
        SentCsr::TooLong => acme.csr = None,
    }
    if let Some(profile) = &finalize.profile {
        acme.profile = Some(profile.clone());
    }
    let several = u64::try_from(finalize.authorizations.len())?;
    acme.issuance = finalize.issuance.clone().map(|mut issuance| {
        issuance.identifiers = (several > 1).then_some(several);
        issuance
    });
    Ok(Some(Recording::new(contents)?))
}

/// The profile of an order.
pub fn profile(name: &str, settings: Option<&Profile>) -> RecordedProfile {
    let settings = settings.map(|profile| {
        ProfileSettings::new(
            profile.subject_text(),
            profile.san_texts(),
            profile.lifetime,
            profile.csr_names.as_str(),
        )
    });
    RecordedProfile::new(name, settings)
}

/// How issuance ended with a certificate (DER).
pub fn issued(certificate: &[u8]) -> Issuance {
    Issuance::issued(CertificateFacts::of(certificate))
}

/// How issuance ended with a refusal; `reason` is its stable name.
pub fn refused(reason: &str, refused: &RefusedIssuance<'_>) -> Issuance {
    let mut issuance = Issuance::refused(problem(refused.problem));
    issuance.reason = Some(reason.to_owned());
    issuance
}

/// How issuance ended because the certificate could not be signed.
pub fn failed(failure: &Failure) -> Issuance {
    let mut issuance = Issuance::failed(problem(&failure.problem));
    issuance.reason = Some(failure.reason.clone());
    issuance
}

fn problem(problem: &Problem) -> RecordedProblem {
    let subproblems = problem.subproblems.iter();
    RecordedProblem::new(problem.kind.urn(), problem.detail.as_str())
        .with_subproblems(subproblems.map(|one| one.kind.urn()).collect())
}
