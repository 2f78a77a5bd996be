//! Base64 and hex.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use super::{Certainty, Content, FormError, Layer, Looked, Search, certificates, text::is_dump};

/// Characters below which a text is not taken for encoded evidence. The smallest
/// certificate has some hundred bytes.
pub(super) const MIN_GUESS: usize = 64;

impl Search {
    /// A text that is encoded as a whole, in one line or wrapped, or a list of
    /// certificates with one a line.
    pub(super) fn encoded(&mut self, text: &str, certainty: Certainty) -> Looked {
        let quotes: &[char] = &['"', '\'', '`', ',', ';'];
        let text = text.trim_matches(quotes);
        if !text.bytes().all(is_of_encoded_text) {
            return Ok(false);
        }
        if let Some(list) = list(text) {
            return self.within(Layer::CertificateList, |search| {
                search.certificates(list).map(|()| true)
            });
        }
        let text: String = text.split_ascii_whitespace().collect();
        self.run(&text, certainty)
    }

    /// The same of a text without white space. Every text in hex is one in
    /// base64, too; so hex is tried first.
    pub(super) fn run(&mut self, text: &str, certainty: Certainty) -> Looked {
        if certainty == Certainty::Guessed && text.len() < MIN_GUESS {
            return Ok(false);
        }
        if let Some(bytes) = hex(text)
            && self.within(Layer::Hex, |search| search.look(&bytes, certainty))?
        {
            return Ok(true);
        }
        match base64(text) {
            Some(bytes) => self.within(Layer::Base64, |search| search.look(&bytes, certainty)),
            None => Ok(false),
        }
    }

    /// Base64 of an object, where the form says that it is one.
    pub(super) fn named_object(&mut self, bytes: Vec<u8>, layer: Layer) {
        self.within(layer, |search| {
            search.within(Layer::Cbor, |search| {
                search.found(Content::Object(bytes), Vec::new());
            });
        });
    }
}

/// Certificates, each complete in a line of its own, or wrapped and with an empty
/// line before the next one. Another wrapped text has none.
fn list(text: &str) -> Option<Vec<Vec<u8>>> {
    let certificate = |text: &str| {
        let text: String = text.split_ascii_whitespace().collect();
        let text = text.trim_matches([',', '"', '\'']);
        let bytes = hex(text).or_else(|| base64(text))?;
        certificates::is_certificate(&bytes).then_some(bytes)
    };
    let all = |parts: Vec<&str>| -> Option<Vec<Vec<u8>>> {
        let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
        let list: Vec<_> = parts.map(certificate).collect::<Option<_>>()?;
        (list.len() > 1).then_some(list)
    };
    all(text.lines().collect()).or_else(|| {
        let text = text.replace('\r', "");
        all(text.split("\n\n").collect())
    })
}

fn is_of_encoded_text(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte.is_ascii_whitespace()
        || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b':' | b',' | b'"')
}

/// Either alphabet, padded or not. Trailing bits must be zero: a text that was
/// cut is not decoded.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = (text.trim_end_matches('=').chars())
        .map(|letter| match letter {
            '+' => '-',
            '/' => '_',
            letter => letter,
        })
        .collect();
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// Base64 in lines.
pub(super) fn wrapped_base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    base64(&text)
}

/// Either case, with `0x` before it or not, with colons between the bytes or
/// not.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    if text.is_empty() || !text.bytes().all(digit) {
        return None;
    }
    let text: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    HEXLOWER_PERMISSIVE.decode(&text).ok()
}

impl Search {
    /// Text around encoded evidence: logs, mails, terminals.
    pub(super) fn search_text(&mut self, text: &str) -> Result<(), FormError> {
        self.within(Layer::Text, |search| search.lines_of(text));
        if self.pieces.is_empty() && is_dump(text) {
            return Err(FormError::TextDump);
        }
        Ok(())
    }
}
