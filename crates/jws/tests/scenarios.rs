//! The numbered acceptance scenarios, for the part that the envelope decides.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod common;

use std::fs;

use assay_jws::{
    Algorithm, Envelope, EnvelopeError, JsonError, KeyError, PublicKey, SignatureError, Signer,
};
use common::{Client, Flattened, NONCE, URL};

fn refusal(body: &str) -> EnvelopeError {
    Envelope::parse(body.as_bytes()).expect_err(body)
}

/// Its last character has non-zero trailing bits.
#[test]
fn rfc_8555_section_7_3_sample_nonce_is_accepted() {
    let client = Client::new(Algorithm::Es256);
    let sample = "S9XaOcxP5McpnTcWPIhYuB";
    let header = client.kid_header().replace(NONCE, sample);
    let body = client.sign(&header, b"{}").json();
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    assert_eq!(envelope.nonce(), sample);
}

/// RFC 4648 section 3.2: without padding, no octets encode to 4n + 1 characters.
#[test]
fn a_nonce_of_a_length_that_no_octets_encode_to_is_malformed() {
    let client = Client::new(Algorithm::Es256);
    for length in 1..=24 {
        let header = client.kid_header().replace(NONCE, &"A".repeat(length));
        let body = client.sign(&header, b"{}").json();
        let refused = Envelope::parse(body.as_bytes()).err();
        let expected = (length % 4 == 1).then_some(EnvelopeError::NonceEncoding);
        assert_eq!(refused, expected, "{length}");
    }
}

#[test]
fn rfc_8555_section_7_3_5_sample_nests_two_envelopes() {
    let (old, new) = (Client::new(Algorithm::Es256), Client::new(Algorithm::Es256));
    let header = format!(r#"{{"alg":"ES256","jwk":{},"url":"{URL}"}}"#, new.jwk);
    let payload = format!(r#"{{"account":"{}","oldKey":{}}}"#, old.kid(), old.jwk);
    let inner = new.sign(&header, payload.as_bytes()).json();
    let body = old.sign(&old.kid_header(), inner.as_bytes()).json();

    let outer = Envelope::parse(body.as_bytes()).unwrap();
    let outer = outer.verify(&old.key()).unwrap();
    let inner = Envelope::parse_inner(outer.payload()).unwrap();
    let inner = inner.verify(&new.key()).unwrap();
    assert_eq!(inner.payload(), payload.as_bytes());
    assert_eq!(inner.url(), outer.url());
}

#[test]
fn debug_output_does_not_disclose_the_payload() {
    let client = Client::new(Algorithm::Es256);
    let body = client.sign(&client.kid_header(), b"").json();
    let empty = Envelope::parse(body.as_bytes()).unwrap();
    let body = client.sign(&client.kid_header(), b"{}").json();
    let full = Envelope::parse(body.as_bytes()).unwrap();
    assert_eq!(format!("{empty:?}"), format!("{full:?}"));
    assert_eq!(
        format!("{full:?}"),
        format!(
            r#"Envelope {{ algorithm: Es256, signer: Kid("{}"), url: "{URL}", .. }}"#,
            client.kid()
        )
    );
    let key = client.key();
    let (empty, full) = (empty.verify(&key).unwrap(), full.verify(&key).unwrap());
    assert_ne!(empty, full);
    assert_eq!(format!("{empty:?}"), format!("{full:?}"));
    assert_eq!(
        format!("{full:?}"),
        format!(r#"Verified {{ padded_signature: false, url: "{URL}", .. }}"#)
    );
}

/// An envelope of `testdata/jws` and its account's key. A signature that starts
/// with two zero octets takes seconds to find.
fn committed(path: &str) -> (String, PublicKey) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/jws");
    let body = fs::read_to_string(format!("{root}/{path}.json")).unwrap();
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    let Signer::Kid(kid) = envelope.signer() else {
        panic!("{path} has no kid")
    };
    let account = kid.rsplit('/').next().unwrap();
    let jwk = fs::read(format!("{root}/keys/{account}.json")).unwrap();
    (body, PublicKey::from_jwk(&jwk).unwrap())
}

#[test]
fn scenario_13_r_short_by_one_s_short_by_one_and_both_are_accepted_and_reported() {
    let client = Client::new(Algorithm::Es256);
    let short = |r_zeros, s_zeros| {
        let body = client.sign_shortened(r_zeros, s_zeros).json();
        (body, client.key())
    };
    let both = committed("good/es256-kid--shortened-r1-s1");
    for (body, key) in [short(1, 0), short(0, 1), both] {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        let verified = envelope.verify(&key).unwrap();
        assert!(verified.padded_signature(), "{body}");
    }
}

/// Apple's client sends the three forms above. No other form is tried, because
/// each candidate costs a verification.
#[test]
fn scenario_13_one_number_short_by_two_is_refused() {
    for splits in ["r2-s0", "r0-s2"] {
        let (body, key) = committed(&format!("bad/signature-invalid--shortened-{splits}"));
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        assert_eq!(envelope.verify(&key).err(), Some(SignatureError::Invalid));
    }
}

/// Apple's client signs with P-256 only, and two verifications of P-521 would
/// cost a millisecond.
#[test]
fn scenario_13_short_signatures_of_es384_and_es512_are_refused() {
    for algorithm in [Algorithm::Es384, Algorithm::Es512] {
        let client = Client::new(algorithm);
        for (r_zeros, s_zeros) in [(1, 0), (0, 1)] {
            let body = client.sign_shortened(r_zeros, s_zeros).json();
            assert_eq!(verify(&client, &body), Err(SignatureError::Length));
        }
    }
    // With P-521 the first octet is 0 or 1, so two zero octets are quick to
    // find.
    let client = Client::new(Algorithm::Es512);
    for (r_zeros, s_zeros) in [(1, 1), (2, 0), (0, 2)] {
        let body = client.sign_shortened(r_zeros, s_zeros).json();
        assert_eq!(verify(&client, &body), Err(SignatureError::Length));
    }
}

#[test]
fn scenario_13_other_lengths_are_refused() {
    for algorithm in Algorithm::ALL {
        let client = Client::new(algorithm);
        let mut long = client.sign(&client.kid_header(), b"{}");
        let mut short = long.clone();
        let empty = Flattened {
            signature: Vec::new(),
            ..long.clone()
        };
        long.signature.insert(0, 0);
        for wrong in [long, empty] {
            assert_eq!(verify(&client, &wrong.json()), Err(SignatureError::Length));
        }

        // One octet that is not a leading zero is missing.
        short.signature.pop();
        let expected = match algorithm {
            Algorithm::Es256 => SignatureError::Invalid,
            _ => SignatureError::Length,
        };
        assert_eq!(verify(&client, &short.json()), Err(expected));
    }
}

fn verify(client: &Client, body: &str) -> Result<(), SignatureError> {
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    envelope.verify(&client.key()).map(drop)
}

#[test]
fn full_signature_is_not_reported_as_padded() {
    let client = Client::new(Algorithm::Es256);
    let body = client.sign(&client.kid_header(), b"").json();
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    assert_eq!(envelope.url(), URL);
    assert_eq!(envelope.nonce(), NONCE);
    assert_eq!(envelope.algorithm(), Algorithm::Es256);
    let verified = envelope.verify(&client.key()).unwrap();
    assert!(!verified.padded_signature());
    assert!(verified.is_empty());
    assert_eq!(verified.url(), URL);
    assert_eq!(verified.nonce(), NONCE);
}

#[test]
fn scenario_88_jwk_and_kid_both_or_neither_is_refused() {
    let client = Client::new(Algorithm::Es256);
    let (jwk, kid) = (&client.jwk, client.kid());
    let both =
        format!(r#"{{"alg":"ES256","jwk":{jwk},"kid":"{kid}","nonce":"{NONCE}","url":"{URL}"}}"#);
    let neither = format!(r#"{{"alg":"ES256","nonce":"{NONCE}","url":"{URL}"}}"#);
    assert_eq!(
        refusal(&client.sign(&both, b"{}").json()),
        EnvelopeError::JwkAndKid
    );
    assert_eq!(
        refusal(&client.sign(&neither, b"{}").json()),
        EnvelopeError::MissingSigner
    );
}

/// newAccount requires a `jwk`: its caller sees whether the signer is a `jwk`
/// or a `kid`.
#[test]
fn scenario_88_kid_is_told_from_jwk() {
    let client = Client::new(Algorithm::Es256);
    let body = client.sign(&client.kid_header(), b"{}").json();
    assert_eq!(
        Envelope::parse(body.as_bytes()).unwrap().signer(),
        &Signer::Kid(client.kid())
    );
    let body = client.sign(&client.jwk_header(&client.jwk), b"{}").json();
    assert_eq!(
        Envelope::parse(body.as_bytes()).unwrap().signer(),
        &Signer::Jwk(client.key())
    );
}

#[test]
fn scenario_89_unsupported_algorithms_are_bad_algorithm() {
    let client = Client::new(Algorithm::Es256);
    for name in [
        "none", "None", "HS256", "HS512", "RS1", "RS384", "PS256", "ES256K", "es256", "Ed25519", "",
    ] {
        let header = client.kid_header().replace("ES256", name);
        let body = client.sign(&header, b"{}").json();
        assert_eq!(refusal(&body), EnvelopeError::BadAlgorithm, "{name}");
    }
    assert_eq!(
        Algorithm::ALL.map(Algorithm::as_str),
        ["ES256", "ES384", "ES512", "EdDSA", "RS256"]
    );
}

#[test]
fn scenario_89_nonce_or_url_only_in_the_unprotected_header_is_refused() {
    let client = Client::new(Algorithm::Es256);
    let kid = client.kid();
    let without_nonce = format!(r#"{{"alg":"ES256","kid":"{kid}","url":"{URL}"}}"#);
    let without_url = format!(r#"{{"alg":"ES256","kid":"{kid}","nonce":"{NONCE}"}}"#);
    for (header, unprotected, bare) in [
        (
            &without_nonce,
            format!(r#","header":{{"nonce":"{NONCE}"}}"#),
            EnvelopeError::MissingNonce,
        ),
        (
            &without_url,
            format!(r#","header":{{"url":"{URL}"}}"#),
            EnvelopeError::MissingUrl,
        ),
    ] {
        let jws = client.sign(header, b"{}");
        assert_eq!(
            refusal(&jws.with(&unprotected)),
            EnvelopeError::UnprotectedHeader
        );
        assert_eq!(refusal(&jws.json()), bare);
    }
}

#[test]
fn scenario_90_extensions_and_other_serializations_are_refused() {
    let client = Client::new(Algorithm::Es256);
    for (member, expected) in [
        (r#"{"b64":false,"#, EnvelopeError::UnencodedPayload),
        (r#"{"b64":true,"#, EnvelopeError::UnencodedPayload),
        (r#"{"crit":["b64"],"b64":false,"#, EnvelopeError::Critical),
        (r#"{"crit":["exp"],"exp":1,"#, EnvelopeError::Critical),
        (r#"{"crit":[],"#, EnvelopeError::Critical),
        (r#"{"\u0063rit":null,"#, EnvelopeError::Critical),
    ] {
        let header = client.kid_header().replacen('{', member, 1);
        assert_eq!(refusal(&client.sign(&header, b"{}").json()), expected);
    }

    let jws = client.sign(&client.kid_header(), b"{}");
    assert_eq!(
        refusal(&jws.with(r#","signatures":[]"#)),
        EnvelopeError::MultipleSignatures
    );
    assert_eq!(
        refusal(&format!("{} {{}}", jws.json())),
        EnvelopeError::Body(JsonError::TrailingData)
    );
    let compact = format!("{}.{}.AA", jws.protected, jws.payload);
    assert_eq!(refusal(&compact), EnvelopeError::Body(JsonError::Syntax));
}

#[test]
fn scenario_91_rsa_1024_is_a_bad_key() {
    let client = Client::new(Algorithm::Rs256);
    let jwk = josekit::jwk::Jwk::generate_rsa_key(1024).unwrap();
    let jwk = jwk.to_public_key().unwrap().to_string();
    assert_eq!(
        refusal(&client.sign(&client.jwk_header(&jwk), b"{}").json()),
        EnvelopeError::BadKey(KeyError::ModulusSize)
    );
}

#[test]
fn jwk_of_another_algorithm_is_a_bad_key() {
    let client = Client::new(Algorithm::Es256);
    for other in Algorithm::ALL {
        let jwk = Client::new(other).jwk;
        let body = client.sign(&client.jwk_header(&jwk), b"{}").json();
        let envelope = Envelope::parse(body.as_bytes());
        if other == Algorithm::Es256 {
            // Well-formed, but signed by another key.
            let envelope = envelope.unwrap();
            let Signer::Jwk(key) = envelope.signer().clone() else {
                unreachable!("the header has a jwk")
            };
            assert_eq!(envelope.verify(&key), Err(SignatureError::Invalid));
        } else {
            assert_eq!(
                envelope.unwrap_err(),
                EnvelopeError::BadKey(KeyError::AlgorithmMismatch)
            );
        }
    }
}

#[test]
fn jwk_envelope_verifies_with_that_key_only() {
    let client = Client::new(Algorithm::Es256);
    let body = client.sign(&client.jwk_header(&client.jwk), b"{}").json();
    let other = Client::new(Algorithm::Es256).key();
    assert_eq!(
        Envelope::parse(body.as_bytes()).unwrap().verify(&other),
        Err(SignatureError::KeyMismatch)
    );
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    assert_eq!(envelope.verify(&client.key()).unwrap().payload(), b"{}");
}

#[test]
fn scenario_98_inner_jws_has_a_jwk_and_no_nonce() {
    let client = Client::new(Algorithm::Es256);
    let (jwk, kid) = (&client.jwk, client.kid());
    let header = format!(r#"{{"alg":"ES256","jwk":{jwk},"url":"{URL}"}}"#);
    let body = client.sign(&header, b"{}").json();
    let inner = Envelope::parse_inner(body.as_bytes()).unwrap();
    assert_eq!(inner.nonce(), "");
    assert_eq!(inner.url(), URL);
    assert_eq!(inner.signer(), &Signer::Jwk(client.key()));
    let verified = inner.verify(&client.key()).unwrap();
    assert_eq!(verified.nonce(), "");
    assert_eq!(verified.payload(), b"{}");
    // An inner JWS is not a request.
    assert_eq!(refusal(&body), EnvelopeError::MissingNonce);

    for (header, expected) in [
        (client.jwk_header(jwk), EnvelopeError::NonceInInner),
        (
            header.replacen('{', r#"{"nonce":"","#, 1),
            EnvelopeError::NonceInInner,
        ),
        (
            format!(r#"{{"alg":"ES256","kid":"{kid}","url":"{URL}"}}"#),
            EnvelopeError::MissingInnerKey,
        ),
        (
            format!(r#"{{"alg":"ES256","url":"{URL}"}}"#),
            EnvelopeError::MissingInnerKey,
        ),
        (
            header.replacen('{', r#"{"kid":"a","#, 1),
            EnvelopeError::JwkAndKid,
        ),
        (
            format!(r#"{{"alg":"ES256","jwk":{jwk}}}"#),
            EnvelopeError::MissingUrl,
        ),
    ] {
        let body = client.sign(&header, b"{}").json();
        let refusal = Envelope::parse_inner(body.as_bytes()).unwrap_err();
        assert_eq!(refusal, expected, "{header}");
    }
}

#[test]
fn scenario_142_members_that_are_not_understood_are_ignored() {
    let client = Client::new(Algorithm::Es256);
    let jws = client.sign(&client.kid_header(), b"{}");
    for more in [
        r#","extra":1"#,
        r#","kid":"https://elsewhere.example/","nonce":null,"url":[]"#,
        r#","Header":{},"Signatures":[{"header":{}}]"#,
        r#","x":{"header":{},"signatures":[],"x":1,"x":1}"#,
        r#","":"""#,
    ] {
        let body = jws.with(more);
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        // None of them changes what is signed or who signed it.
        assert_eq!(envelope.signer(), &Signer::Kid(client.kid()), "{more}");
        let verified = envelope.verify(&client.key()).unwrap();
        assert_eq!((verified.payload(), verified.url()), (&b"{}"[..], URL));
    }
    for (more, expected) in [
        (r#","header":{}"#, EnvelopeError::UnprotectedHeader),
        (r#","h\u0065ader":null"#, EnvelopeError::UnprotectedHeader),
        (r#","x":1,"header":{}"#, EnvelopeError::UnprotectedHeader),
        (r#","signatures":[]"#, EnvelopeError::MultipleSignatures),
        (
            r#","x":1,"x":1"#,
            EnvelopeError::Body(JsonError::DuplicateMember),
        ),
        (
            r#","payload":"e30""#,
            EnvelopeError::Body(JsonError::DuplicateMember),
        ),
    ] {
        assert_eq!(refusal(&jws.with(more)), expected, "{more}");
    }
}
