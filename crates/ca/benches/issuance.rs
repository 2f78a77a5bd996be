//! Benchmarks the cost of one issuance in this crate: parsing the CSR and
//! creating the certificate.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
#![allow(
    missing_docs,
    reason = "criterion's macros write undocumented functions"
)]

use std::{fs, hint::black_box, path::Path};

use assay_ca::{
    Csr, FileSigner, Issuer, LeafTemplate, LeafUsage, SerialNumber, SubjectAltName,
    SubjectAttribute,
    authority::{self, AuthorityPlan, Host, KeyType},
};
use criterion::{Criterion, criterion_group, criterion_main};

fn issuance(criterion: &mut Criterion) {
    let read = |name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/csr/good");
        fs::read(folder.join(name)).unwrap()
    };
    let p256 = read("p256-sha256.der");
    let p384 = read("p384-sha384.der");
    criterion.bench_function("csr p256", |bencher| {
        bencher.iter(|| Csr::parse(black_box(&p256)));
    });
    criterion.bench_function("csr p384", |bencher| {
        bencher.iter(|| Csr::parse(black_box(&p384)));
    });

    let now = 1_795_478_400;
    let material = authority::create(&AuthorityPlan {
        name: "Example Corp".to_owned(),
        issuing_key: KeyType::P256,
        host: Host::Dns("acme.example.com".to_owned()),
        laboratory: false,
        now,
    })
    .unwrap()
    .issuing;
    let signer = FileSigner::from_pkcs8_pem(&material.key_pem).unwrap();
    let (_, certificate) = pem_rfc7468::decode_vec(material.certificate_pem.as_bytes()).unwrap();
    let issuer = Issuer::new(&certificate, Box::new(signer)).unwrap();
    let leaf = LeafTemplate {
        spki_der: Csr::parse(&p256).unwrap().spki_der().to_vec(),
        subject: vec![SubjectAttribute::CommonName("device".to_owned())],
        names: vec![SubjectAltName::PermanentIdentifier {
            value: "ABCDEF123456".to_owned(),
            assigner: None,
        }],
        not_before: now,
        not_after: now + 86_400,
        usage: LeafUsage::ClientAuth,
    };
    let serial = SerialNumber::from_random([1; 16]);
    criterion.bench_function("prepare", |bencher| {
        bencher.iter(|| issuer.prepare(black_box(&leaf), serial.clone()));
    });
    criterion.bench_function("prepare and sign p256", |bencher| {
        bencher.iter(|| issuer.sign(issuer.prepare(black_box(&leaf), serial.clone()).unwrap()));
    });
}

criterion_group!(benches, issuance);
criterion_main!(benches);
