//! Faults of the requests, with valid evidence.

use super::{Fault, Outcome, Way};

/// A wrong step during enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misstep {
    /// The device's key is also the account's key.
    AccountKeyIsDeviceKey,
    /// Once the challenge is valid, the device responds again, with the evidence of another device.
    AnswerAgain,
    /// The evidence of one order is sent to the challenge of the next.
    AnswerOfAnotherOrder,
    /// The CSR is for a key that was not attested.
    CsrOfAnotherKey,
    /// The CSR's signature does not verify.
    CsrSignature,
    /// The device reports that it could not attest.
    DeviceError,
    /// The response has no `attObj`.
    NoObject,
    /// The response is not base64url.
    NotBase64Url,
    /// Another account responds.
    OtherAccount,
    /// The response is padded.
    Padded,
    /// The order is for an identifier that differs in its last character.
    UnlistedIdentifier,
}

pub(super) const FAULTS: &[Fault] = &[
    request(
        "unlisted-identifier",
        &[33, 37],
        refused("rejectedIdentifier", Some("not-admitted")),
        "The order is for an identifier whose last character is another.",
        Misstep::UnlistedIdentifier,
    ),
    request(
        "answer-without-object",
        &[43],
        refused("badAttestationStatement", Some("object-empty")),
        "The answer to the challenge has no attestation object.",
        Misstep::NoObject,
    ),
    request(
        "answer-not-base64url",
        &[43],
        refused("malformed", None),
        "The attestation object is not base64url; the challenge stays pending.",
        Misstep::NotBase64Url,
    ),
    request(
        "answer-padded",
        &[43],
        refused("malformed", None),
        "The base64url of the attestation object is padded; the challenge stays pending.",
        Misstep::Padded,
    ),
    request(
        "device-error",
        &[49],
        refused("badAttestationStatement", Some("device-could-not-attest")),
        "The device answers that it could not attest.",
        Misstep::DeviceError,
    ),
    request(
        "answer-again",
        &[50],
        Outcome::Accepted {
            unless: "nothing forbids it: the answer to a valid challenge changes nothing",
        },
        "A valid challenge is answered again, with the evidence of another device.",
        Misstep::AnswerAgain,
    ),
    request(
        "answer-by-another-account",
        &[51],
        refused("unauthorized", None),
        "Another account answers the challenge; it stays pending.",
        Misstep::OtherAccount,
    ),
    request(
        "answer-of-another-order",
        &[18, 52],
        refused("badAttestationStatement", Some("freshness-mismatch")),
        "The evidence of an earlier order answers the challenge of the next.",
        Misstep::AnswerOfAnotherOrder,
    ),
    request(
        "csr-of-another-key",
        &[53],
        refused("badCSR", Some("csr-key-not-attested")),
        "The CSR is for another key than the attested one.",
        Misstep::CsrOfAnotherKey,
    ),
    request(
        "csr-of-the-account-key",
        &[54],
        refused("badCSR", Some("csr-account-key")),
        "The attested key is the account's key.",
        Misstep::AccountKeyIsDeviceKey,
    ),
    request(
        "csr-signature",
        &[55],
        refused("badCSR", Some("csr-unreadable")),
        "The last bit of the CSR's signature is another.",
        Misstep::CsrSignature,
    ),
];

const fn request(
    name: &'static str,
    scenarios: &'static [u16],
    outcome: Outcome,
    meaning: &'static str,
    misstep: Misstep,
) -> Fault {
    Fault {
        name,
        scenarios,
        meaning,
        outcome,
        way: Way::Request(misstep),
    }
}

const fn refused(problem: &'static str, reason: Option<&'static str>) -> Outcome {
    Outcome::Request { problem, reason }
}
