//! Any bytes as the body of a request: nobody can say anything in the name of
//! a key that is lost.

use std::{collections::HashSet, sync::LazyLock};

use assay_jws::{Envelope, PublicKey, Signer};

use crate::testdata::files;

/// The keys of `testdata/jws`, by their names. Nobody has them any more.
static KEYS: LazyLock<Vec<(String, PublicKey)>> = LazyLock::new(|| {
    files("jws/keys")
        .into_iter()
        .map(|(name, jwk)| (name, PublicKey::from_jwk(&jwk).unwrap()))
        .collect()
});

/// What they said: URL, nonce and payload.
static SAID: LazyLock<HashSet<(String, String, Vec<u8>)>> = LazyLock::new(|| {
    let said: HashSet<_> = files("jws/good")
        .into_iter()
        .filter_map(|(_, body)| said(&body, &Envelope::parse))
        .chain(
            files("jws/good")
                .into_iter()
                .filter_map(|(_, body)| said(&body, &Envelope::parse_inner)),
        )
        .collect();
    assert!(said.len() >= 3, "hardly any good envelope");
    said
});

/// Parses `body` in both of its grammars.
pub fn run(body: &[u8]) {
    if let Some(said) = said(body, &Envelope::parse) {
        assert!(!said.1.is_empty(), "a request without a nonce");
        assert!(SAID.contains(&said), "forged: {said:?}");
    }
    if let Some(said) = said(body, &Envelope::parse_inner) {
        assert_eq!(said.1, "", "a nonce in an inner JWS");
        assert!(SAID.contains(&said), "forged: {said:?}");
    }
}

/// What one of [`KEYS`] says by `body`, if it does.
fn said<E>(
    body: &[u8],
    parse: &impl Fn(&[u8]) -> Result<Envelope, E>,
) -> Option<(String, String, Vec<u8>)> {
    let envelope = parse(body).ok()?;
    assert!(!envelope.url().is_empty());
    let key = match envelope.signer() {
        Signer::Jwk(key) => {
            check_key(key);
            assert_eq!(key.algorithm(), envelope.algorithm());
            &KEYS.iter().find(|(_, known)| known == key)?.1
        }
        Signer::Kid(kid) => {
            let name = kid.rsplit('/').next()?;
            &KEYS.iter().find(|(known, _)| known == name)?.1
        }
    };
    let verified = envelope.verify(key).ok()?;
    Some((
        verified.url().to_owned(),
        verified.nonce().to_owned(),
        verified.payload().to_owned(),
    ))
}

/// One key has one encoding of each form.
fn check_key(key: &PublicKey) {
    let jwk = key.to_jwk();
    let from_jwk = PublicKey::from_jwk(jwk.as_bytes());
    assert_eq!(from_jwk.as_ref().map(PublicKey::to_jwk), Ok(jwk));
    assert_eq!(from_jwk.as_ref(), Ok(key));
    assert_eq!(PublicKey::from_spki_der(key.spki_der()).as_ref(), Ok(key));
}
