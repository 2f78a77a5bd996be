//! Enrolments between processes: the demo, the simulator, a foreign client.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use assay_simulator::CsrRequest;
use data_encoding::HEXLOWER;
use rustix::process::Signal;

use crate::support::{
    Process, Server, Setup, Shared, assay, assert_exit, json_of, mac, openssl, verify_with_openssl,
};

const SERIAL: &str = "C02ENROL0001";
const UDID: &str = "00008112-000A5DE200FACADE";

static SERVER: Shared = Shared::new(Setup {
    init: &[],
    devices: &["C02ENROL0001,,", ",00008112-000A5DE200FACADE,"],
    config: "",
});

#[test]
fn demo_enrols_one_device_and_refuses_another() {
    let output = assay().arg("demo").output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(output.stderr, b"");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "It has its certificate:",
        "-----END CERTIFICATE-----",
        "It is refused.",
        "badAttestationStatement",
        "refused        identifier-mismatch",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn the_certificate_of_the_demo_passes_openssl_verify() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = assay();
    command.args(["demo", "--keep"]).env("TMPDIR", dir.path());
    let demo = Process::spawn(command);
    let first = demo.line();
    let kept = first.strip_prefix("Everything is kept in ").unwrap();
    let kept = Path::new(kept.trim_end_matches('.'));
    let mut pem = String::new();
    let line = loop {
        let line = demo.line();
        if line.starts_with("The server goes on") {
            break line;
        }
        let inside = !pem.is_empty() && !pem.contains("END CERTIFICATE");
        if inside || line.contains("BEGIN CERTIFICATE") {
            pem = format!("{pem}{line}\n");
        }
    };
    assert!(line.contains("Ctrl-C"), "{line}");
    let certificate = dir.path().join("cert.pem");
    fs::write(&certificate, pem).unwrap();
    let ca = kept.join("assay/ca");
    verify_with_openssl(&ca.join("root.pem"), &ca.join("issuing.pem"), &certificate);
    demo.signal(Signal::INT);
    assert_eq!(demo.exited().code(), Some(0));
    assert!(kept.join("assay/assay.toml").exists());
}

#[test]
fn init_serve_and_simulate_enrol_between_processes() {
    let server = Server::start(Setup {
        devices: &["C02ENROL0001,,", ",00008112-000A5DE200FACADE,"],
        ..Setup::default()
    });
    for (identifier, key, bits) in [
        (None, "p256", "256 bit"),
        (Some(UDID), "p256", "256 bit"),
        (None, "p384", "384 bit"),
        (Some(UDID), "p384", "384 bit"),
    ] {
        let out = server.beside(&format!("{}-{key}", identifier.unwrap_or(SERIAL)));
        let mut command = server.simulate("enroll", &server.process().directory);
        command
            .args(["--serial", SERIAL, "--udid", UDID, "--key", key, "--out"])
            .arg(&out);
        if let Some(identifier) = identifier {
            command.args(["--client-identifier", identifier]);
        }
        let told = json_of(&command.output().unwrap());
        assert_eq!(told["result"], "enrolled");
        let read = |name: &str| fs::read(out.join(name)).unwrap();
        assert_eq!(
            told["certificate_pem"].as_str().unwrap().as_bytes(),
            read("cert.pem")
        );
        assert_eq!(
            told["chain_pem"].as_str().unwrap().as_bytes(),
            read("chain.pem")
        );
        assert_eq!(
            told["attestation_object_hex"],
            HEXLOWER.encode(&read("attestation.cbor"))
        );
        let mode = fs::metadata(out.join("key.pem"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        verify_with_openssl(
            &server.root_path(),
            &out.join("chain.pem"),
            &out.join("cert.pem"),
        );
        let mut x509 = Command::new("openssl");
        x509.args(["x509", "-noout", "-pubkey", "-in"])
            .arg(out.join("cert.pem"));
        let mut pkey = Command::new("openssl");
        pkey.args(["pkey", "-pubout", "-in"])
            .arg(out.join("key.pem"));
        assert_eq!(openssl(&mut x509), openssl(&mut pkey));
        let mut text = Command::new("openssl");
        text.args(["pkey", "-noout", "-text_pub", "-in"])
            .arg(out.join("key.pem"));
        assert!(openssl(&mut text).contains(bits));

        let story = server.story(told["order"].as_str().unwrap());
        assert_eq!(story["status"], "valid");
        assert_eq!(
            story["identifiers"][0]["value"],
            identifier.unwrap_or(SERIAL)
        );
    }
}

#[tokio::test]
async fn a_foreign_client_enrols() {
    use instant_acme::{
        Account, ChallengeType, DeviceAttestation, Identifier, NewAccount, NewOrder, OrderStatus,
        RetryPolicy,
    };

    let server = SERVER.server();
    let device = mac(SERIAL);
    let new_account = NewAccount {
        contact: &[],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, _) = Account::builder_with_root(server.root_path())
        .unwrap()
        .create(&new_account, server.process().directory.clone(), None)
        .await
        .unwrap();
    let identifiers = [Identifier::PermanentIdentifier(SERIAL.to_owned())];
    let mut order = account
        .new_order(&NewOrder::new(&identifiers))
        .await
        .unwrap();
    {
        let mut authorizations = order.authorizations();
        let mut authorization = authorizations.next().await.unwrap().unwrap();
        let mut challenge = authorization
            .challenge(ChallengeType::DeviceAttest01)
            .unwrap();
        let object = server.attest(&device, &challenge.token);
        let attestation = DeviceAttestation {
            att_obj: object.into(),
        };
        challenge
            .send_device_attestation(&attestation)
            .await
            .unwrap();
        assert!(authorizations.next().await.is_none());
    }
    let retries = RetryPolicy::default();
    assert_eq!(
        order.poll_ready(&retries).await.unwrap(),
        OrderStatus::Ready
    );
    let csr = device.csr(&CsrRequest::default()).unwrap();
    order.finalize_csr(&csr).await.unwrap();
    let chain = order.poll_certificate(&retries).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chain.pem");
    fs::write(&file, chain).unwrap();
    verify_with_openssl(&server.root_path(), &file, &file);
}
