//! Revocation, and who may ask for it.

use assay_simulator::{CsrRequest, Jws, Response};
use data_encoding::BASE64URL_NOPAD;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::support::{Certificate, Client, Setup, Shared, assert_problem, mac};

const SERIAL: &str = "C02SURFACE01";

static SERVER: Shared = Shared::new(Setup {
    init: &[],
    devices: &[
        "C02SURFACE01,,",
        "C02SURFACE02,,",
        "C02SURFACE03,,",
        "C02SURFACE04,,",
    ],
    config: "",
});

fn revocation(certificate: &Certificate, reason: Option<i64>) -> Value {
    let certificate = BASE64URL_NOPAD.encode(&certificate.der);
    match reason {
        Some(reason) => json!({"certificate": certificate, "reason": reason}),
        None => json!({"certificate": certificate}),
    }
}

pub(crate) async fn revoke(
    client: &mut Client,
    certificate: &Certificate,
    reason: Option<i64>,
) -> Response {
    let url = client.acme.resource("revokeCert").unwrap();
    client.post(&url, &revocation(certificate, reason)).await
}

#[tokio::test]
async fn scenario_109_the_account_revokes_its_certificate_once() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    let untouched = server.story(&placed.order)["issued"].clone();
    for key in ["revoked", "revocation_reason", "revoked_by"] {
        assert_eq!(untouched.get(key), Some(&Value::Null), "{key}");
    }
    let answer = revoke(&mut client, &certificate, Some(1)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let story = server.story(&placed.order);
    let issued = &story["issued"];
    assert!(issued["revoked"].is_string(), "{issued}");
    assert_eq!(issued["revocation_reason"], 1);
    let account = story["account"].as_str().unwrap();
    let by = format!("account {account}");
    assert_eq!(issued["revoked_by"], by);
    let serial = certificate.url.rsplit('/').next().unwrap();
    let event = server
        .process()
        .event(|event| event["event"] == "revoked" && event["serial"] == serial);
    assert_eq!(event["reason"], 1);
    assert_eq!(event["account"], account);
    assert_eq!(event["order"], story["id"]);
    assert_eq!(event["by"], by);
    let answer = revoke(&mut client, &certificate, None).await;
    assert_problem(&answer, 400, "alreadyRevoked");
}

#[tokio::test]
async fn scenarios_110_and_113_the_certificates_key_revokes_with_a_signature_that_verifies() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let certificate = client.enrol(&server, &device, SERIAL).await;
    let url = client.acme.resource("revokeCert").unwrap();
    let mut bearer = server.client_without_account().await;
    bearer.acme.set_key(device.account_key().unwrap());
    let jws = Jws::new(&url, &revocation(&certificate, None)).with_jwk();
    for garbage in [vec![1; 64], vec![0; 64], vec![], vec![1; 63]] {
        let forged = jws.clone().with_signature(garbage);
        let answer = bearer.acme.send(&forged).await.unwrap();
        assert_problem(&answer, 403, "unauthorized");
    }
    // Another device's key signs well, but for another certificate.
    let mut other = server.client_without_account().await;
    other.acme.set_key(mac(SERIAL).account_key().unwrap());
    let answer = other.acme.send(&jws).await.unwrap();
    assert_problem(&answer, 403, "unauthorized");

    let answer = bearer.acme.send(&jws).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = revoke(&mut client, &certificate, None).await;
    assert_problem(&answer, 400, "alreadyRevoked");
}

#[tokio::test]
async fn scenario_112_an_owner_without_a_signature_revokes_nothing() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let certificate = client.enrol(&server, &mac(SERIAL), SERIAL).await;
    let url = client.acme.resource("revokeCert").unwrap();
    let jws = Jws::new(&url, &revocation(&certificate, None));
    for garbage in [vec![1; 64], vec![0; 64], vec![], vec![1; 63]] {
        let answer = client
            .acme
            .send(&jws.clone().with_signature(garbage))
            .await
            .unwrap();
        assert_problem(&answer, 403, "unauthorized");
    }
    // Nor does another account, in its own name or in the owner's.
    let mut other = server.client().await;
    let answer = revoke(&mut other, &certificate, None).await;
    assert_problem(&answer, 403, "unauthorized");
    other
        .acme
        .set_account(client.acme.account().map(str::to_owned));
    let answer = revoke(&mut other, &certificate, None).await;
    assert_problem(&answer, 403, "unauthorized");

    let answer = revoke(&mut client, &certificate, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn scenario_114_reasons_and_certificates_that_are_not_for_clients() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let certificate = client.enrol(&server, &mac(SERIAL), SERIAL).await;
    for reason in [7, 8, 11, -1, 2, 6, 10] {
        let answer = revoke(&mut client, &certificate, Some(reason)).await;
        let problem = assert_problem(&answer, 400, "badRevocationReason");
        assert!(
            problem.detail.contains("0, 1, 3, 4, 5, 9"),
            "{}",
            problem.detail
        );
    }
    let issuing = CertificateDer::from_pem_slice(server.read("ca/issuing.pem").as_bytes()).unwrap();
    let mut changed = certificate.clone();
    *changed.der.last_mut().unwrap() ^= 1;
    for der in [
        server.authority.sub_der().to_vec(),
        issuing.to_vec(),
        changed.der,
        b"garbage".to_vec(),
        Vec::new(),
    ] {
        let foreign = Certificate {
            der,
            ..certificate.clone()
        };
        let answer = revoke(&mut client, &foreign, None).await;
        assert_problem(&answer, 403, "unauthorized");
    }
    for reason in [0, 3, 4, 5, 9] {
        let certificate = client.enrol(&server, &mac(SERIAL), SERIAL).await;
        let answer = revoke(&mut client, &certificate, Some(reason)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
