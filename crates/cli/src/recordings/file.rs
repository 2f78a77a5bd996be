//! From what the engine tells to a file.

use assay_attest::TrustAnchor;
use assay_engine::{
    events::Judged,
    ids::{AuthorizationId, OrderId},
    ports,
};
use assay_recording::{
    Acme, Admission, Answer, Claims, Contents, Evidence, Fault, FileName, Recording,
    RecordingError, Rule, Time, Verdict,
};

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
            identifier: judged.identifier.to_wire(),
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
