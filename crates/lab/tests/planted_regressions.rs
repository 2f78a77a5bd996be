//! A server that has a fault must not replay an issued recording as the same.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

use std::{fs, path::Path, sync::Arc};

use assay_attest::TrustAnchor;
use assay_engine::{
    events::Event,
    ports::Observer,
    profile::{CsrNames, Profile},
};
use assay_lab::replay::{local_server, play, recorded_profile};
use assay_recording::{Comparison, Evidence, Recording};
use assay_server::RequestLog;

struct Silent;

impl Observer for Silent {
    fn observe(&self, _event: &Event<'_>) {}
}

fn observe(_log: Arc<RequestLog>) -> Arc<dyn Observer> {
    Arc::new(Silent)
}

fn testdata(name: &str) -> Vec<u8> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/recordings");
    fs::read(home.join(name)).unwrap()
}

/// Replays a committed recording, which ended with a certificate, to a server
/// whose profile was changed behind its back.
async fn replayed(plant: impl FnOnce(&mut Profile)) -> Comparison {
    let recording = Recording::parse(&testdata("acme-mac-by-serial.json")).unwrap();
    let Evidence::Acme(acme) = &recording.contents().evidence else {
        panic!("not of a challenge");
    };
    assert!(acme.issuance.as_ref().unwrap().is_issued());
    let (_, root) = pem_rfc7468::decode_vec(&testdata("laboratory-root.pem")).unwrap();
    let anchors = vec![TrustAnchor::laboratory(&root, "corpus").unwrap()];
    let mut profile = recorded_profile(acme).unwrap().unwrap();
    plant(&mut profile);
    let server = local_server(recording.time(), acme, anchors, profile, observe);
    let server = server.await.unwrap();
    let (result, _) = play(&server, acme).await.unwrap().result.unwrap();
    recording.compare_enrolment(&result, true)
}

fn fields(comparison: &Comparison) -> Vec<&str> {
    comparison.differences.iter().map(|one| one.field).collect()
}

#[tokio::test]
async fn a_server_without_a_fault_replays_the_same() {
    assert_eq!(replayed(|_| {}).await, Comparison::default());
}

#[tokio::test]
async fn a_finalize_that_refuses_is_a_difference() {
    // The committed CSR has a subject.
    let comparison = replayed(|profile| profile.csr_names = CsrNames::Refuse).await;
    assert_eq!(fields(&comparison), ["issuance.end"]);
    let difference = comparison.differences[0].to_string();
    assert_eq!(
        difference,
        r#"issuance.end: recorded "issued", replayed "refused""#
    );
}

#[tokio::test]
async fn a_dropped_subject_alternative_name_is_a_difference() {
    let comparison = replayed(|profile| profile.san.clear()).await;
    assert_eq!(fields(&comparison), ["issuance.certificate.names"]);
}

#[tokio::test]
async fn another_subject_or_lifetime_is_a_difference() {
    let comparison = replayed(|profile| {
        profile.subject.pop();
        profile.lifetime += 1;
    });
    assert_eq!(
        fields(&comparison.await),
        [
            "issuance.certificate.subject",
            "issuance.certificate.lifetime"
        ]
    );
}
