//! A device's response to the challenge, with or without a fault.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    authority::AttestationAuthority,
    device::Device,
    enroll::EnrollError,
    faults::{Forger, Misstep, Shape},
};

/// Evidence for a challenge, in its shape unless the fault is in the requests.
pub(super) fn evidence(
    shape: Shape,
    authority: &AttestationAuthority,
    device: &Device,
    token: &str,
    thumbprint: &str,
    now: u64,
) -> Result<Vec<u8>, EnrollError> {
    // Apple's authority signs without knowing the account, so the freshness code is SHA-256 of the
    // token alone.
    let freshness = Sha256::digest(token);
    if shape.is_usual() || shape.misstep().is_some() {
        let evidence = authority
            .attest(&device.properties, &device.spki_der(), &freshness, now)
            .map_err(EnrollError::local)?;
        return Ok(evidence.attestation_object());
    }
    let forger = Forger {
        authority,
        device,
        freshness: freshness.to_vec(),
        key_authorization: format!("{token}.{thumbprint}"),
        now,
    };
    let forgery = shape.forge(&forger).map_err(EnrollError::local)?;
    Ok(forgery.attestation_object())
}

/// The payload of the response: the evidence, or the fault in its place.
pub(super) fn payload(misstep: Option<Misstep>, object: &[u8]) -> Value {
    let base64url = BASE64URL_NOPAD.encode(object);
    match misstep {
        Some(Misstep::DeviceError) => json!({"error": "the device could not attest its key"}),
        Some(Misstep::NoObject) => json!({}),
        // Standard base64 uses these characters where base64url uses "-" and "_".
        Some(Misstep::NotBase64Url) => json!({"attObj": format!("+/{base64url}")}),
        Some(Misstep::Padded) => json!({"attObj": format!("{base64url}=")}),
        _ => json!({"attObj": base64url}),
    }
}

/// Replaces the last character of the text.
pub(super) fn with_another_end(text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    if let Some(last) = characters.last_mut() {
        *last = if *last == 'X' { 'Y' } else { 'X' };
    }
    characters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_misstep_spoils_the_answer_in_its_own_way() {
        for (misstep, expected) in [
            (None, json!({"attObj": "oA"})),
            (Some(Misstep::CsrSignature), json!({"attObj": "oA"})),
            (Some(Misstep::NoObject), json!({})),
            (Some(Misstep::NotBase64Url), json!({"attObj": "+/oA"})),
            (Some(Misstep::Padded), json!({"attObj": "oA="})),
            (
                Some(Misstep::DeviceError),
                json!({"error": "the device could not attest its key"}),
            ),
        ] {
            assert_eq!(payload(misstep, &[0xa0]), expected, "{misstep:?}");
        }
    }

    #[test]
    fn another_end_is_always_another() {
        assert_eq!(with_another_end("C02A"), "C02X");
        assert_eq!(with_another_end("C02X"), "C02Y");
        assert_eq!(with_another_end(""), "");
    }
}
