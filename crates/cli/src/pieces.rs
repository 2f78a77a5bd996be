//! Evidence from a file or standard input, in any form: what `inspect` and
//! `recording import` share.

use anyhow::anyhow;
use assay_attest::{
    AwsLc, Refusal, TrustAnchor, UnverifiedCertificate, UnverifiedObject, Verifier,
};
use assay_recording::forms::{Content, Piece};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use minicbor::{Decoder, data::Type, decode};

/// The freshness code of Apple's leaf.
const FRESHNESS: &str = "1.2.840.113635.100.8.11.1";

/// Apple's arc for attestation.
pub const APPLE: &str = "1.2.840.113635.100.8.";

/// The longest nonce of a DeviceInformation query (Apple's schema,
/// `DeviceAttestationNonce`), and the length of a freshness code of ACME.
const MAX_NONCE: usize = 32;

/// The pieces with their numbers, from 1; only the picked one if there is a pick.
pub fn pick(pieces: Vec<Piece>, pick: Option<usize>) -> anyhow::Result<Vec<(usize, Piece)>> {
    let count = pieces.len();
    let numbered = pieces.into_iter().enumerate();
    let numbered = numbered.map(|(index, piece)| (index + 1, piece));
    let picked: Vec<_> = numbered
        .filter(|(number, _)| pick.is_none_or(|pick| pick == *number))
        .collect();
    match (picked.is_empty(), pick) {
        (true, Some(pick)) => Err(anyhow!(
            "--pick {pick}: the input has {count} pieces, numbered from 1"
        )),
        _ => Ok(picked),
    }
}

/// A verifier for a piece: Apple's root and the given ones, or, if none is given,
/// the one that a recording brings. Whether it trusts the latter.
pub fn verifier(piece: &Piece, given: &[TrustAnchor]) -> (Verifier, bool) {
    let mut anchors = vec![TrustAnchor::apple()];
    anchors.extend_from_slice(given);
    let root = piece.hints.root.as_ref().filter(|_| given.is_empty());
    // One that cannot be a root vouches for nothing, and the checks say so.
    let own = root.and_then(|der| TrustAnchor::laboratory(der, "embedded root").ok());
    let is_own = own.is_some();
    anchors.extend(own);
    (Verifier::new(anchors, Box::new(AwsLc)), is_own)
}

/// Serial number and UDID in the leaf, **not verified**.
pub fn claimed(piece: &Piece) -> (Option<String>, Option<String>) {
    let leaf = leaf(&piece.content);
    let text = |suffix| claimed_text(leaf.as_ref()?, suffix);
    (text("9.1"), text("9.2"))
}

/// The text in the leaf's extension with this suffix below Apple's arc, **not
/// verified**; `None` if it is blank.
pub fn claimed_text(leaf: &UnverifiedCertificate, suffix: &str) -> Option<String> {
    let mut extensions = leaf.extensions.iter();
    let one = extensions.find(|one| one.oid.strip_prefix(APPLE) == Some(suffix))?;
    let text = String::from_utf8(one.value.clone()).ok()?;
    (!text.is_empty()).then_some(text)
}

/// The note on a piece whose form names another device than its evidence.
pub const OTHER_DEVICE: (&str, &str) = (
    "other-device",
    "ATTENTION: the form names another device than the evidence",
);

/// Whether the form names another device than the evidence.
pub fn names_other_device(piece: &Piece) -> bool {
    let (serial, udid) = claimed(piece);
    let differs = |form: &Option<String>, evidence: &Option<String>| {
        let named = form.as_ref().zip(evidence.as_ref());
        named.is_some_and(|(form, evidence)| form != evidence)
    };
    differs(&piece.hints.serial, &serial) || differs(&piece.hints.udid, &udid)
}

/// The attestation leaf, as far as it can be read. **Not verified.**
pub fn leaf(content: &Content) -> Option<UnverifiedCertificate> {
    match content {
        Content::Certificates(chain) => {
            let first = chain.first()?;
            let read = UnverifiedCertificate::decode(first);
            read.or_else(|_: Refusal| UnverifiedCertificate::sketch(first))
                .ok()
        }
        Content::Csr(_) => None,
        Content::Object(object) => {
            let object = UnverifiedObject::decode(object).ok()?;
            object.certificates.into_iter().next()?.ok()
        }
    }
}

/// The certificates of an attestation object, DER, as they are in it. It is
/// decoded strictly elsewhere: this is only the way to their bytes.
pub fn certificates(object: &[u8]) -> Result<Vec<&[u8]>, decode::Error> {
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

/// `--nonce`: a text may be hex and base64url, and mean two things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(Vec<Vec<u8>>);

impl Nonce {
    /// Parses the option: base64url, base64 or hex, 1 to 32 bytes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hex = HEXLOWER_PERMISSIVE.decode(text.trim_start_matches("0x").as_bytes());
        let base64 = text.trim_end_matches('=').replace('+', "-");
        let base64 = BASE64URL_NOPAD.decode(base64.replace('/', "_").as_bytes());
        let readings: Vec<Vec<u8>> = [hex.ok(), base64.ok()]
            .into_iter()
            .flatten()
            .filter(|nonce| (1..=MAX_NONCE).contains(&nonce.len()))
            .collect();
        if readings.is_empty() {
            return Err("give 1 to 32 bytes in base64url or hex".to_owned());
        }
        Ok(Self(readings))
    }

    /// The reading that is the leaf's freshness code; the first one, hex, if none
    /// is.
    pub fn for_leaf(&self, leaf: Option<&UnverifiedCertificate>) -> &[u8] {
        let code = leaf.and_then(|leaf| {
            let mut extensions = leaf.extensions.iter();
            extensions.find(|extension| extension.oid == FRESHNESS)
        });
        let code = code.map(|extension| extension.value.as_slice());
        let mut readings = self.0.iter().map(Vec::as_slice);
        readings
            .find(|nonce| Some(*nonce) == code)
            .or_else(|| self.0.first().map(Vec::as_slice))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_hex_or_base64url() {
        let readings = |text: &str| Nonce::parse(text).unwrap().0;
        assert_eq!(readings("0x0102"), [[1, 2]]);
        assert_eq!(readings("-_8="), [[0xfb, 0xff]]);
        assert_eq!(readings("AQID"), [[1, 2, 3]]);
        // Both: the leaf decides.
        assert_eq!(readings("ABCD").len(), 2);
        assert_eq!(Nonce::parse("ABCD").unwrap().for_leaf(None), [0xab, 0xcd]);
        // 64 digits are hex: as base64url they would be too long.
        assert_eq!(readings(&"0a".repeat(32)), [[10; 32]]);
        for bad in ["", "?", &"00".repeat(33), &"g".repeat(44)] {
            assert!(Nonce::parse(bad).is_err(), "{bad}");
        }
    }
}
