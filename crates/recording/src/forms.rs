//! Evidence in any form: finds it in what people have at hand.
//!
//! Bytes go in, [`Piece`]s come out: the attestation object or the certificates,
//! the way there ([`Layer`]s), and what the form says beside them ([`Hints`]).
//! There is no I/O. The input is untrusted: its size, the nesting, the number of
//! pieces and the total work are bounded, and the work grows linearly with the
//! input. Nothing is verified here.
//!
//! | form | what is read |
//! |---|---|
//! | CBOR | an attestation object |
//! | base64, base64url, hex | any form below, in one line or wrapped |
//! | JSON | a challenge response, a JWS, a HAR, an `x5c`, a list of certificates, a recording, or any document with one of them in it |
//! | property list, XML or binary | an MDM's DeviceInformation answer |
//! | PEM, DER, PKCS #7 | certificates, a CSR |
//! | other text | the base64 and hex in it that is one of the above |
//!
//! ```
//! use assay_recording::forms::{self, Content};
//!
//! let pieces = forms::read(br#"level=info body={"attObj":"oWNmbXRlYXBwbGU"}"#)?;
//! assert_eq!(pieces[0].content, Content::Object(b"\xa1cfmteapple".to_vec()));
//! # Ok::<(), forms::FormError>(())
//! ```

mod certificates;
mod encoding;
mod har;
mod json;
mod jws;
mod order;
mod pem;
mod piece;
mod plist;
mod recording;
mod shapes;
mod text;

pub use self::piece::{Content, FormError, Hints, Layer, Note, Piece, Place};

/// Bytes of an input. A HAR of a whole enrolment has some hundred KiB, one of a
/// browser's session some MiB.
pub const MAX_INPUT_BYTES: usize = 16 * 1024 * 1024;

/// Pieces of evidence in one input. A log of a thousand enrolments fits.
pub const MAX_PIECES: usize = 1024;

/// Nested forms. A webhook's base64 of a property list in a JSON log line in
/// UTF-16 has seven.
const MAX_LAYERS: usize = 10;

/// How often each byte of the input may be looked at as one form or another,
/// decoded ones included. The forms above need fewer than ten.
const MAX_WORK: usize = 24;

/// Certificates in one list. Chains have five at most; a bundle of roots has
/// some dozens.
const MAX_CERTIFICATES: usize = 64;

/// Finds the evidence in `input`: at least one piece, in the input's order.
///
/// # Errors
/// There is none, or the input is larger than [`MAX_INPUT_BYTES`]. If a form was
/// recognised, the error says what is wrong with it.
pub fn read(input: &[u8]) -> Result<Vec<Piece>, FormError> {
    if input.len() > MAX_INPUT_BYTES {
        return Err(FormError::TooLarge(input.len()));
    }
    let mut search = Search::new(input.len());
    let ended = search.start(input);
    if let Some(last) = search.pieces.last_mut() {
        if search.stopped {
            last.notes.push(Note::Incomplete);
        }
        return Ok(search.pieces);
    }
    ended?;
    Err(search.fault.unwrap_or(FormError::Unknown))
}

/// A search under way.
struct Search {
    pieces: Vec<Piece>,
    /// The forms around what is looked at now, the outermost first.
    layers: Vec<Layer>,
    /// What those forms say.
    hints: Hints,
    place: Option<Place>,
    /// The bytes that may still be looked at.
    work: usize,
    /// Whether a limit ended the search.
    stopped: bool,
    /// What was wrong with the first form that was recognised without result.
    fault: Option<FormError>,
}

/// How sure it is that there is evidence here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    /// The input or its form says so: then it is reported with its faults.
    Named,
    /// A text that may be anything.
    Guessed,
}

/// Whether evidence was found.
type Looked = Result<bool, FormError>;

impl Search {
    fn new(bytes: usize) -> Self {
        Self {
            pieces: Vec::new(),
            layers: Vec::new(),
            hints: Hints::default(),
            place: None,
            work: bytes.saturating_add(1024).saturating_mul(MAX_WORK),
            stopped: false,
            fault: None,
        }
    }

    /// The whole input: one form, or text with some in it.
    fn start(&mut self, input: &[u8]) -> Result<(), FormError> {
        // No binary form begins with a byte order mark; files of text may.
        let input = input.strip_prefix("\u{feff}".as_bytes()).unwrap_or(input);
        if input.trim_ascii().is_empty() {
            return Err(FormError::Empty);
        }
        if let [0xff, 0xfe, units @ ..] = input {
            return self.utf16(units, u16::from_le_bytes);
        }
        if let [0xfe, 0xff, units @ ..] = input {
            return self.utf16(units, u16::from_be_bytes);
        }
        if self.look(input, Certainty::Named)? {
            return Ok(());
        }
        match std::str::from_utf8(input) {
            Ok(text) => self.search_text(text),
            Err(_) => Ok(()),
        }
    }

    /// Text as some editors and shells of Windows write it.
    fn utf16(&mut self, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<(), FormError> {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        self.within(Layer::Utf16, |search| {
            if search.look(text.as_bytes(), Certainty::Named)? {
                return Ok(());
            }
            search.search_text(&text)
        })
    }

    /// One form. The first bytes of DER, CBOR and binary property lists cannot
    /// begin a text, so that binary forms are never taken for encoded ones.
    fn look(&mut self, input: &[u8], certainty: Certainty) -> Looked {
        if !self.may_spend(input.len()) || self.layers.len() >= MAX_LAYERS {
            return Ok(false);
        }
        match input {
            // A map, of definite or indefinite length.
            [0xa0..=0xbf, ..] => Ok(self.cbor(input, certainty)),
            // A SEQUENCE with a long length.
            [0x30, 0x80..=0xff, ..] => self.der(input, certainty),
            [b'b', b'p', b'l', b'i', b's', b't', ..] => self.binary_plist(input),
            _ => match std::str::from_utf8(input) {
                Ok(text) => self.look_at_text(text, certainty),
                Err(_) => Ok(false),
            },
        }
    }

    fn look_at_text(&mut self, text: &str, certainty: Certainty) -> Looked {
        let text = text.trim();
        if text.starts_with(['{', '[']) {
            match json::parse(text) {
                Ok(value) => return self.json(&value, text.as_bytes()),
                // Lines of JSON, perhaps.
                Err(fault) if text.starts_with('{') => self.keep(fault),
                // A log whose lines begin with a bracket, perhaps.
                Err(_) => {}
            }
            return Ok(false);
        }
        if text.starts_with('<') && text.contains("<plist") {
            return self.xml_plist(text);
        }
        if text.contains(pem::BEGIN) {
            let looked = self.pem(text);
            // A log may hold other things beside broken PEM, or PEM of keys.
            return match self.layers.as_slice() {
                [] | [Layer::Utf16] => Ok(self.kept(looked)),
                _ => looked,
            };
        }
        self.encoded(text, certainty)
    }

    fn cbor(&mut self, input: &[u8], certainty: Certainty) -> bool {
        // Every object has this key; other CBOR is not worth a report.
        let plausible = || input.windows(8).any(|window| window == b"gattStmt");
        if certainty == Certainty::Guessed && !plausible() {
            return false;
        }
        self.within(Layer::Cbor, |search| {
            search.found(Content::Object(input.to_owned()), Vec::new());
        });
        true
    }

    /// Does something within one more form. What it says counts within it alone.
    fn within<T>(&mut self, layer: Layer, look: impl FnOnce(&mut Self) -> T) -> T {
        let hints = self.hints.clone();
        self.layers.push(layer);
        let looked = look(self);
        self.layers.pop();
        self.hints = hints;
        looked
    }

    fn found(&mut self, content: Content, notes: Vec<Note>) {
        if self.pieces.len() >= MAX_PIECES {
            self.work = 0;
            self.stopped = true;
            return;
        }
        self.pieces.push(Piece {
            content,
            form: self.layers.clone(),
            place: self.place,
            hints: self.hints.clone(),
            notes,
            recording: None,
        });
    }

    /// Keeps the first fault, to be reported if nothing is found anywhere.
    fn keep(&mut self, fault: FormError) {
        self.fault.get_or_insert(fault);
    }

    /// The same of a part of the input, whose fault does not end the search.
    fn kept(&mut self, looked: Looked) -> bool {
        looked.unwrap_or_else(|fault| {
            self.keep(fault);
            false
        })
    }

    fn may_spend(&mut self, bytes: usize) -> bool {
        match self.work.checked_sub(bytes) {
            Some(left) => {
                self.work = left;
                true
            }
            None => {
                self.work = 0;
                self.stopped = true;
                self.keep(FormError::TooMuchWork);
                false
            }
        }
    }
}
