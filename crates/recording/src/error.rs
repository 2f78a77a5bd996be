use super::{MAX_RECORDING_BYTES, OLDEST_VERSION, VERSION};

/// Why a file is no recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// A value is not one that the format allows.
    #[error("{field:?}: {fault}")]
    Field {
        /// The path of the key, for example `nonces[0].sent`.
        field: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The file is not JSON, or has a key that is unknown, there twice, or
    /// missing, or a value of another type; the text names it with line and
    /// column.
    #[error("not a recording: {0}")]
    Json(String),
    /// A key belongs to the other source.
    #[error("{field:?} does not belong in a recording of source {source_name:?}")]
    Misplaced {
        /// The key.
        field: &'static str,
        /// The recording's source.
        source_name: &'static str,
    },
    /// A key is not there.
    #[error("{field:?} is missing, which a recording of source {source_name:?} must have")]
    Missing {
        /// The key.
        field: &'static str,
        /// The recording's source.
        source_name: &'static str,
    },
    /// A key belongs to a later version of the format than the file's.
    #[error(
        "{field:?} does not belong in a recording of version {version}: set \"assay_recording\" to {VERSION}"
    )]
    Newer {
        /// The path of the key.
        field: &'static str,
        /// The file's version.
        version: u64,
    },
    /// Both or neither of the two answers that a device can give are there.
    #[error("exactly one of \"attestation_object\" and \"device_error\" must be there")]
    OneAnswer,
    /// The file has so many bytes, as it stands or as it would be written.
    #[error("{0} bytes are more than the {MAX_RECORDING_BYTES} that a recording may have")]
    TooLarge(usize),
    /// The file is of another version of the format.
    #[error(
        "\"assay_recording\": version {0} is not known here, only {OLDEST_VERSION} to {VERSION} are: use a newer Assay"
    )]
    Version(u64),
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It has too few or too many bytes.
    #[error("must have {0} bytes")]
    Length(&'static str),
    /// The list is empty.
    #[error("must hold at least one nonce: freshness is one of those that were sent")]
    NoNonce,
    /// It is not base64url in its one form.
    #[error("is not base64url without padding")]
    NotBase64Url,
    /// It is not a moment.
    #[error("is not a time in the form 2026-11-18T12:26:40Z")]
    NotTime,
    /// It lies before the one in front of it.
    #[error("is earlier than the one before it")]
    OutOfOrder,
    /// It is a number that is too large.
    #[error("must be at most {0}")]
    TooLarge(u64),
    /// The list has too many entries.
    #[error("must have at most {0} entries")]
    TooMany(usize),
    /// It is none of the words that may stand there.
    #[error("must be {0}")]
    Word(&'static str),
}

impl RecordingError {
    pub(super) fn field(field: impl Into<String>, fault: Fault) -> Self {
        Self::Field {
            field: field.into(),
            fault,
        }
    }
}
