//! Attestation objects.

use assay_attest::UnverifiedObject;
use assay_recording::forms::FormError;
use minicbor::{Decoder, data::Type, decode};

use super::{
    InspectError, certificate,
    checks::{Evidence, Question},
    json::{Content, Report},
};

/// Reports on an attestation object.
///
/// # Errors
/// Its own shape cannot be decoded, or it is of another format.
pub(super) fn report(object: &[u8], question: &Question<'_>) -> Result<Report, InspectError> {
    UnverifiedObject::decode(object).map_err(InspectError::Object)?;
    let ders = certificates(object).map_err(|_| InspectError::Form(FormError::Unknown))?;
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

/// The bytes of the certificates, for their fingerprints. The object was
/// decoded before, strictly: only the way to them is left.
fn certificates(object: &[u8]) -> Result<Vec<&[u8]>, decode::Error> {
    let mut decoder = Decoder::new(object);
    seek(&mut decoder, "attStmt")?;
    seek(&mut decoder, "x5c")?;
    let count = decoder.array()?.unwrap_or_default();
    (0..count).map(|_| decoder.bytes()).collect()
}

/// Goes to the value of a map's key.
fn seek(decoder: &mut Decoder<'_>, wanted: &str) -> Result<(), decode::Error> {
    for _ in 0..decoder.map()?.unwrap_or_default() {
        if decoder.datatype()? == Type::String {
            if decoder.str()? == wanted {
                return Ok(());
            }
        } else {
            decoder.skip()?;
        }
        decoder.skip()?;
    }
    Err(decode::Error::end_of_input())
}
