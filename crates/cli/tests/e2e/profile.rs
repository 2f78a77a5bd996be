//! What a profile makes of what is attested, and what it cannot make of it.

use assay_simulator::{Device, KeyType, evidence::DeviceProperties};

use crate::support::{Server, Setup, assert_problem, csr_with, mac};

const SERIAL: &str = "C02PROFILE01";

/// The reason for which finalize is refused; the order stays ready.
async fn refused(profile: &str, device: &Device, identifier: (&str, &str)) -> String {
    let config = format!("profile.default.{profile}");
    let server = Server::start(Setup {
        init: &["--admission", "any-attested"],
        config: &config,
        ..Setup::default()
    });
    let mut client = server.client().await;
    let placed = client.order_all(&[identifier]).await;
    client
        .prove(&server, device, &placed.authorizations[0])
        .await;
    let answer = client.finalize(&placed, &csr_with(device, None, &[])).await;
    assert_problem(&answer, 403, "unauthorized");
    assert_eq!(client.status(&placed.order).await, "ready");
    let event = server.refused(&placed.order);
    assert_eq!(event["gate"], "issuance");
    event["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_does_not_fit_a_certificate_refuses_it() {
    let unseen = "C02\u{200b}PROFILE";
    let module = format!("{unseen}/1.2.840.113635.100.8.9.1");
    let by_serial = ("permanent-identifier", unseen);
    let by_module = ("hardware-module", module.as_str());
    // Too long, or with a letter that nobody sees.
    for (profile, serial, udid, identifier) in [
        (
            "subject = \"CN={udid}\"",
            SERIAL,
            "8".repeat(65).as_str(),
            ("permanent-identifier", SERIAL),
        ),
        (
            "subject = \"CN={udid}\"",
            SERIAL,
            unseen,
            ("permanent-identifier", SERIAL),
        ),
        ("subject = \"CN={serial}\"", unseen, "UDID", by_serial),
        ("san = [\"uri:urn:x:{serial}\"]", unseen, "UDID", by_serial),
        (
            "san = [\"permanent-identifier\"]",
            unseen,
            "UDID",
            by_serial,
        ),
        ("san = [\"hardware-module\"]", unseen, "UDID", by_module),
    ] {
        let properties = DeviceProperties::mac(serial, udid);
        let device = Device::new(properties, KeyType::P256).unwrap();
        let reason = refused(profile, &device, identifier).await;
        assert_eq!(reason, "name-does-not-fit", "{profile} {udid:?}");
    }
}

#[tokio::test]
async fn a_profile_without_a_name_for_the_order_refuses_it() {
    let module = format!("{SERIAL}/1.2.840.113635.100.8.9.1");
    for (san, identifier) in [
        ("hardware-module", ("permanent-identifier", SERIAL)),
        ("permanent-identifier", ("hardware-module", module.as_str())),
    ] {
        let profile = format!("subject = \"\"\nprofile.default.san = [\"{san}\"]");
        let device = Device::new(DeviceProperties::mac(SERIAL, "UDID"), KeyType::P256).unwrap();
        assert_eq!(refused(&profile, &device, identifier).await, "no-name");
    }
}

/// Such a certificate could be signed, and then not be recorded.
#[tokio::test]
async fn names_that_are_too_long_only_together_refuse_a_certificate() {
    let serial = "C".repeat(250);
    let uri = "a".repeat(14_660);
    let profile = format!("san = [\"permanent-identifier\", \"uri:https://{uri}\"]");
    let device = Device::new(DeviceProperties::mac(&serial, "UDID"), KeyType::P256).unwrap();
    let identifier = ("permanent-identifier", serial.as_str());
    assert_eq!(
        refused(&profile, &device, identifier).await,
        "name-does-not-fit"
    );
}

#[tokio::test]
async fn what_is_not_attested_refuses_a_certificate_that_names_it() {
    let mut properties = mac(SERIAL).properties.clone();
    properties.udid = None;
    let device = Device::new(properties, KeyType::P256).unwrap();
    let identifier = ("permanent-identifier", SERIAL);
    let reason = refused("subject = \"CN={udid}\"", &device, identifier).await;
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
