//! What a good object costs with each back-end once its intermediate is
//! remembered, and what junk costs beside it. `docs/benchmarks.md` has the
//! figures.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "what cannot be set up is not measured; criterion's macro documents nothing"
)]

use std::hint::black_box;

use assay_attest::{AwsLc, Reason, RustCrypto, SignatureVerifier, TrustAnchor, Verifier};
use assay_simulator::{
    authority::AttestationAuthority,
    evidence::{Cbor, CertificateTemplate, DeviceProperties, Evidence, Extension, der},
};
use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{KeyPair, PublicKeyData};

const NOW: u64 = 1_795_000_000;
const FRESHNESS: [u8; 32] = [7; 32];
const MAX_OBJECT_BYTES: usize = assay_attest::limits::MAX_OBJECT_BYTES;

struct Bench {
    authority: AttestationAuthority,
    device: KeyPair,
}

impl Bench {
    fn new() -> Self {
        Self {
            authority: AttestationAuthority::create(NOW).unwrap(),
            device: KeyPair::generate().unwrap(),
        }
    }

    fn leaf(&self, freshness: &[u8]) -> CertificateTemplate {
        self.authority.leaf_template(
            &DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60"),
            &self.device.subject_public_key_info(),
            freshness,
            NOW,
        )
    }

    fn object(&self, leaf: &CertificateTemplate) -> Vec<u8> {
        let chain = vec![
            leaf.sign(self.authority.sub_key()).unwrap(),
            self.authority.sub_der().to_vec(),
        ];
        Evidence { chain }.attestation_object()
    }

    fn good(&self) -> Vec<u8> {
        self.object(&self.leaf(&FRESHNESS))
    }

    /// A verifier that knows the intermediate already.
    fn warm(&self, backend: Box<dyn SignatureVerifier>) -> Verifier {
        let root = TrustAnchor::laboratory(self.authority.root_der(), "benchmark").unwrap();
        let verifier = Verifier::new(vec![TrustAnchor::apple(), root], backend);
        verifier
            .verify_object(&self.good(), &FRESHNESS, NOW)
            .unwrap();
        verifier
    }

    /// What a stranger may send, and why it is refused.
    fn junk(&self) -> Vec<(&'static str, Reason, Vec<u8>)> {
        let with = |value| {
            let entries = vec![
                (Cbor::text("fmt"), Cbor::text("apple")),
                (Cbor::text("a"), value),
            ];
            Cbor::Map(entries).encode()
        };
        let stale = self.leaf(&[8; 32]);
        let mut expired = self.leaf(&FRESHNESS);
        expired.not_after = NOW - 1;
        let stranger = Self::new();
        let mut unknown = stranger.authority.sub_template(NOW);
        unknown.issuer.clone_from(&unknown.subject);
        let unknown = vec![
            stranger
                .leaf(&FRESHNESS)
                .sign(stranger.authority.sub_key())
                .unwrap(),
            unknown.sign(stranger.authority.root_key()).unwrap(),
        ];
        let unknown = Evidence { chain: unknown }.attestation_object();
        let certificates = Evidence {
            chain: vec![noise(MAX_OBJECT_BYTES / 4 - 32); 4],
        };
        let text = "\u{20ac}".repeat((MAX_OBJECT_BYTES - 32) / 3);
        let items = vec![Cbor::Unsigned(0); MAX_OBJECT_BYTES - 32];
        vec![
            ("random", Reason::ObjectNotMap, noise(2048)),
            ("truncated", Reason::ObjectNotCbor, {
                let mut object = self.good();
                object.pop();
                object
            }),
            (
                "wrong_freshness",
                Reason::FreshnessMismatch,
                self.object(&stale),
            ),
            ("expired", Reason::Expired, self.object(&expired)),
            ("unknown_anchor", Reason::UnknownAnchor, unknown),
            (
                "depth_bomb",
                Reason::TooDeep,
                with(Cbor::Raw(vec![0x81; MAX_OBJECT_BYTES - 32])),
            ),
            (
                "length_claim",
                Reason::ObjectNotCbor,
                with(Cbor::Raw(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec())),
            ),
            (
                "too_large",
                Reason::ObjectTooLarge,
                noise(MAX_OBJECT_BYTES + 1),
            ),
            (
                "largest_bytes",
                Reason::StatementMissing,
                with(Cbor::Bytes(noise(MAX_OBJECT_BYTES - 32))),
            ),
            (
                "largest_text",
                Reason::StatementMissing,
                with(Cbor::text(&text)),
            ),
            (
                "largest_items",
                Reason::TooManyItems,
                with(Cbor::Array(items)),
            ),
            (
                "largest_certificates",
                Reason::CertificateMalformed,
                certificates.attestation_object(),
            ),
            (
                "most_extensions",
                Reason::TooManyExtensions,
                self.five(|certificate| {
                    certificate.extensions = (0..assay_attest::limits::MAX_EXTENSIONS)
                        .map(|number| Extension::new(&format!("1.2.3.{number}"), b""))
                        .collect();
                }),
            ),
            (
                "longest_names",
                Reason::FreshnessMissing,
                self.five(|certificate| {
                    let attribute = der::sequence(&[der::oid("2.5.4.3"), der::element(0x0c, b"")]);
                    let set = der::element(0x31, &attribute);
                    let attributes = assay_attest::limits::MAX_NAME_ATTRIBUTES;
                    certificate.subject = der::sequence(&vec![set; attributes]);
                    certificate.issuer.clone_from(&certificate.subject);
                    certificate.extensions.clear();
                }),
            ),
        ]
    }

    /// Five certificates that parse, each changed.
    fn five(&self, change: impl FnOnce(&mut CertificateTemplate)) -> Vec<u8> {
        let mut certificate = self.leaf(&FRESHNESS);
        change(&mut certificate);
        let der = certificate.sign(self.authority.sub_key()).unwrap();
        Evidence {
            chain: vec![der; 5],
        }
        .attestation_object()
    }
}

/// Bytes without a pattern, the same ones in every run (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        })
        .collect()
}

fn good(criterion: &mut Criterion) {
    let bench = Bench::new();
    let object = bench.good();
    let backends: [(&str, Box<dyn SignatureVerifier>); 2] = [
        ("rust_crypto", Box::new(RustCrypto)),
        ("aws_lc", Box::new(AwsLc)),
    ];
    for (name, backend) in backends {
        let verifier = bench.warm(backend);
        criterion.bench_function(&format!("good/{name}"), |bencher| {
            bencher.iter(|| verifier.verify_object(black_box(&object), &FRESHNESS, NOW));
        });
    }
}

/// Junk, and the good object that it is held against: both with the faster
/// back-end and a remembered intermediate.
fn junk(criterion: &mut Criterion) {
    let bench = Bench::new();
    let verifier = bench.warm(Box::new(AwsLc));
    let object = bench.good();
    criterion.bench_function("junk/compared_with_good", |bencher| {
        bencher.iter(|| verifier.verify_object(black_box(&object), &FRESHNESS, NOW));
    });
    for (name, reason, object) in bench.junk() {
        let refusal = verifier
            .verify_object(&object, &FRESHNESS, NOW)
            .unwrap_err();
        assert_eq!(refusal.reason, reason, "{name}: {refusal}");
        criterion.bench_function(&format!("junk/{name}"), |bencher| {
            bencher.iter(|| verifier.verify_object(black_box(&object), &FRESHNESS, NOW));
        });
    }
}

criterion_group!(benches, good, junk);
criterion_main!(benches);
