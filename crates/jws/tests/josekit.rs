//! Envelopes that josekit signs verify; where josekit is lenient, this crate is
//! not.

mod common;

use assay_jws::{
    Algorithm, Envelope, EnvelopeError, JsonError, KeyError, PublicKey, SignatureError, Signer,
};
use common::{Client, Flattened, NONCE, URL, josekit_verifier};
use data_encoding::BASE64URL_NOPAD;
use josekit::{
    jwk::Jwk,
    jws::{self, HS256, JwsHeaderSet, RS256},
};

#[test]
fn what_josekit_serializes_we_verify() {
    for algorithm in Algorithm::ALL {
        let client = Client::new(algorithm);
        let mut header = JwsHeaderSet::new();
        header.set_key_id(client.kid(), true);
        header.set_url(URL, true);
        header.set_nonce(BASE64URL_NOPAD.decode(b"AAECAw").unwrap(), true);
        header.set_token_type("jose+json", true);
        let body =
            jws::serialize_flattened_json(b"{\"a\":1}", &header, client.signer.as_ref()).unwrap();

        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        assert_eq!(envelope.algorithm(), algorithm);
        assert_eq!(envelope.signer(), &Signer::Kid(client.kid()));
        let verified = envelope.verify(&client.key()).unwrap();
        assert_eq!(verified.payload(), b"{\"a\":1}");
        assert_eq!(verified.url(), URL);
        assert_eq!(verified.nonce(), "AAECAw");
        assert!(!verified.padded_signature());
    }
}

#[test]
fn jwk_of_josekit_is_the_key_and_its_canonical_form_is_stable() {
    for algorithm in Algorithm::ALL {
        let client = Client::new(algorithm);
        let key = client.key();
        let again = PublicKey::from_jwk(key.to_jwk().as_bytes()).unwrap();
        assert_eq!(again, key);
        assert_eq!(again.to_jwk(), key.to_jwk());
        assert_eq!(again.thumbprint(), key.thumbprint());
        let of_spki = PublicKey::from_spki_der(key.spki_der()).unwrap();
        assert_eq!(of_spki, key);
        assert_eq!(of_spki.to_jwk(), key.to_jwk());
        assert_eq!(of_spki.algorithm(), algorithm);

        let header = client.jwk_header(&client.jwk);
        let envelope = Envelope::parse(client.sign(&header, b"").json().as_bytes()).unwrap();
        assert_eq!(envelope.signer(), &Signer::Jwk(key.clone()));
        assert!(envelope.verify(&key).unwrap().is_empty());
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for algorithm in Algorithm::ALL {
        let client = Client::new(algorithm);
        let key = client.key();
        let header = client.kid_header();
        let payload = br#"{"identifiers":[]}"#;
        let signature = client.sign(&header, payload).signature;
        let parts = [header.as_bytes(), payload, signature.as_slice()];
        let accepted = |parts: [&[u8]; 3]| {
            let body = Flattened {
                protected: BASE64URL_NOPAD.encode(parts[0]),
                payload: BASE64URL_NOPAD.encode(parts[1]),
                signature: parts[2].to_vec(),
            };
            Envelope::parse(body.json().as_bytes())
                .is_ok_and(|envelope| envelope.verify(&key).is_ok())
        };
        assert!(accepted(parts));
        for part in 0..parts.len() {
            for bit in 0..parts[part].len() * 8 {
                let mut flipped = parts[part].to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let mut parts = parts;
                parts[part] = &flipped;
                assert!(!accepted(parts), "{algorithm:?}: part {part}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_key_of_another_client_or_algorithm_is_refused() {
    let clients = Algorithm::ALL.map(Client::new);
    for signer in &clients {
        let body = signer.sign(&signer.kid_header(), b"{}").json();
        for other in &clients {
            let expected = if signer.algorithm == other.algorithm {
                None
            } else {
                Some(SignatureError::AlgorithmMismatch)
            };
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            assert_eq!(envelope.verify(&other.key()).err(), expected);
        }
        let other = Client::new(signer.algorithm).key();
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        assert_eq!(
            envelope.verify(&other),
            Err(SignatureError::Invalid),
            "{:?}",
            signer.algorithm
        );
    }
}

/// Asserts that josekit accepts `body`, signed with the key `jwk`, and that
/// this crate refuses it with `expected`.
fn lenient(client: &Client, jwk: &str, body: &str, expected: EnvelopeError) {
    let verifier = josekit_verifier(client.algorithm, jwk);
    let accepted = jws::deserialize_json(body, verifier.as_ref());
    assert!(accepted.is_ok(), "josekit: {accepted:?} for {expected:?}");
    assert_eq!(Envelope::parse(body.as_bytes()).err(), Some(expected));
}

#[test]
fn what_josekit_accepts_of_the_object_we_refuse() {
    let client = Client::new(Algorithm::Es256);
    let jws = client.sign(&client.kid_header(), b"{}");
    let (protected, payload) = (&jws.protected, &jws.payload);
    let signature = BASE64URL_NOPAD.encode(&jws.signature);
    let general = format!(
        r#"{{"payload":"{payload}","signatures":[{{"protected":"{protected}","signature":"{signature}"}}]}}"#
    );
    let cases = [
        (
            jws.with(r#","header":{"x":1}"#),
            EnvelopeError::UnprotectedHeader,
        ),
        (
            jws.with(&format!(r#","payload":"{payload}""#)),
            EnvelopeError::Body(JsonError::DuplicateMember),
        ),
        (general, EnvelopeError::MultipleSignatures),
    ];
    for (body, expected) in cases {
        lenient(&client, &client.jwk, &body, expected);
    }
}

#[test]
fn what_josekit_accepts_of_the_header_we_refuse() {
    let client = Client::new(Algorithm::Es256);
    let (kid, jwk) = (client.kid(), &client.jwk);
    let rest = format!(r#""kid":"{kid}","nonce":"{NONCE}","url":"{URL}""#);
    let cases = [
        (
            format!(r#"{{"alg":"ES256","crit":["exp"],"exp":1,{rest}}}"#),
            EnvelopeError::Critical,
        ),
        (
            format!(r#"{{"alg":"ES256","b64":false,{rest}}}"#),
            EnvelopeError::UnencodedPayload,
        ),
        (
            format!(r#"{{"alg":"ES256","jwk":{jwk},{rest}}}"#),
            EnvelopeError::JwkAndKid,
        ),
        (
            format!(r#"{{"alg":"none","alg":"ES256",{rest}}}"#),
            EnvelopeError::Protected(JsonError::DuplicateMember),
        ),
        (
            format!(r#"{{"alg":"ES256","x":1,"x":2,{rest}}}"#),
            EnvelopeError::Protected(JsonError::DuplicateMember),
        ),
    ];
    for (header, expected) in cases {
        let body = client.sign(&header, b"{}").json();
        lenient(&client, jwk, &body, expected);
    }

    // alg, nonce and url from the unprotected header.
    for (protected, unprotected) in [
        (format!(r#"{{{rest}}}"#), r#"{"alg":"ES256"}"#.to_owned()),
        (
            format!(r#"{{"alg":"ES256","kid":"{kid}","url":"{URL}"}}"#),
            format!(r#"{{"nonce":"{NONCE}"}}"#),
        ),
        (
            format!(r#"{{"alg":"ES256","kid":"{kid}","nonce":"{NONCE}"}}"#),
            format!(r#"{{"url":"{URL}"}}"#),
        ),
    ] {
        let body = client
            .sign(&protected, b"{}")
            .with(&format!(r#","header":{unprotected}"#));
        lenient(&client, jwk, &body, EnvelopeError::UnprotectedHeader);
    }
}

#[test]
fn what_josekit_accepts_of_an_ec_key_we_refuse() {
    let client = Client::new(Algorithm::Es256);
    // josekit concatenates x and y, so splitting the same octets elsewhere
    // gives the same key with a second thumbprint.
    let point = client.key().spki_der()[27..].to_vec();
    let jwk = format!(
        r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
        BASE64URL_NOPAD.encode(&point[..33]),
        BASE64URL_NOPAD.encode(&point[33..]),
    );
    let body = client.sign(&client.jwk_header(&jwk), b"{}").json();
    lenient(
        &client,
        &jwk,
        &body,
        EnvelopeError::BadKey(KeyError::CoordinateLength),
    );

    let jwk = client.jwk.replacen('{', r#"{"d":"AQAB","#, 1);
    let body = client.sign(&client.jwk_header(&jwk), b"{}").json();
    lenient(
        &client,
        &jwk,
        &body,
        EnvelopeError::BadKey(KeyError::PrivateMember),
    );

    let jwk = client.jwk.replacen('{', r#"{"kty":"oct","#, 1);
    let body = client.sign(&client.jwk_header(&jwk), b"{}").json();
    lenient(
        &client,
        &jwk,
        &body,
        EnvelopeError::BadKey(KeyError::Json(JsonError::DuplicateMember)),
    );
}

#[test]
fn what_josekit_accepts_of_an_rsa_key_we_refuse() {
    let client = Client::new(Algorithm::Rs256);
    // With e = 1 the padded digest is its own signature: anyone can sign.
    for (octets, expected) in [(256, KeyError::Exponent), (1024, KeyError::ModulusSize)] {
        let modulus = BASE64URL_NOPAD.encode(&vec![0xff; octets]);
        let jwk = format!(r#"{{"kty":"RSA","n":"{modulus}","e":"AQ"}}"#);
        let mut jws = client.sign(&client.jwk_header(&jwk), b"{}");
        let message = format!("{}.{}", jws.protected, jws.payload);
        let digest = sha256(message.as_bytes());
        // RFC 8017 section 9.2, EMSA-PKCS1-v1_5 with SHA-256.
        let digest_info = [
            b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            digest.as_slice(),
        ]
        .concat();
        let padding = vec![0xff; octets - 3 - digest_info.len()];
        jws.signature = [&[0, 1], padding.as_slice(), &[0], &digest_info].concat();
        lenient(&client, &jwk, &jws.json(), EnvelopeError::BadKey(expected));
    }

    // An exponent as long as the modulus costs milliseconds per signature.
    let modulus = BASE64URL_NOPAD.encode(&[0xff; 256]);
    let exponent = BASE64URL_NOPAD.encode(&[0x7f; 255]);
    let jwk = format!(r#"{{"kty":"RSA","n":"{modulus}","e":"{exponent}"}}"#);
    assert!(
        RS256
            .verifier_from_jwk(&Jwk::from_bytes(&jwk).unwrap())
            .is_ok()
    );
    assert_eq!(PublicKey::from_jwk(jwk.as_bytes()), Err(KeyError::Exponent));
}

fn sha256(message: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message)
        .as_ref()
        .to_vec()
}

#[test]
fn a_symmetric_jwk_that_josekit_accepts_we_refuse() {
    let jwk = Jwk::generate_oct_key(32).unwrap();
    let header = format!(r#"{{"alg":"HS256","jwk":{jwk},"nonce":"{NONCE}","url":"{URL}"}}"#);
    let client = Client {
        algorithm: Algorithm::Es256,
        signer: Box::new(HS256.signer_from_jwk(&jwk).unwrap()),
        jwk: jwk.to_string(),
    };
    let body = client.sign(&header, b"{}").json();
    let verifier = HS256.verifier_from_jwk(&jwk).unwrap();
    assert!(jws::deserialize_json(&body, &verifier).is_ok());
    assert_eq!(
        Envelope::parse(body.as_bytes()).err(),
        Some(EnvelopeError::BadAlgorithm)
    );

    let body = client.sign(&client.jwk_header(&client.jwk), b"{}").json();
    assert_eq!(
        Envelope::parse(body.as_bytes()).err(),
        Some(EnvelopeError::BadKey(KeyError::PrivateMember))
    );
}
