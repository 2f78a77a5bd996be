//! Keys and envelopes made by josekit, an independent implementation.
#![allow(dead_code, reason = "each test crate uses its own part of this module")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use assay_jws::{Algorithm, PublicKey};
use data_encoding::BASE64URL_NOPAD;
use josekit::{
    Value,
    jwk::{
        Jwk,
        alg::{ec::EcCurve, ed::EdCurve},
    },
    jws::{ES256, ES384, ES512, EdDSA, JwsSigner, JwsVerifier, RS256},
};

pub(crate) const URL: &str = "https://ca.example/acme/new-order";
/// josekit requires a canonical nonce; that of RFC 8555 section 7.3 is not
/// canonical.
pub(crate) const NONCE: &str = "S9XaOcxP5McpnTcWPIhYuA";

/// A client: a key pair of one algorithm, held by josekit.
pub(crate) struct Client {
    pub(crate) algorithm: Algorithm,
    pub(crate) signer: Box<dyn JwsSigner>,
    /// The public JWK as josekit writes it.
    pub(crate) jwk: String,
}

impl Client {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let (jwk, signer): (Jwk, Box<dyn JwsSigner>) = match algorithm {
            Algorithm::EdDsa => {
                let jwk = Jwk::generate_ed_key(EdCurve::Ed25519).unwrap();
                let signer = EdDSA.signer_from_jwk(&jwk).unwrap();
                (jwk, Box::new(signer))
            }
            Algorithm::Es256 => {
                let jwk = Jwk::generate_ec_key(EcCurve::P256).unwrap();
                let signer = ES256.signer_from_jwk(&jwk).unwrap();
                (jwk, Box::new(signer))
            }
            Algorithm::Es384 => {
                let jwk = Jwk::generate_ec_key(EcCurve::P384).unwrap();
                let signer = ES384.signer_from_jwk(&jwk).unwrap();
                (jwk, Box::new(signer))
            }
            Algorithm::Es512 => {
                let jwk = Jwk::generate_ec_key(EcCurve::P521).unwrap();
                let signer = ES512.signer_from_jwk(&jwk).unwrap();
                (jwk, Box::new(signer))
            }
            Algorithm::Rs256 => {
                let jwk = Jwk::generate_rsa_key(2048).unwrap();
                let signer = RS256.signer_from_jwk(&jwk).unwrap();
                (jwk, Box::new(signer))
            }
        };
        Self {
            algorithm,
            signer,
            jwk: Value::Object(jwk.to_public_key().unwrap().into()).to_string(),
        }
    }

    pub(crate) fn key(&self) -> PublicKey {
        PublicKey::from_jwk(self.jwk.as_bytes()).unwrap()
    }

    /// The account URL. The files in `testdata/jws/keys` are named after it.
    pub(crate) fn kid(&self) -> String {
        let name = self.algorithm.as_str().to_lowercase();
        format!("https://ca.example/acme/acct/{name}")
    }

    pub(crate) fn kid_header(&self) -> String {
        format!(
            r#"{{"alg":"{}","kid":"{}","nonce":"{NONCE}","url":"{URL}"}}"#,
            self.algorithm.as_str(),
            self.kid(),
        )
    }

    pub(crate) fn jwk_header(&self, jwk: &str) -> String {
        format!(
            r#"{{"alg":"{}","jwk":{jwk},"nonce":"{NONCE}","url":"{URL}"}}"#,
            self.algorithm.as_str(),
        )
    }

    pub(crate) fn sign(&self, header: &str, payload: &[u8]) -> Flattened {
        let protected = BASE64URL_NOPAD.encode(header.as_bytes());
        let payload = BASE64URL_NOPAD.encode(payload);
        let message = format!("{protected}.{payload}");
        Flattened {
            signature: self.signer.sign(message.as_bytes()).unwrap(),
            protected,
            payload,
        }
    }

    /// Makes a signature whose r and s start with at least these many zero
    /// octets and drops these octets, as Apple's client does. `note` varies
    /// between attempts.
    pub(crate) fn sign_shortened(&self, r_zeros: usize, s_zeros: usize) -> Flattened {
        (0..)
            .find_map(|note| {
                let mut jws =
                    self.sign(&self.kid_header(), format!(r#"{{"n":{note}}}"#).as_bytes());
                let (r, s) = jws.signature.split_at(jws.signature.len() / 2);
                let zero = |part: &[u8], count| part[..count].iter().all(|b| *b == 0);
                let fits = zero(r, r_zeros) && zero(s, s_zeros);
                let shortened = [&r[r_zeros..], &s[s_zeros..]].concat();
                jws.signature = shortened;
                fits.then_some(jws)
            })
            .unwrap()
    }
}

/// The parts of a flattened JWS, all but the signature encoded.
#[derive(Clone)]
pub(crate) struct Flattened {
    pub(crate) protected: String,
    pub(crate) payload: String,
    pub(crate) signature: Vec<u8>,
}

impl Flattened {
    pub(crate) fn json(&self) -> String {
        self.with("")
    }

    /// With more members, each with a leading comma.
    pub(crate) fn with(&self, more: &str) -> String {
        format!(
            r#"{{"protected":"{}","payload":"{}","signature":"{}"{more}}}"#,
            self.protected,
            self.payload,
            BASE64URL_NOPAD.encode(&self.signature),
        )
    }
}

/// The verifier that a server on josekit would make of a JWK.
pub(crate) fn josekit_verifier(algorithm: Algorithm, jwk: &str) -> Box<dyn JwsVerifier> {
    let jwk = Jwk::from_bytes(jwk).unwrap();
    match algorithm {
        Algorithm::EdDsa => Box::new(EdDSA.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Es256 => Box::new(ES256.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Es384 => Box::new(ES384.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Es512 => Box::new(ES512.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Rs256 => Box::new(RS256.verifier_from_jwk(&jwk).unwrap()),
    }
}
