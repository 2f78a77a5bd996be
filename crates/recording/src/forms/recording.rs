//! Recordings: what was judged, and what it was judged with.

use assay_attest::Attribute;

use super::{Content, FormError, Layer, Looked, Search, order};
use crate::{Answer, Evidence, Recording};

impl Search {
    /// A whole file. It is read as strictly as for a replay.
    pub(super) fn recording(&mut self, file: &[u8]) -> Looked {
        let recording = Recording::parse(file)?;
        self.within(Layer::Recording, |search| search.recorded(recording))
    }

    fn recorded(&mut self, recording: Recording) -> Looked {
        let contents = recording.contents();
        let hints = &mut self.hints;
        hints.time = Some(contents.time);
        hints.root = contents.embedded_root.clone();
        let (content, notes) = match &contents.evidence {
            Evidence::Acme(acme) => {
                let Answer::Object(object) = &acme.answer else {
                    return Err(FormError::NoEvidence {
                        form: "a recording",
                        lacks: "it has \"device_error\", the device's own error, instead",
                    });
                };
                hints.token = Some(acme.token.clone());
                hints.identifier = Some(acme.identifier.clone());
                hints.csr = acme.csr.clone();
                let value = Some(acme.admission.value.clone());
                match acme.admission.attribute {
                    Attribute::Serial => hints.serial = value,
                    Attribute::Udid => hints.udid = value,
                }
                (Content::Object(object.clone()), Vec::new())
            }
            Evidence::DeviceInformation(answer) => {
                hints.nonces = answer.nonces.clone();
                // Their order is part of what was judged: it stays.
                let certificates = answer.certificates.clone();
                let notes = order::notes(&certificates);
                (Content::Certificates(certificates), notes)
            }
        };
        self.found(content, notes);
        if let Some(piece) = self.pieces.last_mut() {
            piece.recording = Some(Box::new(recording));
        }
        Ok(true)
    }
}
