//! Devices whose evidence does not prove what it should.

mod chain;
mod object;

use assay_simulator::{
    Device,
    evidence::{CertificateTemplate, DeviceProperties, Extension, der, oids},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    Client, Placed, Server, Setup, Shared, assert_dead, assert_problem, assert_ready, mac,
};

/// A device a few tests have to themselves: of one device's ended orders only the
/// latest few are kept, and a second has room for more.
const DEVICES: [&str; 16] = [
    "C02EVIDENCE0,,",
    "C02EVIDENCE1,,",
    "C02EVIDENCE2,,",
    "C02EVIDENCE3,,",
    "C02EVIDENCE4,,",
    "C02EVIDENCE5,,",
    "C02EVIDENCE6,,",
    "C02EVIDENCE7,,",
    "C02EVIDENCE8,,",
    "C02EVIDENCE9,,",
    "C02EVIDENCEA,,",
    "C02EVIDENCEB,,",
    "C02EVIDENCEC,,",
    "C02EVIDENCED,,",
    "C02EVIDENCEE,,",
    "C02EVIDENCEF,,",
];

static SERVER: Shared = Shared::new(Setup {
    init: &[],
    devices: &DEVICES,
    config: "",
});

/// The serial number of the running test's device.
fn serial() -> &'static str {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let place = Sha256::digest(test)[0] as usize % DEVICES.len();
    DEVICES[place].trim_end_matches(',')
}

/// Orders for [`serial`] anew, answers with the leaf changed so, and expects
/// the refusal.
async fn leaf_is_refused(server: &Server, reason: &str, change: impl Fn(&mut CertificateTemplate)) {
    let device = mac(serial());
    object_is_refused(server, reason, |placed| {
        server.forge(&device, &placed.token, &change)
    })
    .await;
}

/// Orders for [`serial`] anew, answers with an object, and expects the refusal.
async fn object_is_refused(
    server: &Server,
    reason: &str,
    object: impl Fn(&Placed) -> Vec<u8>,
) -> (Client, Placed) {
    let mut client = server.client().await;
    let placed = client.order(serial()).await;
    let answer = client.answer(&placed, &object(&placed)).await;
    assert_dead(server, &mut client, &placed, &answer, reason).await;
    (client, placed)
}

fn set(leaf: &mut CertificateTemplate, oid: &str, value: &[u8]) {
    leaf.extension_mut(oid).unwrap().value = value.to_vec();
}

#[tokio::test]
async fn scenario_17_a_leaf_without_freshness_is_refused() {
    let server = SERVER.server();
    leaf_is_refused(&server, "freshness-missing", |leaf| {
        leaf.remove_extension(oids::FRESHNESS);
    })
    .await;
}

#[tokio::test]
async fn scenario_18_the_freshness_of_another_challenge_is_refused() {
    let server = SERVER.server();
    let other = server.client().await.order(serial()).await;
    leaf_is_refused(&server, "freshness-mismatch", |leaf| {
        set(leaf, oids::FRESHNESS, &Sha256::digest(&other.token));
    })
    .await;
}

#[tokio::test]
async fn scenario_19_the_key_authorization_is_no_freshness() {
    let server = SERVER.server();
    let device = mac(serial());
    let mut client = server.client().await;
    let placed = client.order(serial()).await;
    let authorization = format!("{}.{}", placed.token, client.acme.key().thumbprint());
    let evidence = server.attest(&device, &authorization);
    let answer = client.answer(&placed, &evidence).await;
    assert_dead(&server, &mut client, &placed, &answer, "freshness-mismatch").await;
}

#[tokio::test]
async fn scenario_20_a_freshness_of_another_length_is_refused() {
    let server = SERVER.server();
    for shape in ["31 bytes", "33 bytes", "wrapped", "blank"] {
        let reason = match shape {
            "blank" => "freshness-missing",
            _ => "freshness-length",
        };
        leaf_is_refused(&server, reason, |leaf| {
            let right = leaf.extension_mut(oids::FRESHNESS).unwrap().value.clone();
            let wrong = match shape {
                "31 bytes" => right[..31].to_vec(),
                "33 bytes" => [right.as_slice(), &[0]].concat(),
                "wrapped" => der::element(0x04, &right),
                _ => Vec::new(),
            };
            set(leaf, oids::FRESHNESS, &wrong);
        })
        .await;
    }
}

#[tokio::test]
async fn scenario_21_two_freshness_codes_are_refused_in_either_order() {
    let server = SERVER.server();
    for right_first in [true, false] {
        leaf_is_refused(&server, "freshness-repeated", |leaf| {
            let right = leaf.extension_mut(oids::FRESHNESS).unwrap().clone();
            let wrong = Extension::new(oids::FRESHNESS, &[7; 32]);
            leaf.remove_extension(oids::FRESHNESS);
            leaf.extensions.extend(match right_first {
                true => [right, wrong],
                false => [wrong, right],
            });
        })
        .await;
    }
}

#[tokio::test]
async fn scenario_22_two_serial_numbers_are_refused() {
    let server = SERVER.server();
    for value in [serial(), "C02ANOTHER"] {
        leaf_is_refused(&server, "property-repeated", |leaf| {
            leaf.extensions
                .push(Extension::new(oids::SERIAL, value.as_bytes()));
        })
        .await;
    }
}

#[tokio::test]
async fn scenario_23_a_serial_number_in_a_der_string_is_not_the_serial_number() {
    let server = SERVER.server();
    leaf_is_refused(&server, "property-malformed", |leaf| {
        set(leaf, oids::SERIAL, &der::element(0x0c, serial().as_bytes()));
    })
    .await;
}

#[tokio::test]
async fn scenarios_24_and_25_an_integer_that_is_none_is_refused() {
    let server = SERVER.server();
    for value in [
        b"0".as_slice(),
        &[2, 1, 0, 0],
        &[2, 2, 0, 0],
        &[2, 0],
        &[4, 1, 0],
    ] {
        for oid in [oids::SIP, oids::KERNEL_EXTENSIONS] {
            leaf_is_refused(&server, "property-malformed", |leaf| set(leaf, oid, value)).await;
        }
    }
}

#[tokio::test]
async fn scenario_31_the_evidence_of_another_device_is_refused_and_not_named() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let placed = client.order(serial()).await;
    let evidence = server.attest(&mac("C02STRANGER"), &placed.token);
    let answer = client.answer(&placed, &evidence).await;
    assert_dead(
        &server,
        &mut client,
        &placed,
        &answer,
        "identifier-mismatch",
    )
    .await;
    let [subproblem] = answer.problem().subproblems.try_into().unwrap();
    let subproblem: Value = subproblem;
    assert_eq!(
        subproblem["type"],
        "urn:ietf:params:acme:error:rejectedIdentifier"
    );
    assert_eq!(
        subproblem["identifier"],
        json!({"type": "permanent-identifier", "value": serial()})
    );
    for url in [&placed.order, &placed.challenge, &placed.authorizations[0]] {
        let told = client.get(url).await.text();
        assert!(!told.contains("STRANGER"), "{told}");
    }
    let finding = server.story(&placed.order)["failure"]["detail"].to_string();
    assert!(finding.contains("C02STRANGER"), "{finding}");
}

#[tokio::test]
async fn scenario_31_the_other_attribute_never_stands_in() {
    let server = SERVER.server();
    let properties = DeviceProperties::mac("C02STRANGER", serial());
    let device = Device::new(properties, Default::default()).unwrap();
    object_is_refused(&server, "identifier-mismatch", |placed| {
        server.attest(&device, &placed.token)
    })
    .await;
    leaf_is_refused(&server, "serial-not-attested", |leaf| {
        leaf.remove_extension(oids::SERIAL);
    })
    .await;
}

#[tokio::test]
async fn scenario_32_a_serial_number_in_another_case_is_refused() {
    let server = SERVER.server();
    object_is_refused(&server, "identifier-mismatch", |placed| {
        server.attest(&mac(&serial().to_lowercase()), &placed.token)
    })
    .await;
}

#[tokio::test]
async fn scenario_33_a_device_that_is_not_listed_gets_no_token() {
    let server = SERVER.server();
    let mut client = server.client().await;
    for identifier in [
        "C02STRANGER",
        "c02evidence1",
        "C02EVIDENCE",
        "C02EVIDENCE1 ",
    ] {
        let answer = client
            .new_order(&[("permanent-identifier", identifier)])
            .await;
        let problem = assert_problem(&answer, 403, "rejectedIdentifier");
        assert_eq!(problem.subproblems[0]["identifier"]["value"], identifier);
        assert_eq!(answer.location(), None);
        let event = server
            .process()
            .event(|event| event["event"] == "refused" && event["identifier"] == identifier);
        assert_eq!(event["reason"], "not-admitted");
        assert_eq!(event["gate"], "admission");
        let account = client.acme.account().unwrap();
        assert!(account.ends_with(event["account"].as_str().unwrap()));
    }
    let account = client.acme.account().unwrap().to_owned();
    let orders = client.read(&account).await["orders"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(client.read(&orders).await, json!({"orders": []}));
}

#[tokio::test]
async fn scenario_49_a_device_that_could_not_attest_is_refused_and_its_words_are_cleaned() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let placed = client.order(serial()).await;
    let error = format!("no key\u{1b}[31m\r\n{}", "x".repeat(10_000));
    let answer = client
        .post(&placed.challenge, &json!({"error": error}))
        .await;
    assert_dead(
        &server,
        &mut client,
        &placed,
        &answer,
        "device-could-not-attest",
    )
    .await;
    assert!(!answer.text().contains("no key"), "{}", answer.text());
    let finding = server.story(&placed.order)["failure"]["detail"].clone();
    let finding = finding.as_str().unwrap();
    assert!(
        finding.contains("no key\u{fffd}[31m\u{fffd}\u{fffd}xxx"),
        "{finding}"
    );
    assert!(finding.chars().count() < 300, "{finding}");
}

#[tokio::test]
async fn scenario_50_a_valid_challenge_is_not_judged_again() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let placed = client.ready(&server, &mac(serial()), serial()).await;
    let before = client.read(&placed.challenge).await;
    for object in [
        server.attest(&mac(serial()), &placed.token),
        server.attest(&mac("C02STRANGER"), &placed.token),
        Vec::new(),
    ] {
        let answer = client.answer(&placed, &object).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json().unwrap(), before);
    }
    assert_eq!(client.status(&placed.order).await, "ready");
}

#[tokio::test]
async fn scenario_51_another_accounts_key_answers_nothing() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let mut other = server.client().await;
    let placed = client.order(serial()).await;
    let object = server.attest(&mac(serial()), &placed.token);
    // As itself, and in the name of the account.
    let answer = other.answer(&placed, &object).await;
    assert_problem(&answer, 403, "unauthorized");
    other
        .acme
        .set_account(client.acme.account().map(str::to_owned));
    let answer = other.answer(&placed, &object).await;
    assert_problem(&answer, 403, "unauthorized");
    for url in [&placed.challenge, &placed.authorizations[0], &placed.order] {
        assert_eq!(client.status(url).await, "pending");
    }
    let answer = client.answer(&placed, &object).await;
    assert_ready(&mut client, &placed, &answer).await;
}

#[tokio::test]
async fn scenario_52_evidence_of_an_earlier_challenge_is_refused() {
    let server = SERVER.server();
    let device = mac(serial());
    let mut client = server.client().await;
    let first = client.order(serial()).await;
    let object = server.attest(&device, &first.token);
    let answer = client.answer(&first, &object).await;
    assert_ready(&mut client, &first, &answer).await;
    let second = client.order(serial()).await;
    let answer = client.answer(&second, &object).await;
    assert_dead(&server, &mut client, &second, &answer, "freshness-mismatch").await;
    assert_eq!(client.status(&first.order).await, "ready");
}
