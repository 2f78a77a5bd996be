//! Devices that get what they ask for.

use std::fs;

use assay_simulator::{
    AccountKey, Algorithm, CsrRequest, Device, KeyType, SignatureStyle, SubjectAltName,
    evidence::{Cbor, DeviceProperties, der},
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    Server, Setup, Shared, assert_ready, csr_with, mac, permanent_identifier, verify_with_openssl,
};

const SERIAL: &str = "C02ENROL0001";
const UDID: &str = "00008112-000A5DE200FACADE";

static SERVER: Shared = Shared::new(Setup {
    init: &[],
    devices: &["C02ENROL0001,,", ",00008112-000A5DE200FACADE,"],
    config: "",
});

/// What the default profile shows: a digest of the key, and no name.
fn privacy_preserving(device: &Device) -> String {
    format!("CN={}", HEXLOWER.encode(&Sha256::digest(device.spki_der())))
}

#[tokio::test]
async fn scenario_01_a_listed_device_gets_a_certificate_over_its_key() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let certificate = server.client().await.enrol(&server, &device, SERIAL).await;
    assert_eq!(certificate.spki, device.spki_der());
    assert_eq!(certificate.names, None);
    assert_eq!(certificate.subject, privacy_preserving(&device));
    assert!(!certificate.is_ca);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chain.pem");
    fs::write(&file, &certificate.chain_pem).unwrap();
    verify_with_openssl(&server.root_path(), &file, &file);
}

#[tokio::test]
async fn scenario_01_a_profile_that_shows_identity_has_the_permanent_identifier() {
    let server = Server::start(Setup {
        devices: &["C02ENROL0001,,"],
        config: "profile.default.san = [\"permanent-identifier\"]",
        ..Setup::default()
    });
    let device = mac(SERIAL);
    let certificate = server.client().await.enrol(&server, &device, SERIAL).await;
    let names = der::sequence(&[permanent_identifier(SERIAL, None)]);
    assert_eq!(certificate.names, Some(names));
}

#[tokio::test]
async fn scenario_02_a_device_listed_by_udid_orders_by_udid() {
    let server = SERVER.server();
    let properties = DeviceProperties::mac("C02UNLISTED", UDID);
    let device = Device::new(properties, KeyType::P256).unwrap();
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, UDID).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    assert_eq!(certificate.spki, device.spki_der());
    let story = server.story(&placed.order);
    let authorization = &story["authorizations"][0];
    assert_eq!(authorization["compared_with"], "udid");
    assert_eq!(authorization["evidence"]["facts"]["serial"], "C02UNLISTED");
}

#[tokio::test]
async fn scenario_04_a_leaf_without_posture_is_enough() {
    let server = SERVER.server();
    for properties in [
        DeviceProperties::iphone_ios16(SERIAL, UDID),
        DeviceProperties::iphone(SERIAL, UDID),
    ] {
        let device = Device::new(properties, KeyType::P256).unwrap();
        let certificate = server.client().await.enrol(&server, &device, SERIAL).await;
        assert_eq!(certificate.spki, device.spki_der());
    }
}

#[tokio::test]
async fn scenarios_06_and_08_keys_in_any_order_and_unknown_ones_are_let_pass() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let authority_data = || (Cbor::text("authData"), Cbor::Bytes(vec![0; 37]));
    for shape in ["authData", "unknown keys", "attStmt first"] {
        let mut client = server.client().await;
        let placed = client.order(SERIAL).await;
        let evidence = server.evidence(&device, &placed.token);
        let format = (Cbor::text("fmt"), Cbor::text("apple"));
        let statement = (Cbor::text("attStmt"), evidence.statement());
        let object = Cbor::Map(match shape {
            "authData" => vec![format, statement, authority_data()],
            "unknown keys" => vec![
                (
                    Cbor::text("later"),
                    Cbor::Map(vec![(Cbor::Unsigned(1), Cbor::Array(vec![]))]),
                ),
                format,
                statement,
            ],
            _ => vec![statement, format],
        });
        let answer = client.answer(&placed, &object.encode()).await;
        assert_ready(&mut client, &placed, &answer).await;
    }
}

#[tokio::test]
async fn scenario_07_other_fields_beside_the_attestation_object_are_let_pass() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let placed = client.order(SERIAL).await;
    let object = BASE64URL_NOPAD.encode(&server.attest(&mac(SERIAL), &placed.token));
    let payload = json!({"attObj": object, "later": {"a": [1]}, "status": "invalid"});
    let answer = client.post(&placed.challenge, &payload).await;
    assert_ready(&mut client, &placed, &answer).await;
}

#[tokio::test]
async fn scenario_09_a_csr_without_any_name_is_enough() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    for common_name in [None, Some("whatever")] {
        let mut client = server.client().await;
        let placed = client.ready(&server, &device, SERIAL).await;
        let csr = csr_with(&device, common_name, &[]);
        let certificate = client.certificate(&placed, &csr).await;
        assert_eq!(certificate.subject, privacy_preserving(&device));
        assert_eq!(certificate.names, None);
    }
}

#[tokio::test]
async fn scenario_10_a_csr_may_name_the_ordered_identifier() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let request = CsrRequest {
        common_name: SERIAL.to_owned(),
        names: vec![SubjectAltName::PermanentIdentifier(SERIAL.to_owned())],
    };
    let csr = device.csr(&request).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    assert_eq!(certificate.names, None, "the profile shows no identity");
}

#[tokio::test]
async fn scenario_11_keys_of_both_sizes_under_issuing_cas_of_both_sizes() {
    for init in [&["--key", "p256"], &["--key", "p384"]] {
        let server = Server::start(Setup {
            init,
            devices: &["C02ENROL0001,,"],
            ..Setup::default()
        });
        for key in [KeyType::P256, KeyType::P384] {
            let device = Device::new(mac(SERIAL).properties, key).unwrap();
            let certificate = server.client().await.enrol(&server, &device, SERIAL).await;
            assert_eq!(certificate.spki, device.spki_der());
            let file = server.beside("chain.pem");
            fs::write(&file, &certificate.chain_pem).unwrap();
            verify_with_openssl(&server.root_path(), &file, &file);
        }
    }
}

#[tokio::test]
async fn scenario_13_short_signatures_of_apples_client_are_accepted_and_logged() {
    let server = Server::start(Setup {
        devices: &["C02ENROL0001,,"],
        ..Setup::default()
    });
    let mut client = server.client_without_account().await;
    let key = AccountKey::generate(Algorithm::Es256).unwrap();
    client
        .acme
        .set_key(key.with_style(SignatureStyle::AppleShort));
    assert_eq!(client.acme.new_account().await.unwrap().status, 201);
    client.enrol(&server, &mac(SERIAL), SERIAL).await;
    // newAccount, newOrder, authorization, challenge, authorization, order,
    // finalize, order, certificate; summed every second.
    let (mut padded, mut summaries) = (0, 0);
    while padded < 9 {
        let is_padded = |event: &Value| event["event"] == "padded_signature";
        let summary = server.process().nth_event(summaries, is_padded);
        padded += summary["count"].as_u64().unwrap();
        summaries += 1;
    }
    assert_eq!(padded, 9);
}

#[tokio::test]
async fn scenario_15_a_device_renews_with_a_new_key_on_the_same_account() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let first = client.enrol(&server, &mac(SERIAL), SERIAL).await;
    let device = mac(SERIAL);
    let second = client.enrol(&server, &device, SERIAL).await;
    assert_eq!(second.spki, device.spki_der());
    assert_ne!(first.spki, second.spki);
    assert_ne!(first.url, second.url);
}

#[tokio::test]
async fn scenario_16_account_keys_of_every_kind_enrol_another_key() {
    let server = SERVER.server();
    for algorithm in [
        Algorithm::EdDsa,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Rs256,
    ] {
        let mut client = server.client_without_account().await;
        client
            .acme
            .set_key(AccountKey::generate(algorithm).unwrap());
        assert_eq!(client.acme.new_account().await.unwrap().status, 201);
        let device = mac(SERIAL);
        let certificate = client.enrol(&server, &device, SERIAL).await;
        assert_eq!(certificate.spki, device.spki_der(), "{algorithm:?}");
    }
}
