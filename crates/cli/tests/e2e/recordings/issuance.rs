//! What a server records of finalize, and what an end-to-end replay makes of it.

use std::{fs, process::Output};

use assay_simulator::CsrRequest;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{SERIAL, SETUP, file, folder, read};
use crate::support::{Placed, Server, Setup, assert_exit, json_of, mac, message};

const BAD_CSR: &str = "urn:ietf:params:acme:error:badCSR";

/// What is changed in a recording.
type Change = fn(&mut Value);

/// A profile with every kind of name.
const NAMES: &str = r#"
recording.keep = "all"
[profile.default]
subject = "O=Example,CN={serial}"
san = ["permanent-identifier", "hardware-module", "uri:urn:device:{serial}"]
lifetime = "30d"
"#;

fn end_to_end(server: &Server, paths: &[&std::path::Path]) -> Output {
    let mut command = server.command(["replay", "--end-to-end", "--json", "--root"]);
    let root = server.authority_dir().join("root.pem");
    command.arg(root).args(paths).output().unwrap()
}

fn rewrite(server: &Server, placed: &Placed, change: impl FnOnce(&mut Value)) {
    let path = file(server, placed);
    let mut value = read(path.clone());
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[tokio::test]
async fn scenario_122_a_recording_says_how_issuance_ended_and_replays_the_same() {
    let mut server = Server::start(Setup {
        config: NAMES,
        ..SETUP
    });
    let mut client = server.client().await;
    let device = mac(SERIAL);
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let other = mac(SERIAL).csr(&CsrRequest::default()).unwrap();

    let issued = client.ready(&server, &device, SERIAL).await;
    assert_eq!(client.finalize(&issued, &other).await.status, 400);
    client.certificate(&issued, &csr).await;
    let refused = client.ready(&server, &device, SERIAL).await;
    assert_eq!(client.finalize(&refused, &other).await.status, 400);
    let waiting = client.ready(&server, &device, SERIAL).await;
    assert!(server.terminate().success());

    let key = HEXLOWER.encode(&Sha256::digest(device.spki_der()));
    let recorded = read(file(&server, &issued));
    assert_eq!(recorded["csr"], BASE64URL_NOPAD.encode(&csr));
    assert_eq!(
        recorded["profile"],
        json!({
            "name": "default",
            "settings": {
                "subject": "O=Example,CN={serial}",
                "san": ["permanent-identifier", "hardware-module", "uri:urn:device:{serial}"],
                "lifetime": 30 * 86_400,
                "csr_names": "ignore",
            },
        })
    );
    assert_eq!(
        recorded["issuance"],
        json!({
            "end": "issued",
            "certificate": {
                "subject": format!("CN={SERIAL},O=Example"),
                "names": [
                    format!("permanent-identifier:{SERIAL}"),
                    format!("uri:urn:device:{SERIAL}"),
                ],
                "spki_sha256": key,
                "key_usage": ["digitalSignature"],
                "extended_key_usage": ["clientAuth"],
                "lifetime": 30 * 86_400 + 300,
            },
        })
    );
    let recorded = read(file(&server, &refused));
    assert_eq!(recorded["csr"], BASE64URL_NOPAD.encode(&other));
    assert_eq!(
        recorded["issuance"],
        json!({
            "end": "refused",
            "reason": "csr-key-not-attested",
            "problem": {
                "type": BAD_CSR,
                "detail": "the CSR is for another key than the one that was attested: sign it with that key",
            },
        })
    );
    let recorded = read(file(&server, &waiting));
    assert_eq!(
        (&recorded["csr"], &recorded["issuance"]),
        (&Value::Null, &Value::Null)
    );

    let report = json_of(&end_to_end(&server, &[&folder(&server)]));
    assert_eq!(report["totals"]["same"], 3, "{report}");
    for result in report["results"].as_array().unwrap() {
        assert_eq!(result["not_compared"], json!([]), "{result}");
    }
}

/// Each change makes the recording one of another CA: as if this one had lost
/// what the recording still has.
#[tokio::test]
async fn scenario_122_what_a_ca_loses_is_a_difference_of_the_issued_recording() {
    let mut server = Server::start(Setup {
        config: NAMES,
        ..SETUP
    });
    let mut client = server.client().await;
    let device = mac(SERIAL);
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    client.certificate(&placed, &csr).await;
    assert!(server.terminate().success());
    let path = file(&server, &placed);
    let good = fs::read(&path).unwrap();
    let cases: [(Change, &str, Value); 6] = [
        // A finalize that refuses.
        (
            |file| {
                file["profile"]["settings"]["subject"] = json!("");
                file["profile"]["settings"]["san"] = json!([]);
            },
            "issuance.end",
            json!("refused"),
        ),
        // A CA that drops a SAN.
        (
            |file| file["profile"]["settings"]["san"] = json!(["uri:urn:device:{serial}"]),
            "issuance.certificate.names",
            json!(format!("uri:urn:device:{SERIAL}")),
        ),
        (
            |file| file["profile"]["settings"]["subject"] = json!("CN={serial}"),
            "issuance.certificate.subject",
            json!(format!("CN={SERIAL}")),
        ),
        (
            |file| file["profile"]["settings"]["lifetime"] = json!(86_400),
            "issuance.certificate.lifetime",
            json!("86700"),
        ),
        (
            |file| file["issuance"]["certificate"]["extended_key_usage"] = json!([]),
            "issuance.certificate.extended_key_usage",
            json!("clientAuth"),
        ),
        (
            |file| file["issuance"]["certificate"]["key_usage"] = json!([]),
            "issuance.certificate.key_usage",
            json!("digitalSignature"),
        ),
    ];
    for (change, field, replayed) in cases {
        fs::write(&path, &good).unwrap();
        rewrite(&server, &placed, change);
        let output = end_to_end(&server, &[&path]);
        assert_exit(&output, 1);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let differences = &report["results"][0]["differences"];
        assert_eq!(differences[0]["field"], field, "{report}");
        assert_eq!(differences[0]["replayed"], replayed);
        assert_eq!(differences.as_array().unwrap().len(), 1, "{report}");
        let said = message(&output, 1);
        assert!(
            said.contains(&format!("different: {field}: recorded ")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn scenario_122_each_authorization_of_an_order_has_its_recording() {
    const MODULE: &str = "C02RECORD001/1.2.840.113635.100.8.9.1";
    let mut server = Server::start(Setup {
        config: NAMES,
        ..SETUP
    });
    let mut client = server.client().await;
    let device = mac(SERIAL);
    let identifiers = [
        ("permanent-identifier", SERIAL),
        ("hardware-module", MODULE),
    ];
    let placed = client.order_all(&identifiers).await;
    for authorization in placed.authorizations.clone() {
        client.prove(&server, &device, &authorization).await;
    }
    let csr = device.csr(&CsrRequest::default()).unwrap();
    client.certificate(&placed, &csr).await;
    assert!(server.terminate().success());

    let mut files = 0;
    for entry in fs::read_dir(folder(&server)).unwrap() {
        let recorded = read(entry.unwrap().path());
        let issuance = &recorded["issuance"];
        assert_eq!(issuance["end"], "issued");
        assert_eq!(issuance["identifiers"], 2);
        assert_eq!(
            issuance["certificate"]["names"],
            json!([
                format!("permanent-identifier:{SERIAL}"),
                format!("hardware-module:{MODULE}"),
                format!("uri:urn:device:{SERIAL}"),
            ])
        );
        files += 1;
    }
    assert_eq!(files, 2);
    let report = json_of(&end_to_end(&server, &[&folder(&server)]));
    for result in report["results"].as_array().unwrap() {
        assert_eq!(
            result["not_compared"][0]["field"],
            "issuance.certificate.names"
        );
    }
}

/// The process ends between the verdict and the certificate.
#[tokio::test]
async fn scenario_122_a_crash_loses_no_more_than_what_came_after_it() {
    let mut server = Server::start(SETUP);
    let mut client = server.client().await;
    let device = mac(SERIAL);
    let placed = client.ready(&server, &device, SERIAL).await;
    let path = file(&server, &placed);
    // The writer is a thread: the verdict is on its way.
    for _ in 0..500 {
        if path.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.kill();
    let verdict = read(path.clone());
    assert_eq!(verdict["verdict"], json!({"outcome": "accepted"}));
    assert_eq!(verdict["issuance"], Value::Null);
    server.restart();
    let mut client = client.again(&server).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    client.certificate(&placed, &csr).await;
    assert!(server.terminate().success());
    assert_eq!(read(path)["issuance"]["end"], "issued");
}
