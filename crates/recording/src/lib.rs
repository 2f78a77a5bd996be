//! Recordings: what was judged, when, against what, and with which verdict, so
//! that it can be judged again.
//!
//! One JSON object a file. Version 2 is written; versions 1 and 2 are read. The
//! format is described for people in
//! `docs/recordings.md` and for programs in `docs/recording.schema.json`.
//!
//! A file is untrusted input. [`Recording::parse`] bounds its size, refuses
//! unknown and repeated keys, and decodes every value before it returns any.
//! What the file *claims* of the verdict is text: it is compared with a new
//! judgement and never believed.
//!
//! ```
//! use assay_attest::{RustCrypto, TrustAnchor, Verifier};
//! use assay_recording::Recording;
//! # use assay_simulator::{authority::AttestationAuthority, evidence::DeviceProperties};
//! # use rcgen::PublicKeyData;
//! # use sha2::{Digest, Sha256};
//! # let now = 1_795_000_000;
//! # let authority = AttestationAuthority::create(now)?;
//! # let key = rcgen::KeyPair::generate()?.subject_public_key_info();
//! # let mac = DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60");
//! # let token = "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw";
//! # let object = authority
//! #     .attest(&mac, &key, &Sha256::digest(token), now)?
//! #     .attestation_object();
//! # let laboratory_root = authority.root_der();
//! # use assay_attest::Attribute;
//! # use assay_proto::WireIdentifier;
//! # use assay_recording::*;
//! # let identifier = WireIdentifier {
//! #     kind: "permanent-identifier".to_owned(),
//! #     value: "C02XK0AAJHD2".to_owned(),
//! # };
//! # let admission = Admission::new(Rule::Listed, Attribute::Serial, "C02XK0AAJHD2");
//! # let acme = Acme::new(token, identifier, admission, Answer::Object(object));
//! # let file = Recording::new(Contents::new(
//! #     Time::from_seconds(now).ok_or("time")?,
//! #     Evidence::Acme(Box::new(acme)),
//! #     Claims::refused("expired"),
//! # ))?
//! # .to_json();
//! # let file = file.as_bytes();
//!
//! let recording = Recording::parse(file)?;
//! let roots = vec![TrustAnchor::laboratory(laboratory_root, "bench in room 3")?];
//! let verifier = Verifier::new(roots, Box::new(RustCrypto));
//!
//! // The file says "refused, expired"; the evidence says otherwise.
//! let judged = recording.judge(&verifier, recording.time().seconds());
//! assert!(judged.verdict.is_accepted());
//! let differences = recording.differences(&judged);
//! assert_eq!(
//!     differences[0].to_string(),
//!     r#"verdict.outcome: recorded "refused", replayed "accepted""#
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod certificate;
mod claims;
mod contents;
mod enrolment;
mod error;
mod fields;
mod file_name;
pub mod forms;
mod issuance;
mod judge;
mod profile;
#[cfg(test)]
mod tests;
mod time;
mod wire;

pub use self::{
    claims::{Claims, Facts, RecordedExtension, Verdict},
    contents::{Acme, Admission, Answer, Contents, DeviceInformationAnswer, Evidence, Rule},
    enrolment::{Comparison, EnrolmentResult, NotCompared},
    error::{Fault, RecordingError},
    fields::{Change, Field},
    file_name::FileName,
    issuance::{CertificateFacts, Issuance, RecordedProblem},
    judge::{Difference, Finding, Judgement},
    profile::{ProfileSettings, RecordedProfile},
    time::Time,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use self::wire::Wire;

/// The version of the format that is written.
pub const VERSION: u64 = 2;

/// The oldest version that is read.
pub const OLDEST_VERSION: u64 = 1;

/// Bytes of a recording, as it is read and as it is written. The largest
/// attestation object has 86 KiB in base64url; a CSR, a root and the texts fit
/// beside it.
pub const MAX_RECORDING_BYTES: usize = 256 * 1024;

/// How many characters of a claim a report of a difference quotes.
const MAX_EXCERPT: usize = 1024;

/// A recording that can be written and read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    version: u64,
    contents: Contents,
}

impl Recording {
    /// A recording of these contents, of the version that is written.
    ///
    /// # Errors
    /// [`RecordingError::Field`] where a value is one that the format does not
    /// allow; [`RecordingError::TooLarge`] where the file would be.
    pub fn new(contents: Contents) -> Result<Self, RecordingError> {
        Self::of_version(VERSION, contents)
    }

    /// Reads a file of any version, strictly.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(file: &[u8]) -> Result<Self, RecordingError> {
        check_size(file.len())?;
        let wire = Wire::parse(file)?;
        Self::of_version(wire.version(), wire.into_contents()?)
    }

    fn of_version(version: u64, contents: Contents) -> Result<Self, RecordingError> {
        contents.check()?;
        let recording = Self { version, contents };
        check_size(recording.to_json().len())?;
        Ok(recording)
    }

    /// The file: pretty-printed, its keys in a fixed order, in the version that
    /// it was read in. Reading it gives an equal recording.
    #[must_use]
    pub fn to_json(&self) -> String {
        Wire::of(self.version, &self.contents).to_json()
    }

    /// The version of the format that it was read in, or is written in.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was judged.
    #[must_use]
    pub fn time(&self) -> Time {
        self.contents.time
    }

    /// Everything in it.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Everything in it, to be changed. [`Recording::new`] writes it in the newest
    /// version.
    #[must_use]
    pub fn into_contents(self) -> Contents {
        self.contents
    }

    /// The root certificate that the file brings, DER. It is never used by
    /// itself: a caller that trusts it makes a [`TrustAnchor`](assay_attest::TrustAnchor) of
    /// it and knows that such a file proves only itself.
    #[must_use]
    pub fn embedded_root(&self) -> Option<&[u8]> {
        self.contents.embedded_root.as_deref()
    }
}

/// The text, or the beginning of one that is too long to be shown and kept for
/// each of many files.
fn excerpt(text: String) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_EXCERPT) else {
        return text;
    };
    format!(
        "{}… ({} bytes, SHA-256 {})",
        &text[..end],
        text.len(),
        HEXLOWER.encode(&Sha256::digest(&text))
    )
}

fn check_size(bytes: usize) -> Result<(), RecordingError> {
    if bytes > MAX_RECORDING_BYTES {
        return Err(RecordingError::TooLarge(bytes));
    }
    Ok(())
}
