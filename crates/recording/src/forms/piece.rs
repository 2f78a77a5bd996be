//! What is found, and what is not.

use std::fmt;

use assay_attest::SentNonce;
use assay_proto::WireIdentifier;

use super::{MAX_CERTIFICATES, MAX_INPUT_BYTES};
use crate::{Recording, RecordingError, Time};

/// One piece of evidence, and how it was found. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What was found.
    pub content: Content,
    /// The forms around it, the outermost first.
    pub form: Vec<Layer>,
    /// Where it is, in an input that has several places.
    pub place: Option<Place>,
    /// What the forms around it say.
    pub hints: Hints,
    /// What a reader should know.
    pub notes: Vec<Note>,
    /// The recording that it is from, if it is from one.
    pub recording: Option<Box<Recording>>,
}

/// Evidence, or a CSR.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Certificates, DER. If one of them is an attestation leaf, it is the first.
    Certificates(Vec<Vec<u8>>),
    /// A CSR, DER.
    Csr(Vec<u8>),
    /// An attestation object, CBOR; perhaps an empty one.
    Object(Vec<u8>),
}

/// One form around evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as_str and Display say what each one is")]
pub enum Layer {
    Base64,
    BinaryPlist,
    Cbor,
    CertificateList,
    ChallengeResponse,
    Der,
    DeviceInformation,
    Enrolment,
    Har,
    Hex,
    Json,
    Jws,
    JwsCompact,
    Pem,
    Pkcs7,
    Recording,
    Text,
    Utf16,
    X5c,
    XmlPlist,
}

/// Where a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The entry of a HAR, from 0.
    Entry(usize),
    /// The line of a text, from 1.
    Line(usize),
}

/// What a form says beside the evidence. Anyone can write that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The challenge's token.
    pub token: Option<String>,
    /// The nonces that were sent to the device, the oldest first.
    pub nonces: Vec<SentNonce>,
    /// When the evidence was sent or judged.
    pub time: Option<Time>,
    /// The device's serial number.
    pub serial: Option<String>,
    /// The device's UDID.
    pub udid: Option<String>,
    /// The identifier that was ordered.
    pub identifier: Option<WireIdentifier>,
    /// The URL of the challenge.
    pub url: Option<String>,
    /// The order's CSR, DER.
    pub csr: Option<Vec<u8>>,
    /// The root certificate that the form brings, DER. It proves nothing but
    /// itself.
    pub root: Option<Vec<u8>>,
}

/// What a reader of a piece should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The device sent an error of its own beside the evidence.
    DeviceError,
    /// A limit ended the search behind this piece: the input may hold more.
    Incomplete,
    /// There is only an attestation leaf.
    LeafOnly,
    /// The certificates were in no order.
    Reordered,
    /// The certificates had the root's side first.
    Reversed,
}

/// Why there is no evidence to be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A form is broken.
    #[error("this is {form} that cannot be read: {fault}")]
    Broken {
        /// What it is.
        form: &'static str,
        /// What is wrong with it, and where.
        fault: String,
    },
    /// No bytes, or white space only.
    #[error("the file is empty")]
    Empty,
    /// A form is intact, and there is no evidence in it.
    #[error("this is {form} without evidence: {lacks}")]
    NoEvidence {
        /// What it is.
        form: &'static str,
        /// What is not there, and what to give instead.
        lacks: &'static str,
    },
    /// A recording that breaks a rule of its format.
    #[error("{0}")]
    Recording(#[from] RecordingError),
    /// Certificates as text for people.
    #[error(
        "a text dump holds no certificate: it leaves out the bytes that were signed. Give the \
         certificate itself, for example the output of `openssl x509` without -text and -noout"
    )]
    TextDump,
    /// Too many certificates.
    #[error(
        "{0} certificates are more than the {MAX_CERTIFICATES} that a chain or bundle may have here"
    )]
    TooManyCertificates(usize),
    /// More bytes than are read.
    #[error(
        "{0} bytes are more than the {MAX_INPUT_BYTES} that are read: cut out the part with the evidence"
    )]
    TooLarge(usize),
    /// Forms within forms, again and again.
    #[error(
        "the input is nested too deeply or repeated too often to be searched: cut out the part with the evidence"
    )]
    TooMuchWork,
    /// Anything else.
    #[error(
        "this is neither an attestation object nor a certificate nor a CSR, and holds none: give \
         CBOR, DER, PEM, PKCS #7, base64, hex, a challenge response, a JWS, a HAR, an MDM's \
         DeviceInformation answer, a recording, or a log with one of them"
    )]
    Unknown,
}

impl Piece {
    /// Whether it is an MDM's DeviceInformation answer, or a recording of one.
    #[must_use]
    pub fn is_device_information(&self) -> bool {
        let is_answer = |layer: &Layer| {
            matches!(
                layer,
                Layer::BinaryPlist | Layer::DeviceInformation | Layer::XmlPlist
            )
        };
        self.form.iter().any(is_answer)
            || self.recording.as_ref().is_some_and(|recording| {
                matches!(
                    recording.contents().evidence,
                    crate::Evidence::DeviceInformation(_)
                )
            })
    }
}

impl Layer {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::BinaryPlist => "binary-plist",
            Self::Cbor => "cbor",
            Self::CertificateList => "certificate-list",
            Self::ChallengeResponse => "challenge-response",
            Self::Der => "der",
            Self::DeviceInformation => "device-information",
            Self::Enrolment => "enrolment",
            Self::Har => "har",
            Self::Hex => "hex",
            Self::Json => "json",
            Self::Jws => "jws",
            Self::JwsCompact => "jws-compact",
            Self::Pem => "pem",
            Self::Pkcs7 => "pkcs7",
            Self::Recording => "recording",
            Self::Text => "text",
            Self::Utf16 => "utf-16",
            Self::X5c => "x5c",
            Self::XmlPlist => "xml-plist",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

impl Note {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeviceError => "device-error",
            Self::Incomplete => "incomplete",
            Self::LeafOnly => "leaf-only",
            Self::Reordered => "reordered",
            Self::Reversed => "reversed",
        }
    }

    /// What it means, in a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::DeviceError => {
                "the device sent an error of its own beside the evidence: a server that reads it refuses with device-could-not-attest"
            }
            Self::Incomplete => {
                "the search ended behind this piece, at the limit of pieces or of work: the input may hold more"
            }
            Self::LeafOnly => {
                "only the leaf is there: give the intermediate that issued it as well, otherwise the chain cannot be verified"
            }
            Self::Reordered => "the certificates were in no order: the leaf is first here",
            Self::Reversed => "the order looks reversed: the leaf is first here",
        }
    }
}
