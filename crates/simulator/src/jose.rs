//! Account keys. josekit (OpenSSL) generates them and signs with them.

use std::{collections::BTreeMap, fmt};

use data_encoding::BASE64URL_NOPAD;
use josekit::{
    jwk::{
        KeyPair,
        alg::{
            ec::{EcCurve, EcKeyPair},
            ed::{EdCurve, EdKeyPair},
            rsa::RsaKeyPair,
        },
    },
    jws::{ES256, ES384, ES512, EdDSA, HS256, JwsSigner, RS256},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::jws::Jws;

/// The algorithms of the simulator's account keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// P-256 with SHA-256: what Apple's client uses.
    Es256,
    /// P-384 with SHA-384.
    Es384,
    /// P-521 with SHA-512.
    Es512,
    /// A 2048-bit RSA key, PKCS#1 v1.5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// The `alg` value (RFC 7518 section 3.1, RFC 8037 section 3.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
        }
    }

    fn is_ecdsa(self) -> bool {
        matches!(self, Self::Es256 | Self::Es384 | Self::Es512)
    }
}

/// How an ECDSA signature is encoded. Other algorithms have only one encoding.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SignatureStyle {
    /// r and s at full length (RFC 7518 section 3.4).
    #[default]
    Exact,
    /// Like Apple's client: r and s without their leading zero byte. About one ES256 signature in
    /// 128 is too short, by one byte or two. A second zero byte of one number is kept: a server
    /// restores one of each (`docs/divergences.md`), and a simulated fleet must not fail randomly,
    /// once in 32,768 requests.
    Apple,
    /// Like Apple's client, but signs repeatedly until a signature is one byte short: about 128
    /// attempts.
    AppleShort,
}

/// The key pair of an ACME account.
#[derive(Clone)]
pub struct AccountKey {
    algorithm: Algorithm,
    style: SignatureStyle,
    /// The public JWK: the members that RFC 7638 section 3.2 requires, in that order.
    jwk: BTreeMap<String, String>,
    signer: Box<dyn JwsSigner>,
}

impl AccountKey {
    /// Generates a new key.
    ///
    /// # Errors
    ///
    /// [`JoseError`] if josekit fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, JoseError> {
        let pkcs8 = match algorithm {
            Algorithm::EdDsa => EdKeyPair::generate(EdCurve::Ed25519)?.to_der_private_key(),
            Algorithm::Es256 => EcKeyPair::generate(EcCurve::P256)?.to_der_private_key(),
            Algorithm::Es384 => EcKeyPair::generate(EcCurve::P384)?.to_der_private_key(),
            Algorithm::Es512 => EcKeyPair::generate(EcCurve::P521)?.to_der_private_key(),
            Algorithm::Rs256 => RsaKeyPair::generate(2048)?.to_der_private_key(),
        };
        Self::from_pkcs8_der(algorithm, &pkcs8)
    }

    /// Loads a key from a PKCS#8 document. A device's key can sign like an account, for example to
    /// revoke its own certificate (RFC 8555 section 7.6).
    ///
    /// # Errors
    ///
    /// [`JoseError`] if the document does not hold a private key for this algorithm.
    pub fn from_pkcs8_der(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, JoseError> {
        let ec = |pair: EcKeyPair| pair.to_jwk_public_key();
        let (signer, jwk): (Box<dyn JwsSigner>, _) = match algorithm {
            Algorithm::EdDsa => (
                Box::new(EdDSA.signer_from_der(pkcs8)?),
                EdDSA.key_pair_from_der(pkcs8)?.to_jwk_public_key(),
            ),
            Algorithm::Es256 => (
                Box::new(ES256.signer_from_der(pkcs8)?),
                ec(ES256.key_pair_from_der(pkcs8)?),
            ),
            Algorithm::Es384 => (
                Box::new(ES384.signer_from_der(pkcs8)?),
                ec(ES384.key_pair_from_der(pkcs8)?),
            ),
            Algorithm::Es512 => (
                Box::new(ES512.signer_from_der(pkcs8)?),
                ec(ES512.key_pair_from_der(pkcs8)?),
            ),
            Algorithm::Rs256 => (
                Box::new(RS256.signer_from_der(pkcs8)?),
                RS256.key_pair_from_der(pkcs8)?.to_jwk_public_key(),
            ),
        };
        let jwk = ["crv", "e", "kty", "n", "x", "y"]
            .into_iter()
            .filter_map(|name| {
                let value = jwk.parameter(name)?.as_str()?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        Ok(Self {
            algorithm,
            style: SignatureStyle::Exact,
            jwk,
            signer,
        })
    }

    /// The same key, with this signature style.
    #[must_use]
    pub fn with_style(self, style: SignatureStyle) -> Self {
        Self { style, ..self }
    }

    /// The key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key as a JWK, with only the members that RFC 7638 requires.
    #[must_use]
    pub fn jwk(&self) -> Value {
        json!(self.jwk)
    }

    /// The RFC 7638 thumbprint with SHA-256, in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // RFC 7638 section 3.3: "no whitespace or line breaks before or after any syntactic
        // elements and with the required members ordered lexicographically". No value of these
        // members needs JSON escapes.
        let members: Vec<_> = self
            .jwk
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        BASE64URL_NOPAD.encode(&Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// Signs the bytes. The result is the JWS `signature` before base64url.
    ///
    /// # Errors
    ///
    /// [`JoseError`] if josekit fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        if self.style == SignatureStyle::Exact || !self.algorithm.is_ecdsa() {
            return Ok(self.signer.sign(message)?);
        }
        loop {
            let exact = self.signer.sign(message)?;
            let written = drop_leading_zero(&exact);
            if self.style == SignatureStyle::Apple || written.len() == exact.len() - 1 {
                return Ok(written);
            }
        }
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKey")
            .field("algorithm", &self.algorithm)
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}

/// Concatenates r and s, each without its first byte if that is zero, so that a reader that expects
/// a fixed length cannot find the start of s.
fn drop_leading_zero(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    [r, s]
        .map(|number| number.strip_prefix(&[0]).unwrap_or(number))
        .concat()
}

/// The `externalAccountBinding` member of a newAccount payload (RFC 8555 section 7.3.4).
///
/// # Errors
///
/// [`JoseError`] if the MAC key is shorter than 32 bytes.
pub fn external_account_binding(
    key_id: &str,
    mac_key: &[u8],
    new_account_url: &str,
    account_key: &AccountKey,
) -> Result<Value, JoseError> {
    let signer = HS256.signer_from_bytes(mac_key)?;
    Jws::new(new_account_url, &account_key.jwk())
        .with("alg", "HS256")
        .with("kid", key_id)
        .serialize(|message| Ok(signer.sign(message)?))
}

/// josekit refused a key or could not sign.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("josekit: {reason}")]
pub struct JoseError {
    /// The error of josekit.
    pub reason: String,
}

impl From<josekit::JoseError> for JoseError {
    fn from(error: josekit::JoseError) -> Self {
        Self {
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
