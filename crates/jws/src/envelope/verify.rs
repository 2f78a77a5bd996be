use std::fmt;

use super::{Envelope, SignatureError, Signer};
use crate::{Algorithm, PublicKey};

/// The content of an envelope whose signature verified.
#[derive(PartialEq, Eq)]
pub struct Verified {
    nonce: String,
    padded_signature: bool,
    payload: Vec<u8>,
    url: String,
}

impl Verified {
    /// The decoded payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether the payload is empty, which makes a request a POST-as-GET (RFC
    /// 8555 section 6.3). `{}` is not empty.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// The `url` header parameter.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The `nonce` header parameter; empty for an inner JWS, which has none.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Whether the signature verified only after restoring a leading zero octet
    /// of r, of s or of both, which the sender had dropped.
    pub fn padded_signature(&self) -> bool {
        self.padded_signature
    }
}

/// Omits the payload, which may identify a device.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("padded_signature", &self.padded_signature)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Envelope {
    /// Verifies the signature and returns the content.
    ///
    /// `key` is the account's key for [`Signer::Kid`]. For [`Signer::Jwk`] it
    /// must be that key; any other is refused.
    ///
    /// # Errors
    /// [`SignatureError`]; the envelope and its payload are dropped.
    pub fn verify(self, key: &PublicKey) -> Result<Verified, SignatureError> {
        if let Signer::Jwk(jwk) = &self.signer
            && jwk != key
        {
            return Err(SignatureError::KeyMismatch);
        }
        // RFC 8725 section 3.1: "Each key MUST be used with exactly one
        // algorithm, and this MUST be checked when the cryptographic operation
        // is performed."
        if self.algorithm != key.algorithm() {
            return Err(SignatureError::AlgorithmMismatch);
        }
        let message = self.signing_input.as_bytes();
        let padded_signature = if self.signature.len() == key.signature_len() {
            key.parsed()
                .verify_sig(message, &self.signature)
                .map_err(|_| SignatureError::Invalid)?;
            false
        } else {
            verify_shortened(key, message, &self.signature)?;
            true
        };
        Ok(Verified {
            nonce: self.nonce,
            padded_signature,
            payload: self.payload,
            url: self.url,
        })
    }
}

/// Verifies an ES256 signature that lacks one or two octets.
///
/// RFC 7518 section 3.4, of r and s: "The octet sequence representations MUST
/// NOT be shortened to omit any leading zero octets contained in the values."
/// Apple's ACME client drops them nevertheless, in about one of 128 requests,
/// and it signs only with P-256. Three forms are repaired: r short by one
/// octet, s short by one, both short by one. Each repair yields a complete
/// signature, so trying two does not weaken the check, and no request costs
/// more than two P-256 verifications. Rarer forms (one number short by two: one
/// in 32,768 requests) are refused.
fn verify_shortened(
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let full = key.signature_len();
    let half = full / 2;
    // How many zero octets to prepend to r and to s.
    let paddings: &[(usize, usize)] = match (key.algorithm(), full.checked_sub(signature.len())) {
        (Algorithm::Es256, Some(1)) => &[(1, 0), (0, 1)],
        (Algorithm::Es256, Some(2)) => &[(1, 1)],
        _ => return Err(SignatureError::Length),
    };
    for (r_zeros, s_zeros) in paddings {
        let (r, s) = signature.split_at(half - r_zeros);
        let padded = [&[0; 1][..*r_zeros], r, &[0; 1][..*s_zeros], s].concat();
        if key.parsed().verify_sig(message, &padded).is_ok() {
            return Ok(());
        }
    }
    Err(SignatureError::Invalid)
}
