//! Download and revocation of certificates (RFC 8555 sections 7.4.2 and 7.6)
//! over HTTP. The certificates are put directly into the store, since issuance
//! is tested elsewhere.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::{future::poll_fn, task::Poll};

use assay_engine::{
    domain::{Certificate, CertificateHolder, Revocation, Revoker},
    ids::OrderId,
    ports::{Change, ChangeSet, Store},
    sha256,
};
use assay_proto::{Base64Url, RevocationReason, Timestamp};
use assay_simulator::{Device, Jws, KeyType, Response, evidence::DeviceProperties};
use common::{Client, NOW, World, assert_refused, url};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

struct Issued {
    device: Device,
    der: Vec<u8>,
    url: String,
}

impl Issued {
    fn revocation(&self, reason: Value) -> Value {
        match reason {
            Value::Null => json!({"certificate": Base64Url::encode(&self.der)}),
            reason => json!({"certificate": Base64Url::encode(&self.der), "reason": reason}),
        }
    }

    /// The stored revocation.
    async fn recorded(&self, world: &World) -> Option<Revocation> {
        let serial = assay_ca::serial_number_of(&self.der).unwrap();
        let found = world.store.certificate(serial).await.unwrap();
        found.unwrap().value.revocation
    }
}

/// Stores a certificate of `client` as if it had been issued.
async fn issue(world: &World, client: &Client) -> Issued {
    let device = Device::new(DeviceProperties::default(), KeyType::P256).unwrap();
    let key = KeyPair::from_pem(&device.key_pem()).unwrap();
    let mut params = CertificateParams::default();
    let serial = sha256(&device.spki_der())[..8].to_vec();
    params.serial_number = Some(rcgen::SerialNumber::from_slice(
        &[&[1], &serial[..]].concat(),
    ));
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let account = client.account.as_deref().unwrap();
    let serial = assay_ca::serial_number_of(&der).unwrap();
    let certificate = Certificate {
        serial: serial.clone(),
        issuer: sha256(&world.issuer_der),
        der: der.clone(),
        spki_sha256: sha256(&device.spki_der()),
        holder: CertificateHolder::Device {
            account: world.engine.urls().account_id(account).unwrap(),
            order: OrderId::from_bytes([7; 16]),
            root_sha256: [8; 32],
        },
        issued: Timestamp(NOW),
        not_after: Timestamp(NOW + 1_000),
        revocation: None,
    };
    let changes = ChangeSet::new(Timestamp(NOW), vec![Change::InsertCertificate(certificate)]);
    world.store.commit("test", changes).await.unwrap();
    Issued {
        url: world.engine.urls().certificate(&serial),
        device,
        der,
    }
}

async fn revoke(client: &Client, payload: &Value) -> Response {
    client.post(&url("/acme/revoke-cert"), payload).await
}

#[tokio::test]
async fn scenario_105_a_certificate_comes_with_its_issuer_and_without_the_root() {
    let world = World::new();
    let client = world.client().await;
    let issued = issue(&world, &client).await;
    let answer = client.read(&issued.url).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&answer.body)
        .map(|certificate| certificate.unwrap().to_vec())
        .collect();
    assert_eq!(chain, [issued.der.clone(), world.issuer_der.clone()]);

    let foreign = world.client().await.read(&issued.url).await;
    assert_refused(&foreign, 403, "unauthorized");
    for name in ["4242", "00", "x", "ABCDEF"] {
        let unknown = client
            .read(&url(&format!("/acme/certificate/{name}")))
            .await;
        assert_eq!(
            (unknown.status, unknown.text()),
            (403, foreign.text()),
            "{name}"
        );
    }
    assert_refused(
        &client.post(&issued.url, &json!({})).await,
        400,
        "malformed",
    );
}

/// RFC 8555 section 9.1: "The textual encoding of certificates in this file
/// MUST use the strict encoding and MUST NOT include explanatory text."
#[tokio::test]
async fn the_download_is_strict_pem_and_nothing_else() {
    let world = World::new();
    let client = world.client().await;
    let issued = issue(&world, &client).await;
    let text = client.read(&issued.url).await.text();
    let mut expected = String::new();
    for der in [&issued.der, &world.issuer_der] {
        expected += "-----BEGIN CERTIFICATE-----\n";
        let base64 = data_encoding::BASE64.encode(der);
        for line in base64.as_bytes().chunks(64) {
            expected += &format!("{}\n", std::str::from_utf8(line).unwrap());
        }
        expected += "-----END CERTIFICATE-----\n";
    }
    assert_eq!(text, expected);
}

#[tokio::test]
async fn scenario_109_the_account_revokes_once() {
    let world = World::new();
    let client = world.client().await;
    let issued = issue(&world, &client).await;
    let answer = revoke(&client, &issued.revocation(json!(1))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert!(answer.replay_nonce().is_some());
    let again = revoke(&client, &issued.revocation(json!(null))).await;
    assert_refused(&again, 400, "alreadyRevoked");
    let revocation = issued.recorded(&world).await.unwrap();
    assert_eq!(revocation.reason, Some(RevocationReason::KeyCompromise));
    let account = world
        .engine
        .urls()
        .account_id(&client.account.unwrap())
        .unwrap();
    assert_eq!(revocation.by, Revoker::Account(account));
}

#[tokio::test]
async fn a_revocation_completes_when_its_client_is_gone() {
    let world = World::new();
    let client = world.client().await;
    let issued = issue(&world, &client).await;
    let payload = issued.revocation(json!(null));
    // hyper drops the handler together with the connection.
    let mut answer = Box::pin(revoke(&client, &payload));
    let waits = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_pending())).await;
    assert!(
        waits,
        "the handler itself revoked, so that dropping it could stop the revocation"
    );
    assert_eq!(issued.recorded(&world).await, None);
    drop(answer);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(issued.recorded(&world).await.is_some());
}

#[tokio::test]
async fn scenarios_110_and_113_the_certificates_own_key_revokes() {
    let world = World::new();
    let issued = issue(&world, &world.client().await).await;
    let mut holder = world.unregistered();
    holder.key = issued.device.account_key().unwrap();
    let jws = Jws::new(&url("/acme/revoke-cert"), &issued.revocation(json!(null)));
    let garbage = holder.send(&jws.clone().with_signature(vec![1; 64])).await;
    assert_refused(&garbage, 403, "unauthorized");
    // A signature of another key, sent with the certificate's key.
    let forger = world.unregistered();
    let forged = jws.clone().with("jwk", holder.key.jwk());
    assert_refused(&forger.send(&forged).await, 403, "unauthorized");
    assert_eq!(holder.send(&jws).await.status, 200);
    let revocation = issued.recorded(&world).await.unwrap();
    assert_eq!(revocation.by, Revoker::CertificateKey);
}

#[tokio::test]
async fn scenario_112_a_garbage_signature_revokes_nothing() {
    let world = World::new();
    let client = world.client().await;
    let issued = issue(&world, &client).await;
    let jws = Jws::new(&url("/acme/revoke-cert"), &issued.revocation(json!(null)));
    let forger = Client {
        key: world.unregistered().key,
        ..client.clone()
    };
    for answer in [
        client.send(&jws.clone().with_signature(vec![1; 64])).await,
        forger.send(&jws).await,
    ] {
        assert_refused(&answer, 403, "unauthorized");
    }
    assert_eq!(client.send(&jws).await.status, 200);
}

#[tokio::test]
async fn scenario_114_reasons_and_foreign_certificates() {
    let world = World::new();
    let client = world.client().await;
    let issued = issue(&world, &client).await;
    for reason in [7, 8, 11, -1] {
        let answer = revoke(&client, &issued.revocation(json!(reason))).await;
        assert_refused(&answer, 400, "badRevocationReason");
        assert!(answer.problem().detail.contains("0, 1, 3, 4, 5, 9"));
    }
    // A certificate of another account, one of another CA, and bytes that are
    // no certificate.
    let theirs = issue(&world, &world.client().await).await;
    for der in [theirs.der, world.issuer_der.clone(), vec![1, 2, 3]] {
        let payload = json!({"certificate": Base64Url::encode(&der)});
        assert_refused(&revoke(&client, &payload).await, 403, "unauthorized");
    }
    for payload in [json!({}), json!({"certificate": "AQ=="})] {
        assert_refused(&revoke(&client, &payload).await, 400, "malformed");
    }
    let answer = revoke(&client, &issued.revocation(json!(5))).await;
    assert_eq!(answer.status, 200);
}
