//! What a recording of a piece contains, and what is missing for it.

use std::fmt;

use assay_attest::{Attribute, SentNonce};
use assay_proto::{Identifier, WireIdentifier};
use assay_recording::{
    Acme, Admission, Answer, Claims, Contents, DeviceInformationAnswer, Evidence, Rule, Time,
    forms::{Content, Piece},
};

use super::ImportArgs;
use crate::pieces;

/// Notes: stable names and sentences.
pub(super) type Notes = Vec<(&'static str, &'static str)>;

/// Why a piece cannot become a recording.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is not evidence.
    Evidence,
    /// Values that neither the form nor the command line has.
    Values(Vec<String>),
    /// Options that do not fit the evidence.
    Wrong(&'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evidence => f.write_str(
                "these certificates are no evidence: the first one has no extension of Apple's attestation",
            ),
            Self::Values(values) => write!(f, "the form lacks {}", values.join("; and ")),
            Self::Wrong(text) => f.write_str(text),
        }
    }
}

/// The contents without their claims.
pub(super) fn of(piece: &Piece, args: &ImportArgs, now: u64) -> Result<(Contents, Notes), Missing> {
    let mut notes = Notes::new();
    let given = args.at.and_then(|at| Time::from_seconds(at.0));
    let known = given.or(piece.hints.time);
    if known.is_none() {
        notes.push((
            "judged-now",
            "the form has no time: it was judged now; --at gives another one",
        ));
    }
    let time = known
        .or_else(|| Time::from_seconds(now))
        .ok_or(Missing::Wrong(
            "the clock is after the year 9999: give --at",
        ))?;
    if pieces::names_other_device(piece) {
        notes.push(pieces::OTHER_DEVICE);
    }
    let evidence = evidence(piece, args, &mut notes)?;
    if let (Evidence::Acme(acme), None) = (&evidence, &piece.recording) {
        let named = Identifier::parse(&acme.identifier).ok();
        if named.is_none_or(|named| named.device() != acme.admission.value) {
            notes.push((
                "other-identifier",
                "the order is for an identifier that is not the value that the evidence must attest: right for a code, wrong for a serial number",
            ));
        }
    }
    let mut contents = Contents::new(time, evidence, Claims::refused("not judged"));
    contents.embedded_root = (piece.hints.root.clone()).filter(|_| args.root.is_empty());
    if let Some(recording) = &piece.recording {
        contents.note.clone_from(&recording.contents().note);
        contents.labels.clone_from(&recording.contents().labels);
    }
    Ok((contents, notes))
}

fn evidence(piece: &Piece, args: &ImportArgs, notes: &mut Notes) -> Result<Evidence, Missing> {
    let has_token = args.token.is_some() || piece.hints.token.is_some();
    match &piece.content {
        Content::Csr(_) => Err(Missing::Evidence),
        Content::Object(_) if args.nonce.is_some() => Err(Missing::Wrong(
            "an attestation object answers an ACME challenge: give --token, not --nonce",
        )),
        Content::Object(object) => acme(piece, object.clone(), args),
        Content::Certificates(chain) => {
            if piece.is_device_information() && args.token.is_some() {
                return Err(Missing::Wrong(
                    "a DeviceInformation answer has no token: give --nonce and --sent, not --token",
                ));
            }
            if piece.is_device_information() || args.nonce.is_some() {
                return information(piece, chain.clone(), args);
            }
            let leaf = pieces::leaf(&piece.content);
            let leaf = leaf.filter(|leaf| {
                let mut extensions = leaf.extensions.iter();
                extensions.any(|one| one.oid.starts_with(pieces::APPLE))
            });
            if leaf.is_none() {
                return Err(Missing::Evidence);
            }
            if !has_token {
                return Err(Missing::Values(vec![
                    "what the evidence answers: give --nonce and --sent for a DeviceInformation \
                     answer, --token for the x5c of an ACME challenge"
                        .to_owned(),
                ]));
            }
            notes.push((
                "object-rebuilt",
                "the attestation object was put together from the certificates: its bytes are not the device's",
            ));
            acme(piece, object_of(chain), args)
        }
    }
}

/// The one place that makes an ACME answer.
fn acme(piece: &Piece, object: Vec<u8>, args: &ImportArgs) -> Result<Evidence, Missing> {
    let mut missing = Vec::new();
    let token = args.token.clone().or_else(|| piece.hints.token.clone());
    if token.is_none() {
        missing.push("the challenge's token: give --token".to_owned());
    }
    let ordered = ordered(piece, args);
    if ordered.is_none() {
        missing.push(match &piece.hints.identifier {
            // Not the value to give: the device may have ordered for another.
            Some(one) => format!(
                "which device was allowed to order for {:?}. The evidence is of a device that is not called so: if that is the device's own number, it ordered for another one, and `--serial {}` records the refusal; if it is a code for a device, give that device's --serial or --udid",
                one.value, one.value
            ),
            None => format!(
                "the device that was ordered for: give --serial or --udid{}",
                claimed(piece)
            ),
        });
    }
    let (Some(token), Some((identifier, attribute, value))) = (token, ordered) else {
        return Err(Missing::Values(missing));
    };
    let recorded = match piece.recording.as_ref().map(|one| &one.contents().evidence) {
        Some(Evidence::Acme(acme)) => Some(acme),
        _ => None,
    };
    let rule = recorded.map_or(Rule::Listed, |acme| acme.admission.rule);
    let mut admission = Admission::new(rule, attribute, value);
    admission.rule_name = recorded.and_then(|acme| acme.admission.rule_name.clone());
    let mut acme = Acme::new(token, identifier, admission, Answer::Object(object));
    acme.csr.clone_from(&piece.hints.csr);
    if let Some(recorded) = recorded {
        acme.account = recorded.account;
        acme.profile.clone_from(&recorded.profile);
        acme.issuance.clone_from(&recorded.issuance);
    }
    Ok(Evidence::Acme(Box::new(acme)))
}

/// The identifier that was ordered, and what the evidence must attest for it.
fn ordered(piece: &Piece, args: &ImportArgs) -> Option<(WireIdentifier, Attribute, String)> {
    let hints = &piece.hints;
    let named = |value: &str| WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: value.to_owned(),
    };
    let identifier = |value: &str| hints.identifier.clone().unwrap_or_else(|| named(value));
    if let Some(serial) = &args.serial {
        return Some((identifier(serial), Attribute::Serial, serial.clone()));
    }
    if let Some(udid) = &args.udid {
        return Some((identifier(udid), Attribute::Udid, udid.clone()));
    }
    if piece.recording.is_some() {
        let serial = hints.serial.clone().map(|value| (Attribute::Serial, value));
        let value = serial.or_else(|| Some((Attribute::Udid, hints.udid.clone()?)));
        let (attribute, value) = value?;
        return Some((identifier(&value), attribute, value));
    }
    // Without a server's list, an identifier is for the device that has it as its
    // name; a one-time code could be for any.
    let wire = hints.identifier.clone()?;
    let device = Identifier::parse(&wire).ok()?.device().to_owned();
    // A wrong guess only gives a recording that is refused.
    let (serial, udid) = pieces::claimed(piece);
    if serial.as_ref() == Some(&device) || hints.serial.as_ref() == Some(&device) {
        Some((wire, Attribute::Serial, device))
    } else if udid.as_ref() == Some(&device) || hints.udid.as_ref() == Some(&device) {
        Some((wire, Attribute::Udid, device))
    } else {
        None
    }
}

fn claimed(piece: &Piece) -> String {
    let says: Vec<String> = match pieces::claimed(piece) {
        (Some(serial), Some(udid)) => vec![
            format!("serial number {serial:?}"),
            format!("UDID {udid:?}"),
        ],
        (Some(serial), None) => vec![format!("serial number {serial:?}")],
        (None, Some(udid)) => vec![format!("UDID {udid:?}")],
        (None, None) => return String::new(),
    };
    format!(" (the evidence says {}, not verified)", says.join(" and "))
}

/// The answer to a DeviceInformation query.
fn information(
    piece: &Piece,
    certificates: Vec<Vec<u8>>,
    args: &ImportArgs,
) -> Result<Evidence, Missing> {
    let leaf = pieces::leaf(&piece.content);
    let nonces = match (&args.nonce, args.sent) {
        (Some(nonce), Some(sent)) => {
            let nonce = SentNonce::new(nonce.for_leaf(leaf.as_ref()), sent.0);
            // Its length was checked by the command line.
            nonce.map(|nonce| vec![nonce]).unwrap_or_default()
        }
        _ => piece.hints.nonces.clone(),
    };
    if nonces.is_empty() {
        return Err(Missing::Values(vec![
            "the nonce that was sent to the device: give --nonce".to_owned(),
            "when it was sent: give --sent".to_owned(),
        ]));
    }
    Ok(Evidence::DeviceInformation(DeviceInformationAnswer::new(
        nonces,
        certificates,
    )))
}

/// An attestation object around certificates:
///
/// ```text
/// {"fmt": "apple", "attStmt": {"x5c": [leaf DER, intermediate DER, ..]}}
/// ```
fn object_of(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut object = b"\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c".to_vec();
    // RFC 8949 section 3: the major type, then the length in the fewest bytes.
    let head = |object: &mut Vec<u8>, kind: u8, length: usize| match length {
        0..=0x17 => object.push(kind | length as u8),
        0x18..=0xff => object.extend([kind | 0x18, length as u8]),
        0x100..=0xffff => {
            object.push(kind | 0x19);
            object.extend((length as u16).to_be_bytes());
        }
        _ => {
            object.push(kind | 0x1a);
            object.extend((length as u32).to_be_bytes());
        }
    };
    head(&mut object, 0x80, chain.len());
    for der in chain {
        head(&mut object, 0x40, der.len());
        object.extend(der);
    }
    object
}
