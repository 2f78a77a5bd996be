//! From what the engine tells to a file.

use assay_attest::{
    TrustAnchor,
    recording::{
        Acme, Admission, Answer, Claims, Contents, Evidence, Fault, Identifier, Recording,
        RecordingError, Rule, Time, Verdict,
    },
};
use assay_engine::{
    events::Judged,
    ids::{AuthorizationId, OrderId},
    ports,
};

/// The name of the file of an authorization, the same before and after its CSR.
pub fn name(order: OrderId, authorization: AuthorizationId) -> String {
    format!("order-{order}-{authorization}.json")
}

/// Whether a file may be one of ours.
pub fn is_ours(name: &str) -> bool {
    let ids = name
        .strip_prefix("order-")
        .and_then(|rest| rest.strip_suffix(".json"));
    // Both have the same length, and may have hyphens of their own.
    ids.filter(|ids| ids.is_ascii())
        .and_then(|ids| ids.split_at_checked(ids.len() / 2))
        .and_then(|(order, authorization)| Some((order, authorization.strip_prefix('-')?)))
        .is_some_and(|(order, authorization)| {
            OrderId::parse(order).is_some() && AuthorizationId::parse(authorization).is_some()
        })
}

/// The recording of a verdict. The root of the laboratory goes into it: the one
/// that vouched, or the only one that might have.
pub fn recording(
    judged: Judged<'_>,
    rule: Rule,
    laboratory_roots: &[TrustAnchor],
) -> Result<Recording, RecordingError> {
    let identifier = judged.identifier.to_wire();
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
            Claims {
                verdict,
                facts: None,
                root_sha256: None,
            },
            match laboratory_roots {
                [only] => Some(only),
                _ => None,
            },
        ),
    };
    Recording::new(Contents {
        time: Time::from_seconds(judged.at.0).ok_or_else(|| RecordingError::Field {
            field: "time".to_owned(),
            fault: Fault::NotTime,
        })?,
        evidence: Evidence::Acme(Box::new(Acme {
            token: judged.token.as_str().to_owned(),
            account: judged.account_key.0,
            admission: Admission {
                rule,
                attribute: judged.attribute,
                value: judged.identifier.device().to_owned(),
            },
            identifier: Identifier {
                kind: identifier.kind,
                value: identifier.value,
            },
            answer: match judged.answer.into_owned() {
                ports::Answer::Error(text) => Answer::DeviceError(text),
                ports::Answer::Object(object) => Answer::Object(object),
            },
            csr: None,
        })),
        claims,
        embedded_root: root.map(|root| root.der().to_vec()),
    })
}

/// The recording with the CSR; `None` where it is none of ours.
pub fn with_csr(recording: Recording, csr: &[u8]) -> Option<Recording> {
    let mut contents = recording.into_contents();
    match &mut contents.evidence {
        Evidence::Acme(acme) => acme.csr = Some(csr.to_vec()),
        Evidence::DeviceInformation(_) => return None,
    }
    Recording::new(contents).ok()
}
