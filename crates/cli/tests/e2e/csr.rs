//! CSRs that fit and do not fit, and what certificates say.

use std::time::Duration;

use assay_simulator::{
    CsrRequest, SubjectAltName,
    evidence::{Extension, der},
};
use serde_json::Value;

use crate::support::{
    Client, Placed, Server, Setup, Shared, assert_problem, assert_ready, csr_with, hardware_module,
    mac, now, permanent_identifier,
};

const SERIAL: &str = "C02CSR000001";
const UDID: &str = "00008112-C02CSR000001";
const APPLE_SERIAL: &str = "1.2.840.113635.100.8.9.1";

static SERVER: Shared = Shared::new(Setup {
    init: &[],
    devices: &["C02CSR000001,00008112-C02CSR000001,", "C02CSR000002,,"],
    config: "",
});

/// subjectAltName with these GeneralNames.
fn names(names: &[Vec<u8>]) -> Extension {
    Extension::new("2.5.29.17", &der::sequence(names))
}

/// That the CSR is refused, the order stays ready, and the operator is told.
async fn assert_bad_csr(
    server: &Server,
    client: &mut Client,
    placed: &Placed,
    csr: &[u8],
    reason: &str,
) -> String {
    let answer = client.finalize(placed, csr).await;
    let problem = assert_problem(&answer, 400, "badCSR");
    assert_eq!(client.status(&placed.order).await, "ready");
    let id = placed.order.rsplit('/').next().unwrap();
    let event: Value = server.process().event(|event| {
        event["event"] == "refused" && event["order"] == id && event["reason"] == reason
    });
    assert_eq!(event["gate"], "issuance");
    problem.detail
}

#[tokio::test]
async fn scenario_53_a_csr_for_another_key_is_refused_and_the_right_one_accepted() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let other = mac(SERIAL).csr(&CsrRequest::default()).unwrap();
    assert_bad_csr(
        &server,
        &mut client,
        &placed,
        &other,
        "csr-key-not-attested",
    )
    .await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    assert_eq!(certificate.spki, device.spki_der());
}

#[tokio::test]
async fn scenario_54_a_csr_for_an_account_key_is_refused() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    // The account's own key, attested; then the attested key of an order that
    // another account has as its key.
    let mut own = server.client_without_account().await;
    own.acme.set_key(device.account_key().unwrap());
    assert_eq!(own.acme.new_account().await.unwrap().status, 201);
    let csr = device.csr(&CsrRequest::default()).unwrap();
    for mut client in [own, server.client().await] {
        let placed = client.ready(&server, &device, SERIAL).await;
        assert_bad_csr(&server, &mut client, &placed, &csr, "csr-account-key").await;
    }
}

#[tokio::test]
async fn scenario_55_a_csr_with_a_bad_signature_is_refused() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let mut bad = csr.clone();
    *bad.last_mut().unwrap() ^= 1;
    let detail = assert_bad_csr(&server, &mut client, &placed, &bad, "csr-unreadable").await;
    assert!(detail.contains("signature"), "{detail}");
    for bad in [
        &b"garbage"[..],
        &csr[..csr.len() - 1],
        &[&csr[..], &[0]].concat(),
    ] {
        assert_bad_csr(&server, &mut client, &placed, bad, "csr-unreadable").await;
    }
    client.certificate(&placed, &csr).await;
}

#[tokio::test]
async fn scenarios_56_and_57_what_a_csr_asks_for_is_dropped() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let plain = server.client().await.enrol(&server, &device, SERIAL).await;
    for (common_name, names) in [
        ("CEO", vec![]),
        (SERIAL, vec![]),
        ("", vec![SubjectAltName::Dns("www.example.org".to_owned())]),
        (
            "",
            vec![SubjectAltName::Email("ceo@example.org".to_owned())],
        ),
        (
            "",
            vec![SubjectAltName::Uri("spiffe://example.org/ceo".to_owned())],
        ),
        (
            "",
            vec![SubjectAltName::UserPrincipalName(
                "ceo@example.org".to_owned(),
            )],
        ),
    ] {
        let mut client = server.client().await;
        let placed = client.ready(&server, &device, SERIAL).await;
        let request = CsrRequest {
            common_name: common_name.to_owned(),
            names,
        };
        let csr = device.csr(&request).unwrap();
        let certificate = client.certificate(&placed, &csr).await;
        assert_eq!(certificate.subject, plain.subject, "{request:?}");
        assert_eq!(certificate.names, None, "{request:?}");
    }
}

/// Names that a strict decoder refuses, and what the operator's rule calls them.
fn odd_names() -> [(&'static str, Vec<u8>); 7] {
    let dns = der::element(0x82, b"www.example.org");
    let party = der::element(0xa1, &der::element(0x0c, b"party"));
    let address = der::sequence(&[der::element(0x61, &der::element(0x13, b"DE"))]);
    [
        (
            "mail address",
            names(&[der::element(0x81, "j\u{fc}rgen@example.org".as_bytes())]).value,
        ),
        (
            "name of another kind",
            names(&[der::element(0x81, b"j\xfcrgen@example.org")]).value,
        ),
        (
            "name of another kind",
            names(&[der::element(0xa3, &address)]).value,
        ),
        (
            "name of another kind",
            names(&[der::element(0xa5, &party)]).value,
        ),
        (
            "name of another kind",
            names(&[der::element(0x87, &[1, 2, 3, 4, 5])]).value,
        ),
        ("DNS name", names(&[dns.clone(), dns]).value),
        (
            "name of another kind",
            // Of an identifier under 2.25, whose arc has 128 bits.
            names(&[der::element(
                0xa0,
                &[
                    der::element(0x06, &[&[0x69, 0x83][..], &[0xf8; 16], &[0x36]].concat()),
                    der::element(0xa0, &der::element(0x1c, b"\0\0\0u")),
                ]
                .concat(),
            )])
            .value,
        ),
    ]
}

#[tokio::test]
async fn scenario_57_what_is_dropped_anyway_may_be_unreadable() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    for (what, names) in odd_names() {
        let mut client = server.client().await;
        let placed = client.ready(&server, &device, SERIAL).await;
        let csr = csr_with(&device, Some("CEO"), &[Extension::new("2.5.29.17", &names)]);
        let certificate = client.certificate(&placed, &csr).await;
        assert_eq!(certificate.names, None, "{what}");
    }
    // What decides is read strictly beside it: another device, and a CA.
    let mail = der::element(0x81, b"\xff");
    let other = names(&[mail.clone(), permanent_identifier("C02CSR000002", None)]);
    let broken = der::element(0xa0, &der::oid("1.3.6.1.5.5.7.8.3"));
    let broken = names(&[mail.clone(), broken]);
    let ca = [names(&[mail]), Extension::basic_constraints(true, None)];
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    for (reason, extensions) in [
        ("csr-name-not-ordered", &[other][..]),
        ("csr-unreadable", &[broken]),
        ("csr-ca-requested", &ca),
    ] {
        let csr = csr_with(&device, None, extensions);
        assert_bad_csr(&server, &mut client, &placed, &csr, reason).await;
    }
}

#[tokio::test]
async fn scenario_57_what_a_csr_asks_for_is_refused_where_the_profile_says_so() {
    let server = Server::start(Setup {
        devices: &["C02CSR000001,,"],
        config: "profile.default.csr_names = \"refuse\"",
        ..Setup::default()
    });
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let general_name = |tag, text: &str| names(&[der::element(tag, text.as_bytes())]);
    let principal = der::element(
        0xa0,
        &[
            der::oid("1.3.6.1.4.1.311.20.2.3"),
            der::element(0xa0, &der::element(0x0c, b"ceo@example.org")),
        ]
        .concat(),
    );
    for (what, common_name, extensions) in [
        ("subject", Some("CEO"), vec![]),
        (
            "DNS name",
            None,
            vec![general_name(0x82, "www.example.org")],
        ),
        (
            "mail address",
            None,
            vec![general_name(0x81, "ceo@example.org")],
        ),
        (
            "URI",
            None,
            vec![general_name(0x86, "spiffe://example.org/ceo")],
        ),
        (
            "IP address",
            None,
            vec![names(&[der::element(0x87, &[10, 0, 0, 1])])],
        ),
        ("user principal name", None, vec![names(&[principal])]),
    ] {
        let csr = csr_with(&device, common_name, &extensions);
        let detail = assert_bad_csr(&server, &mut client, &placed, &csr, "csr-names-refused").await;
        assert!(detail.contains(what), "{detail}");
    }
    // Unreadable ones as well.
    for (what, names) in odd_names() {
        let csr = csr_with(&device, None, &[Extension::new("2.5.29.17", &names)]);
        let detail = assert_bad_csr(&server, &mut client, &placed, &csr, "csr-names-refused").await;
        assert!(detail.contains(what), "{detail}");
    }
    let ordered = names(&[permanent_identifier(SERIAL, None)]);
    let csr = csr_with(&device, None, &[ordered]);
    assert_eq!(client.certificate(&placed, &csr).await.names, None);
}

#[tokio::test]
async fn scenarios_58_and_59_a_csr_that_names_another_device_is_refused() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    for name in [
        permanent_identifier("C02CSR000002", None),
        permanent_identifier(&SERIAL.to_lowercase(), None),
        permanent_identifier(SERIAL, Some("1.2.3.4")),
        permanent_identifier("", None),
        hardware_module(APPLE_SERIAL, SERIAL),
    ] {
        for names in [
            names(std::slice::from_ref(&name)),
            names(&[permanent_identifier(SERIAL, None), name]),
        ] {
            let csr = csr_with(&device, None, &[names]);
            assert_bad_csr(&server, &mut client, &placed, &csr, "csr-name-not-ordered").await;
        }
    }
    client
        .certificate(&placed, &csr_with(&device, None, &[]))
        .await;
}

#[tokio::test]
async fn scenario_60_a_csr_for_a_ca_is_refused() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    for extensions in [
        vec![Extension::basic_constraints(true, None)],
        // keyCertSign; cRLSign
        vec![Extension::key_usage(&[2, 4])],
        vec![Extension::key_usage(&[1, 2])],
    ] {
        let csr = csr_with(&device, None, &extensions);
        assert_bad_csr(&server, &mut client, &placed, &csr, "csr-ca-requested").await;
    }
    let harmless = [
        Extension::basic_constraints(false, None),
        Extension::key_usage(&[7, 0x80]),
    ];
    let csr = csr_with(&device, None, &harmless);
    assert!(!client.certificate(&placed, &csr).await.is_ca);
}

#[tokio::test]
async fn scenario_66_evidence_that_expires_before_finalize_was_judged_already() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    // A machine may be too slow for the shortest.
    for seconds in [2, 8, 32] {
        let placed = client.order(SERIAL).await;
        let not_after = now() + seconds;
        let object = server.forge(&device, &placed.token, |leaf| leaf.not_after = not_after);
        let answer = client.answer(&placed, &object).await;
        if seconds < 32 && answer.status == 400 {
            continue;
        }
        assert_ready(&mut client, &placed, &answer).await;
        while now() <= not_after {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let csr = device.csr(&CsrRequest::default()).unwrap();
        client.certificate(&placed, &csr).await;
        return;
    }
}

#[tokio::test]
async fn scenario_68_two_devices_never_share_a_certificate() {
    let server = SERVER.server();
    let devices = [mac(SERIAL), mac("C02CSR000002")];
    let mut client = server.client().await;
    let placed = client
        .order_all(&[
            ("permanent-identifier", SERIAL),
            ("permanent-identifier", "C02CSR000002"),
        ])
        .await;
    for (index, device) in devices.iter().enumerate() {
        assert_eq!(client.status(&placed.order).await, "pending");
        client
            .prove(&server, device, &placed.authorizations[index])
            .await;
    }
    assert_eq!(client.status(&placed.order).await, "ready");
    for device in &devices {
        let csr = device.csr(&CsrRequest::default()).unwrap();
        assert_bad_csr(&server, &mut client, &placed, &csr, "csr-key-not-attested").await;
    }
}

#[tokio::test]
async fn scenario_68_two_names_of_one_device_share_a_certificate() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client
        .order_all(&[
            ("permanent-identifier", SERIAL),
            ("permanent-identifier", UDID),
        ])
        .await;
    for authorization in &placed.authorizations {
        client.prove(&server, &device, authorization).await;
    }
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    assert_eq!(certificate.spki, device.spki_der());
}

/// What the profile `san` puts into a certificate for SERIAL under two types,
/// though the CSR asks for more.
async fn names_by_profile(san: &str) -> Option<Vec<u8>> {
    let server = Server::start(Setup {
        devices: &["C02CSR000001,,"],
        config: &format!("profile.default.san = [{san}]"),
        ..Setup::default()
    });
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let hardware = format!("{SERIAL}/{APPLE_SERIAL}");
    let placed = client
        .order_all(&[
            ("permanent-identifier", SERIAL),
            ("hardware-module", &hardware),
        ])
        .await;
    for authorization in &placed.authorizations {
        client.prove(&server, &device, authorization).await;
    }
    let asked = names(&[
        permanent_identifier(SERIAL, None),
        der::element(0x82, b"www.example.org"),
        der::element(0x86, b"spiffe://example.org/ceo"),
    ]);
    let csr = csr_with(&device, Some("CEO"), &[asked]);
    client.certificate(&placed, &csr).await.names
}

#[tokio::test]
async fn scenario_70_the_profile_chooses_the_names_and_not_the_csr() {
    let permanent = permanent_identifier(SERIAL, None);
    let module = hardware_module(APPLE_SERIAL, SERIAL);
    let uri = der::element(0x86, format!("urn:device:{SERIAL}:{UDID}").as_bytes());
    for (san, expected) in [
        ("\"permanent-identifier\"", vec![permanent.clone()]),
        ("\"hardware-module\"", vec![module.clone()]),
        ("\"uri:urn:device:{serial}:{udid}\"", vec![uri.clone()]),
        (
            "\"uri:urn:device:{serial}:{udid}\", \"hardware-module\", \"permanent-identifier\"",
            vec![uri, module, permanent],
        ),
    ] {
        let names = names_by_profile(san).await;
        assert_eq!(names, Some(der::sequence(&expected)), "{san}");
    }
    assert_eq!(names_by_profile("").await, None);
}

#[tokio::test]
async fn scenario_56_the_profile_chooses_the_subject() {
    let server = Server::start(Setup {
        devices: &["C02CSR000001,,"],
        config: "profile.default.subject = \"O=Example\\\\, Inc.,serialNumber={udid},CN={serial}\"",
        ..Setup::default()
    });
    let certificate = server
        .client()
        .await
        .enrol(&server, &mac(SERIAL), SERIAL)
        .await;
    assert_eq!(
        certificate.subject,
        format!("O=Example, Inc., serialNumber={UDID}, CN={SERIAL}")
    );
}
