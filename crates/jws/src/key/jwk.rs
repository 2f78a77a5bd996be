use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;
use serde::de::{IgnoredAny, MapAccess};

use super::{
    KeyError, PublicKey,
    curve::{CURVES, Curve},
    import,
};
use crate::{
    Algorithm,
    json::{Shape, Value},
};

/// The JWK members that are used, as sent: not yet decoded.
#[derive(Default)]
pub(crate) struct Jwk<'a> {
    alg: Option<Value<'a>>,
    crv: Option<Value<'a>>,
    e: Option<Value<'a>>,
    key_ops: Option<Value<'a, KeyOperations>>,
    kty: Option<Value<'a>>,
    n: Option<Value<'a>>,
    private: bool,
    usage: Option<Value<'a>>,
    x: Option<Value<'a>>,
    y: Option<Value<'a>>,
}

impl<'de> Shape<'de> for Jwk<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "alg" => self.alg = Some(map.next_value()?),
            "crv" => self.crv = Some(map.next_value()?),
            "e" => self.e = Some(map.next_value()?),
            "key_ops" => self.key_ops = Some(map.next_value()?),
            "kty" => self.kty = Some(map.next_value()?),
            "n" => self.n = Some(map.next_value()?),
            "use" => self.usage = Some(map.next_value()?),
            "x" => self.x = Some(map.next_value()?),
            "y" => self.y = Some(map.next_value()?),
            _ => {
                // RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1. A key whose private
                // part was sent in a request is compromised.
                self.private |= matches!(name, "d" | "dp" | "dq" | "k" | "oth" | "p" | "q" | "qi");
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Whether `key_ops` contains `verify` (RFC 7517 section 4.3).
#[derive(Default)]
struct KeyOperations {
    verify: bool,
}

impl Shape<'_> for KeyOperations {
    fn element(&mut self, text: &str) {
        self.verify |= text == "verify";
    }
}

/// The key type that `kty` and `crv` select.
enum Kind {
    Ec(&'static Curve),
    Ed25519,
    Rsa,
}

impl Jwk<'_> {
    /// Imports the key after all cheap checks. `expected` is the `alg` of the
    /// header that carries the key, if a header does.
    pub(crate) fn import(self, expected: Option<Algorithm>) -> Result<PublicKey, KeyError> {
        if self.private {
            return Err(KeyError::PrivateMember);
        }
        let kind = match required(self.kty)?.as_ref() {
            "EC" => {
                let name = required(self.crv)?;
                let curve = CURVES.iter().find(|curve| curve.name == name);
                Kind::Ec(curve.ok_or(KeyError::UnsupportedCurve)?)
            }
            "OKP" if required(self.crv)? == "Ed25519" => Kind::Ed25519,
            "OKP" => return Err(KeyError::UnsupportedCurve),
            "RSA" => Kind::Rsa,
            _ => return Err(KeyError::UnsupportedKeyType),
        };
        let algorithm = match kind {
            Kind::Ec(curve) => curve.algorithm,
            Kind::Ed25519 => Algorithm::EdDsa,
            Kind::Rsa => Algorithm::Rs256,
        };

        // RFC 8555 section 6.2, a reason to reject the key: ""alg" is "ES256"
        // but "jwk" does not contain a valid P-256 public key".
        if expected.is_some_and(|expected| expected != algorithm) {
            return Err(KeyError::AlgorithmMismatch);
        }
        if let Some(alg) = self.alg
            && alg.text().ok_or(KeyError::MemberNotString)? != algorithm.as_str()
        {
            return Err(KeyError::DeclaredAlgorithm);
        }
        if let Some(usage) = self.usage
            && usage.text().ok_or(KeyError::MemberNotString)? != "sig"
        {
            return Err(KeyError::DeclaredUse);
        }
        if let Some(key_ops) = self.key_ops
            && !matches!(key_ops, Value::Array(KeyOperations { verify: true }))
        {
            return Err(KeyError::DeclaredUse);
        }

        match kind {
            Kind::Ec(curve) => import::ec(curve, &decode(self.x)?, &decode(self.y)?),
            Kind::Ed25519 => import::ed25519(&decode(self.x)?),
            Kind::Rsa => import::rsa(&decode(self.n)?, &decode(self.e)?),
        }
    }
}

fn required(member: Option<Value<'_>>) -> Result<Cow<'_, str>, KeyError> {
    member
        .ok_or(KeyError::MissingMember)?
        .text()
        .ok_or(KeyError::MemberNotString)
}

fn decode(member: Option<Value<'_>>) -> Result<Vec<u8>, KeyError> {
    BASE64URL_NOPAD
        .decode(required(member)?.as_bytes())
        .map_err(|_| KeyError::Encoding)
}
