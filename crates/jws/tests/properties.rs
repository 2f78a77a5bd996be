//! No input causes a panic, and no altered envelope verifies.

mod common;

use std::sync::LazyLock;

use assay_jws::{Algorithm, Envelope, PublicKey};
use common::{Client, NONCE, URL};
use proptest::prelude::*;

struct Signed {
    body: String,
    jwk: String,
    key: PublicKey,
}

const PAYLOAD: &[u8] = br#"{"identifiers":[{"type":"permanent-identifier","value":"C02"}]}"#;

static SIGNED: LazyLock<Vec<Signed>> = LazyLock::new(|| {
    Algorithm::ALL
        .into_iter()
        .map(Client::new)
        .flat_map(|client| {
            [client.kid_header(), client.jwk_header(&client.jwk)].map(|header| Signed {
                body: client.sign(&header, PAYLOAD).json(),
                jwk: client.jwk.clone(),
                key: client.key(),
            })
        })
        .collect()
});

/// Replaces, inserts or removes octets.
fn mutate(bytes: &mut Vec<u8>, edits: &[(usize, u8, u8)]) {
    for (at, kind, octet) in edits {
        let at = at % bytes.len();
        match kind % 4 {
            0 => bytes[at] = *octet,
            1 => bytes[at] ^= 1 << (octet % 8),
            2 => bytes.insert(at, *octet),
            _ if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => {}
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn random_octets_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Envelope::parse(&bytes).is_err());
        prop_assert!(Envelope::parse_inner(&bytes).is_err());
        prop_assert!(PublicKey::from_jwk(&bytes).is_err());
        prop_assert!(PublicKey::from_spki_der(&bytes).is_err());
    }

    #[test]
    fn mutated_envelope_says_what_was_signed_or_nothing(index in 0..10_usize, edits in edits()) {
        let signed = &SIGNED[index];
        let mut body = signed.body.clone().into_bytes();
        mutate(&mut body, &edits);
        let _ = Envelope::parse_inner(&body);
        // Whitespace and escapes of the outer object may change without effect.
        if let Ok(verified) = Envelope::parse(&body).map(|envelope| envelope.verify(&signed.key))
            && let Ok(verified) = verified
        {
            prop_assert_eq!(verified.payload(), PAYLOAD);
            prop_assert_eq!(verified.nonce(), NONCE);
            prop_assert_eq!(verified.url(), URL);
        }
    }

    #[test]
    fn mutated_jwk_is_canonical_or_refused(index in 0..10_usize, edits in edits()) {
        let mut jwk = SIGNED[index].jwk.clone().into_bytes();
        mutate(&mut jwk, &edits);
        if let Ok(key) = PublicKey::from_jwk(&jwk) {
            let again = PublicKey::from_jwk(key.to_jwk().as_bytes());
            prop_assert_eq!(again.as_ref(), Ok(&key));
            prop_assert_eq!(PublicKey::from_spki_der(key.spki_der()), Ok(key));
        }
    }

    #[test]
    fn mutated_spki_is_canonical_or_refused(index in 0..10_usize, edits in edits()) {
        let mut spki = SIGNED[index].key.spki_der().to_vec();
        mutate(&mut spki, &edits);
        if let Ok(key) = PublicKey::from_spki_der(&spki) {
            prop_assert_eq!(key.spki_der(), &spki);
            prop_assert_eq!(PublicKey::from_jwk(key.to_jwk().as_bytes()), Ok(key));
        }
    }
}

#[test]
fn unclosed_deep_nesting_is_refused_without_recursion() {
    for open in ["[", r#"{"a":"#] {
        let deep = open.repeat(100_000);
        for body in [
            deep.clone(),
            format!(r#"{{"protected":{deep}"#),
            format!(r#"{{"x":{deep}"#),
        ] {
            assert!(Envelope::parse(body.as_bytes()).is_err());
            assert!(PublicKey::from_jwk(body.as_bytes()).is_err());
        }
    }
}
