//! What can be ordered, and what an order's identifiers mean.

use assay_simulator::{
    Device, KeyType,
    evidence::{DeviceProperties, der},
};
use serde_json::{Value, json};

use crate::support::{
    Server, Setup, Shared, assert_dead, assert_problem, csr_with, hardware_module, json_of, mac,
    permanent_identifier,
};

const SERIAL: &str = "C02IDENT0001";
const UDID: &str = "00008112-C02IDENT0001";
const APPLE_SERIAL: &str = "1.2.840.113635.100.8.9.1";
const APPLE_UDID: &str = "1.2.840.113635.100.8.9.2";
/// "é" in one code point, and in two.
const NFC: &str = "C02-\u{e9}";
const NFD: &str = "C02-e\u{301}";

static SERVER: Shared = Shared::new(Setup {
    init: &[],
    devices: &[
        "C02IDENT0001,00008112-C02IDENT0001,",
        "ABC,,",
        "*.ABC,,",
        "C02-\u{e9},,",
    ],
    config: "attestation.apple.assigners = [\"1.2.3.4\"]\n\
             profile.default.san = [\"permanent-identifier\", \"hardware-module\"]",
});

fn wire(kind: &str, value: &str) -> Value {
    json!({"type": kind, "value": value})
}

/// The subproblems of a refused newOrder: type and identifier of each.
fn subproblems(subproblems: &[Value]) -> Vec<(&str, &Value)> {
    subproblems
        .iter()
        .map(|one| {
            let kind = one["type"].as_str().unwrap();
            let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap();
            (kind, &one["identifier"])
        })
        .collect()
}

#[tokio::test]
async fn scenarios_69_and_76_unsupported_types_are_refused_at_new_order() {
    let server = SERVER.server();
    let mut client = server.client().await;
    for (kind, value) in [
        ("dns", "www.example.org"),
        ("ip", "192.0.2.1"),
        ("foo", "bar"),
    ] {
        for identifiers in [
            vec![(kind, value)],
            vec![("permanent-identifier", SERIAL), (kind, value)],
        ] {
            let answer = client.new_order(&identifiers).await;
            let problem = assert_problem(&answer, 400, "unsupportedIdentifier");
            assert_eq!(
                subproblems(&problem.subproblems),
                [("unsupportedIdentifier", &wire(kind, value))]
            );
        }
    }
}

#[tokio::test]
async fn every_identifier_at_fault_has_its_own_subproblem() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let answer = client
        .new_order(&[
            ("dns", "www.example.org"),
            ("permanent-identifier", SERIAL),
            ("permanent-identifier", "ABC/"),
        ])
        .await;
    let problem = assert_problem(&answer, 400, "compound");
    assert_eq!(
        subproblems(&problem.subproblems),
        [
            ("unsupportedIdentifier", &wire("dns", "www.example.org")),
            ("malformed", &wire("permanent-identifier", "ABC/")),
        ]
    );
}

#[tokio::test]
async fn scenario_71_an_assigner_that_is_allowed_is_shown() {
    let server = SERVER.server();
    let device = mac("ABC");
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, "ABC/1.2.3.4").await;
    let certificate = client
        .certificate(&placed, &csr_with(&device, None, &[]))
        .await;
    let expected = der::sequence(&[permanent_identifier("ABC", Some("1.2.3.4"))]);
    assert_eq!(certificate.names, Some(expected));

    for value in ["ABC/1.2.3.5", "ABC/1.2.3", "ABC/1.2.3.4.5"] {
        let answer = client.new_order(&[("permanent-identifier", value)]).await;
        let problem = assert_problem(&answer, 403, "rejectedIdentifier");
        assert_eq!(
            subproblems(&problem.subproblems),
            [("rejectedIdentifier", &wire("permanent-identifier", value))]
        );
    }
}

#[tokio::test]
async fn scenario_72_values_outside_the_grammar_are_malformed() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let long = "A".repeat(257);
    for value in [
        "ABC/", "/1.2.3", "A/B/1.2", "ABC/1", "ABC/3.1", "ABC/1.40", "ABC/1.02", "", "/",
        "ABC/1.2.", "ABC/.1.2", "ABC/1.-2", &long,
    ] {
        let answer = client.new_order(&[("permanent-identifier", value)]).await;
        let problem = assert_problem(&answer, 400, "malformed");
        // One that is too long is not repeated.
        let repeated = match value.len() {
            0..=256 => wire("permanent-identifier", value),
            _ => Value::Null,
        };
        assert_eq!(
            subproblems(&problem.subproblems),
            [("malformed", &repeated)],
            "{value:?}"
        );
    }
}

#[tokio::test]
async fn scenario_73_an_asterisk_is_a_character_like_another() {
    let server = SERVER.server();
    let device = mac("*.ABC");
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, "*.ABC").await;
    let authorization = client.read(&placed.authorizations[0]).await;
    assert_eq!(
        authorization["identifier"],
        wire("permanent-identifier", "*.ABC")
    );
    assert_eq!(authorization.get("wildcard"), None);
    let certificate = client
        .certificate(&placed, &csr_with(&device, None, &[]))
        .await;
    let expected = der::sequence(&[permanent_identifier("*.ABC", None)]);
    assert_eq!(certificate.names, Some(expected));

    // Nor does it stand for others.
    let placed = client.order("*.ABC").await;
    let answer = client
        .answer(&placed, &server.attest(&mac("X.ABC"), &placed.token))
        .await;
    assert_dead(
        &server,
        &mut client,
        &placed,
        &answer,
        "identifier-mismatch",
    )
    .await;
}

#[tokio::test]
async fn scenarios_74_and_75_a_hardware_module_names_the_attribute_that_proves_it() {
    let server = SERVER.server();
    for (hw_type, name, compared_with) in
        [(APPLE_SERIAL, SERIAL, "serial"), (APPLE_UDID, UDID, "udid")]
    {
        let device = mac(SERIAL);
        let mut client = server.client().await;
        let value = format!("{name}/{hw_type}");
        let placed = client.order_all(&[("hardware-module", &value)]).await;
        let authorization = client.read(&placed.authorizations[0]).await;
        assert_eq!(authorization["identifier"], wire("hardware-module", &value));
        let answer = client
            .answer(&placed, &server.attest(&device, &placed.token))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let story = server.story(&placed.order);
        assert_eq!(story["authorizations"][0]["compared_with"], compared_with);
        let certificate = client
            .certificate(&placed, &csr_with(&device, None, &[]))
            .await;
        let expected = der::sequence(&[hardware_module(hw_type, name)]);
        assert_eq!(certificate.names, Some(expected));
    }
}

#[tokio::test]
async fn scenario_74_hardware_modules_that_nothing_proves_are_refused() {
    let server = SERVER.server();
    let mut client = server.client().await;
    for (value, status, kind, reason) in [
        (
            format!("{SERIAL}/1.2.3"),
            403,
            "rejectedIdentifier",
            "hardware-type-not-provable",
        ),
        // The Apple model.
        (
            format!("{SERIAL}/1.2.840.113635.100.8.9.4"),
            403,
            "rejectedIdentifier",
            "hardware-type-not-provable",
        ),
        // Listed, but under the other attribute.
        (
            format!("{SERIAL}/{APPLE_UDID}"),
            403,
            "rejectedIdentifier",
            "not-admitted",
        ),
        (
            format!("{UDID}/{APPLE_SERIAL}"),
            403,
            "rejectedIdentifier",
            "not-admitted",
        ),
        (SERIAL.to_owned(), 400, "malformed", "identifier-malformed"),
        (
            format!("{SERIAL}/"),
            400,
            "malformed",
            "identifier-malformed",
        ),
        (
            format!("/{APPLE_SERIAL}"),
            400,
            "malformed",
            "identifier-malformed",
        ),
    ] {
        let answer = client.new_order(&[("hardware-module", &value)]).await;
        let problem = assert_problem(&answer, status, kind);
        assert_eq!(
            subproblems(&problem.subproblems),
            [(kind, &wire("hardware-module", &value))]
        );
        let event = server
            .process()
            .event(|event| event["event"] == "refused" && event["identifier"] == value.as_str());
        assert_eq!(event["reason"], reason, "{value}");
    }
}

#[tokio::test]
async fn scenario_77_names_are_octets() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let device = mac(NFC);
    let placed = client.ready(&server, &device, NFC).await;
    let order = client.read(&placed.order).await;
    assert_eq!(
        order["identifiers"],
        json!([wire("permanent-identifier", NFC)])
    );
    let asked = assay_simulator::evidence::Extension::new(
        "2.5.29.17",
        &der::sequence(&[permanent_identifier(NFC, None)]),
    );
    let certificate = client
        .certificate(&placed, &csr_with(&device, None, &[asked]))
        .await;
    let expected = der::sequence(&[permanent_identifier(NFC, None)]);
    assert_eq!(certificate.names, Some(expected));

    let answer = client.new_order(&[("permanent-identifier", NFD)]).await;
    assert_problem(&answer, 403, "rejectedIdentifier");
    let placed = client.order(NFC).await;
    let decomposed = DeviceProperties::mac(NFD, UDID);
    let device = Device::new(decomposed, KeyType::P256).unwrap();
    let answer = client
        .answer(&placed, &server.attest(&device, &placed.token))
        .await;
    assert_dead(
        &server,
        &mut client,
        &placed,
        &answer,
        "identifier-mismatch",
    )
    .await;
}

#[tokio::test]
async fn scenarios_78_and_79_lists_that_are_none() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let many: Vec<String> = (0..1000).map(|number| format!("C02{number}")).collect();
    let many: Vec<_> = many
        .iter()
        .map(|value| ("permanent-identifier", value.as_str()))
        .collect();
    let eleven = &many[..11];
    let twice = ("permanent-identifier", SERIAL);
    for identifiers in [
        &[twice, twice][..],
        &[twice, ("permanent-identifier", "ABC"), twice],
        &[],
        eleven,
        &many,
    ] {
        let answer = client.new_order(identifiers).await;
        let problem = assert_problem(&answer, 400, "malformed");
        assert!(problem.detail.contains("identifiers"), "{}", problem.detail);
    }
    // The same name under two types is two identifiers.
    let hardware = format!("{SERIAL}/{APPLE_SERIAL}");
    client
        .order_all(&[twice, ("hardware-module", &hardware)])
        .await;
}

#[tokio::test]
async fn any_attested_compares_with_the_attribute_that_is_configured() {
    for (bind, right, wrong) in [("serial", SERIAL, UDID), ("udid", UDID, SERIAL)] {
        let server = Server::start(Setup {
            init: &["--admission", "any-attested"],
            config: &format!("admission.bind = \"{bind}\""),
            ..Setup::default()
        });
        let device = mac(SERIAL);
        let mut client = server.client().await;
        client.enrol(&server, &device, right).await;
        let placed = client.order(wrong).await;
        let answer = client
            .answer(&placed, &server.attest(&device, &placed.token))
            .await;
        assert_dead(
            &server,
            &mut client,
            &placed,
            &answer,
            "identifier-mismatch",
        )
        .await;
    }
}

#[tokio::test]
async fn any_attested_by_form_compares_udids_with_the_udid_and_others_with_the_serial() {
    const SERIAL: &str = "C02XK0AAJHD2";
    const UDID: &str = "00008112-000A1B2C3D4E5F60";
    let mut server = Server::start(Setup {
        init: &["--admission", "any-attested"],
        config: "admission.bind = \"by-form\"\nrecording.keep = \"all\"",
        ..Setup::default()
    });
    let device_of = |serial: &str, udid: &str| {
        Device::new(DeviceProperties::mac(serial, udid), KeyType::P256).unwrap()
    };
    let old = "2b6f0cc904d137be2e1730235f5664094b831186";
    for (name, device, attribute) in [
        (SERIAL, device_of(SERIAL, UDID), "serial"),
        (UDID, device_of(SERIAL, UDID), "udid"),
        (old, device_of(SERIAL, old), "udid"),
    ] {
        let mut client = server.client().await;
        client.enrol(&server, &device, name).await;
        let placed = client.order(name).await;
        let compared = &server.story(&placed.order)["authorizations"][0]["compared_with"];
        assert_eq!(compared, attribute);
    }
    // One attribute, never the other: a serial in the form of a UDID proves
    // nothing, nor does a UDID in another form.
    for (name, device) in [
        (UDID, device_of(UDID, "00008112-000A1B2C3D4E5F61")),
        ("OTHER-FORM", device_of(SERIAL, "OTHER-FORM")),
    ] {
        let mut client = server.client().await;
        let placed = client.order(name).await;
        let answer = client
            .answer(&placed, &server.attest(&device, &placed.token))
            .await;
        let reason = "identifier-mismatch";
        assert_dead(&server, &mut client, &placed, &answer, reason).await;
    }
    // Recordings hold the attribute that was decided, and are judged by it.
    server.terminate();
    let root = server.authority_dir().join("root.pem");
    let recordings = server.dir().join("recordings");
    let replay = ["replay", "--json", "--root"].map(std::ffi::OsString::from);
    let paths = [root, recordings].map(std::path::PathBuf::into_os_string);
    let told = json_of(&server.assay(replay.into_iter().chain(paths)));
    let totals = &told["totals"];
    assert_eq!(
        (&totals["recordings"], &totals["same"]),
        (&json!(5), &json!(5)),
        "{told}"
    );
}
