//! What a profile makes of what is attested, and what it cannot make of it.

use assay_simulator::{Device, KeyType, evidence::DeviceProperties};

use crate::support::{Server, Setup, assert_problem, csr_with, mac};

const SERIAL: &str = "C02PROFILE01";

/// The reason for which finalize is refused; the order stays ready.
async fn refused(subject: &str, device: &Device) -> String {
    let config = format!("profile.default.subject = \"{subject}\"");
    let server = Server::start(Setup {
        devices: &["C02PROFILE01,,"],
        config: &config,
        ..Setup::default()
    });
    let mut client = server.client().await;
    let placed = client.ready(&server, device, SERIAL).await;
    let answer = client.finalize(&placed, &csr_with(device, None, &[])).await;
    assert_problem(&answer, 403, "unauthorized");
    assert_eq!(client.status(&placed.order).await, "ready");
    let event = server.refused(&placed.order);
    assert_eq!(event["gate"], "issuance");
    event["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_does_not_fit_a_certificate_refuses_it() {
    // Too long, or with a letter that nobody sees.
    for udid in ["8".repeat(65), "00008112-\u{200b}1".to_owned()] {
        let properties = DeviceProperties::mac(SERIAL, &udid);
        let device = Device::new(properties, KeyType::P256).unwrap();
        let reason = refused("CN={udid}", &device).await;
        assert_eq!(reason, "name-does-not-fit", "{udid:?}");
    }
}

#[tokio::test]
async fn what_is_not_attested_refuses_a_certificate_that_names_it() {
    let mut properties = mac(SERIAL).properties.clone();
    properties.udid = None;
    let device = Device::new(properties, KeyType::P256).unwrap();
    let reason = refused("CN={udid}", &device).await;
    assert_eq!(reason, "attribute-not-attested");
}

/// Only an authority that attests falsely can bring it about.
#[tokio::test]
async fn evidence_of_one_key_and_two_devices_is_none() {
    let server = Server::start(Setup {
        devices: &["C02PROFILE01,,", "C02PROFILE02,,"],
        ..Setup::default()
    });
    let mut client = server.client().await;
    let mut device = mac(SERIAL);
    let serials = [SERIAL, "C02PROFILE02"];
    let placed = client
        .order_all(&serials.map(|serial| ("permanent-identifier", serial)))
        .await;
    for (authorization, serial) in placed.authorizations.iter().zip(serials) {
        device.properties.serial = Some(serial.to_owned());
        client.prove(&server, &device, authorization).await;
    }
    let answer = client
        .finalize(&placed, &csr_with(&device, None, &[]))
        .await;
    assert_problem(&answer, 403, "unauthorized");
    assert_eq!(
        server.refused(&placed.order)["reason"],
        "evidence-disagrees"
    );
}
