use josekit::jws::{JwsVerifier, deserialize_json};
use serde_json::json;

use super::*;

const ALL: [(Algorithm, usize); 5] = [
    (Algorithm::EdDsa, 64),
    (Algorithm::Es256, 64),
    (Algorithm::Es384, 96),
    (Algorithm::Es512, 132),
    (Algorithm::Rs256, 256),
];

/// A verifier made only from the account's public JWK.
fn verifier(key: &AccountKey) -> Box<dyn JwsVerifier> {
    let jwk = josekit::jwk::Jwk::from_bytes(key.jwk().to_string()).unwrap();
    match key.algorithm() {
        Algorithm::EdDsa => Box::new(EdDSA.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Es256 => Box::new(ES256.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Es384 => Box::new(ES384.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Es512 => Box::new(ES512.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Rs256 => Box::new(RS256.verifier_from_jwk(&jwk).unwrap()),
    }
}

#[test]
fn josekit_reads_back_what_each_algorithm_signed() {
    for (algorithm, length) in ALL {
        let key = AccountKey::generate(algorithm).unwrap();
        let payload = json!({"identifiers": []});
        let envelope = Jws::new("https://ca.example/new-order", &payload)
            .sign(&key, None, Some("bm9uY2U"))
            .unwrap();
        let (read, header) = deserialize_json(envelope.to_string(), &*verifier(&key)).unwrap();
        assert_eq!(read, payload.to_string().into_bytes(), "{algorithm:?}");
        assert_eq!(
            header.claim("alg"),
            Some(&json!(algorithm.name())),
            "{algorithm:?}"
        );
        assert_eq!(key.sign(b"m").unwrap().len(), length, "{algorithm:?}");
    }
}

#[test]
fn a_jwk_has_the_required_members_only() {
    let expected: [&[&str]; 5] = [
        &["crv", "kty", "x"],
        &["crv", "kty", "x", "y"],
        &["crv", "kty", "x", "y"],
        &["crv", "kty", "x", "y"],
        &["e", "kty", "n"],
    ];
    for ((algorithm, _), expected) in ALL.into_iter().zip(expected) {
        let jwk = AccountKey::generate(algorithm).unwrap().jwk();
        let mut members: Vec<_> = jwk.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, expected, "{algorithm:?}");
    }
}

/// The example of RFC 7638 section 3.1 and that of RFC 8037 appendix A.3.
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let members = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let mut key = AccountKey::generate(Algorithm::Es256).unwrap();
    key.jwk = members(&[
        ("kty", "RSA"),
        (
            "n",
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        ),
        ("e", "AQAB"),
    ]);
    assert_eq!(
        key.thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    key.jwk = members(&[
        ("kty", "OKP"),
        ("crv", "Ed25519"),
        ("x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
    ]);
    assert_eq!(
        key.thumbprint(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn one_leading_zero_of_r_and_of_s_is_dropped_and_no_second_one() {
    let cases: [(&[u8], &[u8]); 6] = [
        (&[1, 2, 3, 4], &[1, 2, 3, 4]),
        (&[0, 2, 3, 4], &[2, 3, 4]),
        (&[1, 2, 0, 4], &[1, 2, 4]),
        (&[0, 2, 0, 4], &[2, 4]),
        (&[0, 0, 3, 0, 0, 6], &[0, 3, 0, 6]),
        (&[1, 0, 3, 0], &[1, 0, 3, 0]),
    ];
    for (signature, expected) in cases {
        assert_eq!(drop_leading_zero(signature), expected);
    }
}

#[test]
fn scenario_13_a_short_signature_verifies_once_its_zero_is_back() {
    let key = AccountKey::generate(Algorithm::Es256)
        .unwrap()
        .with_style(SignatureStyle::AppleShort);
    let short = key.sign(b"m").unwrap();
    assert_eq!(short.len(), 63);
    let padded = |at: usize| {
        let mut signature = short.clone();
        signature.insert(at, 0);
        verifier(&key).verify(b"m", &signature).is_ok()
    };
    assert_eq!([padded(0), padded(32)].iter().filter(|ok| **ok).count(), 1);
}

#[test]
fn the_style_leaves_other_algorithms_alone() {
    for (algorithm, length) in [(Algorithm::EdDsa, 64), (Algorithm::Rs256, 256)] {
        let key = AccountKey::generate(algorithm)
            .unwrap()
            .with_style(SignatureStyle::AppleShort);
        assert_eq!(key.sign(b"m").unwrap().len(), length);
    }
}

#[test]
fn an_external_account_binding_carries_the_account_key_under_the_mac() {
    let key = AccountKey::generate(Algorithm::Es256).unwrap();
    let url = "https://ca.example/new-account";
    let binding = external_account_binding("kid-1", &[7; 32], url, &key).unwrap();
    let verifier = HS256.verifier_from_bytes([7; 32]).unwrap();
    let (payload, header) = deserialize_json(binding.to_string(), &verifier).unwrap();
    assert_eq!(payload, key.jwk().to_string().into_bytes());
    assert_eq!(header.claim("url"), Some(&json!(url)));
    assert_eq!(header.claim("kid"), Some(&json!("kid-1")));
    assert_eq!(header.claim("nonce"), None);
    assert_eq!(header.claim("jwk"), None);
}
