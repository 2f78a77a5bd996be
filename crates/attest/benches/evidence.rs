//! What a good object costs with each back-end once its intermediate is
//! remembered, and what junk costs.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "what cannot be set up is not measured; criterion's macro documents nothing"
)]

use std::hint::black_box;

use assay_attest::{AwsLc, RustCrypto, SignatureVerifier, TrustAnchor, Verifier};
use assay_simulator::{authority::AttestationAuthority, evidence::DeviceProperties};
use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{KeyPair, PublicKeyData};

const NOW: u64 = 1_795_000_000;
const FRESHNESS: [u8; 32] = [7; 32];

fn evidence(criterion: &mut Criterion) {
    let authority = AttestationAuthority::create(NOW).unwrap();
    let device = KeyPair::generate().unwrap();
    let attest = |freshness: &[u8]| {
        authority
            .attest(
                &DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60"),
                &device.subject_public_key_info(),
                freshness,
                NOW,
            )
            .unwrap()
            .attestation_object()
    };
    let good = attest(&FRESHNESS);
    let stale = attest(&[8; 32]);
    let backends: [(&str, Box<dyn SignatureVerifier>); 2] = [
        ("rust_crypto", Box::new(RustCrypto)),
        ("aws_lc", Box::new(AwsLc)),
    ];
    for (name, backend) in backends {
        let root = TrustAnchor::laboratory(authority.root_der(), "benchmark").unwrap();
        let verifier = Verifier::new(vec![TrustAnchor::apple(), root], backend);
        verifier.verify_object(&good, &FRESHNESS, NOW).unwrap();
        criterion.bench_function(&format!("good/{name}"), |bencher| {
            bencher.iter(|| verifier.verify_object(black_box(&good), &FRESHNESS, NOW));
        });
    }

    let verifier = Verifier::new(vec![TrustAnchor::apple()], Box::new(RustCrypto));
    criterion.bench_function("junk/stale", |bencher| {
        bencher.iter(|| verifier.verify_object(black_box(&stale), &FRESHNESS, NOW));
    });
    criterion.bench_function("junk/cbor", |bencher| {
        bencher.iter(|| verifier.verify_object(black_box(&good[1..]), &FRESHNESS, NOW));
    });
}

criterion_group!(benches, evidence);
criterion_main!(benches);
