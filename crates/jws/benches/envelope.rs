//! Benchmarks the cost of one request: parsing the envelope and verifying its
//! signature.
#![allow(missing_docs, reason = "criterion's macros generate public functions")]
#![allow(clippy::unwrap_used, reason = "a failure here is a broken benchmark")]

use std::hint::black_box;

use assay_jws::{Envelope, PublicKey, Signer};
use criterion::{Criterion, criterion_group, criterion_main};
use data_encoding::BASE64URL_NOPAD;
use josekit::{
    jwk::{Jwk, alg::ec::EcCurve},
    jws::{ES256, JwsSigner},
};

fn sign(signer: &dyn JwsSigner, header: &str, payload: &[u8]) -> Vec<u8> {
    let protected = BASE64URL_NOPAD.encode(header.as_bytes());
    let payload = BASE64URL_NOPAD.encode(payload);
    let signature = signer.sign(format!("{protected}.{payload}").as_bytes());
    let signature = BASE64URL_NOPAD.encode(&signature.unwrap());
    format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
        .into_bytes()
}

fn envelope(c: &mut Criterion) {
    let pair = Jwk::generate_ec_key(EcCurve::P256).unwrap();
    let signer = ES256.signer_from_jwk(&pair).unwrap();
    let jwk = pair.to_public_key().unwrap().to_string();
    let key = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
    let rest = r#""nonce":"S9XaOcxP5McpnTcWPIhYuA","url":"https://ca.example/acme/new-order"}"#;

    let header = format!(r#"{{"alg":"ES256","kid":"https://ca.example/acme/acct/1",{rest}"#);
    let payload = br#"{"identifiers":[{"type":"permanent-identifier","value":"C02XYZ"}]}"#;
    let body = sign(&signer, &header, payload);
    c.bench_function("kid: parse", |b| {
        b.iter(|| Envelope::parse(black_box(&body)).unwrap());
    });
    c.bench_function("kid: parse and verify with a cached key", |b| {
        b.iter(|| {
            let envelope = Envelope::parse(black_box(&body)).unwrap();
            envelope.verify(&key).unwrap()
        });
    });

    let header = format!(r#"{{"alg":"ES256","jwk":{jwk},{rest}"#);
    let body = sign(&signer, &header, br#"{"termsOfServiceAgreed":true}"#);
    c.bench_function("jwk: parse and verify a newAccount", |b| {
        b.iter(|| {
            let envelope = Envelope::parse(black_box(&body)).unwrap();
            let Signer::Jwk(key) = envelope.signer().clone() else {
                unreachable!("the header has a jwk")
            };
            envelope.verify(&key).unwrap()
        });
    });
}

criterion_group!(benches, envelope);
criterion_main!(benches);
