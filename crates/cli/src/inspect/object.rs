//! Attestation objects.

use assay_attest::UnverifiedObject;
use assay_recording::forms::FormError;

use super::{
    InspectError, certificate,
    checks::{Evidence, Question},
    json::{Content, Report},
};
use crate::pieces;

/// Reports on an attestation object.
///
/// # Errors
/// Its own shape cannot be decoded, or it is of another format.
pub(super) fn report(object: &[u8], question: &Question<'_>) -> Result<Report, InspectError> {
    UnverifiedObject::decode(object).map_err(InspectError::Object)?;
    let ders = pieces::certificates(object).map_err(|_| InspectError::Form(FormError::Unknown))?;
    let verdict = question.judge(&Evidence::Object(object));
    let content = Content::AttestationObject {
        format: "apple",
        certificates: ders
            .into_iter()
            .map(|der| certificate::entry(der, certificate::read(der), question.at))
            .collect(),
    };
    Ok(Report::judged(content, verdict))
}
