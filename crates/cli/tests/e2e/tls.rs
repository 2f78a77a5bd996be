//! TLS certificates and CAs that can serve, and those that cannot.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use assay_ca::authority::{self, Authority, AuthorityPlan, Host, KeyType};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustix::process::Signal;

use crate::support::{Client, Server, Setup, assert_exit, message, now};

const FILES: &str =
    "server.tls = \"files\"\nserver.tls_certificate = \"own.pem\"\nserver.tls_key = \"own.key\"";
const COMMANDS: [&[&str]; 2] = [&["serve", "--listen", "127.0.0.1:0"], &["config", "check"]];

/// A self-signed certificate and its key, PEM.
struct Own {
    certificate: String,
    key: String,
}

impl Own {
    fn new(host: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn write(&self, server: &Server) {
        fs::write(server.dir().join("own.pem"), &self.certificate).unwrap();
        let key = server.dir().join("own.key");
        fs::write(&key, &self.key).unwrap();
        fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    }
}

/// A server with this certificate in its files, which was never started.
fn with_files(own: &Own) -> Server {
    let server = Server::init(Setup::default());
    own.write(&server);
    server.configure(FILES);
    server
}

fn refused(server: &Server, parts: &[&str]) {
    for args in COMMANDS {
        let message = message(&server.assay(args), 2);
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
}

/// Connects, trusting this certificate only.
async fn connect(server: &Server, own: &Own) {
    let directory = &server.process().directory;
    let client = Client::connect(directory, &server.origin(), &own.certificate).await;
    assert_eq!(
        client.acme.resource("newOrder").unwrap(),
        directory.replace("directory", "new-order")
    );
}

#[tokio::test]
async fn a_certificate_from_files_is_served() {
    let own = Own::new("localhost", |_| {});
    let mut server = with_files(&own);
    server.restart();
    connect(&server, &own).await;

    fs::write(server.dir().join("own.key"), server.read("ca/tls.key")).unwrap();
    server.kill();
    refused(&server, &["own.pem"]);
}

#[test]
fn a_certificate_from_files_that_cannot_serve_is_refused_with_its_dates() {
    let server = with_files(&Own::new("ca.example.org", |params| {
        params.not_after = date_time_ymd(2090, 1, 1);
    }));
    server.configure("server.base_url = \"https://localhost:8443\"");
    refused(&server, &["own.pem", "2090-01-01", "ca.example.org"]);
    let old = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    Own::new("localhost", old).write(&server);
    refused(&server, &["own.pem", "ended at 2020-01-01"]);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    Own::new("localhost", early).write(&server);
    refused(&server, &["own.pem", "begins at 2090-01-01"]);
    Own::new("localhost", |params| params.extended_key_usages.clear()).write(&server);
    refused(&server, &["own.pem", "serverAuth"]);
    Own::new("localhost", |_| {}).write(&server);
    assert_exit(&server.assay(["config", "check"]), 0);
}

#[tokio::test]
async fn new_tls_files_are_served_and_bad_ones_keep_the_old_ones() {
    let first = Own::new("localhost", |_| {});
    let mut server = with_files(&first);
    server.restart();
    connect(&server, &first).await;

    // A pair that does not fit, then one that does.
    let second = Own::new("localhost", |_| {});
    fs::write(server.dir().join("own.pem"), &second.certificate).unwrap();
    let event = server
        .process()
        .event(|event| event["event"] == "tls_refused");
    assert!(
        event["error"].as_str().unwrap().contains("own.pem"),
        "{event}"
    );
    connect(&server, &first).await;
    second.write(&server);
    server
        .process()
        .event(|event| event["event"] == "tls_reloaded");
    connect(&server, &second).await;

    // For another host.
    Own::new("ca.example.org", |_| {}).write(&server);
    server.process().event(|event| {
        event["event"] == "tls_refused"
            && event["error"].as_str().unwrap().contains("ca.example.org")
    });
    connect(&server, &second).await;
}

#[tokio::test]
async fn sighup_reads_the_tls_files_again() {
    let own = Own::new("localhost", |_| {});
    let mut server = with_files(&own);
    server.restart();
    server.process().signal(Signal::HUP);
    server
        .process()
        .event(|event| event["event"] == "tls_reloaded");
    connect(&server, &own).await;
}

fn cas(age: i64) -> Authority {
    authority::create(&AuthorityPlan {
        name: "Other".to_owned(),
        issuing_key: KeyType::P256,
        host: Host::Dns("localhost".to_owned()),
        laboratory: true,
        now: now().saturating_add_signed(-age),
    })
    .unwrap()
}

#[test]
fn a_ca_out_of_its_time_is_refused_with_its_dates() {
    for (age, word) in [(-86_400, "begins at"), (3_653 * 86_400, "ended at")] {
        let cas = cas(age);
        for (name, told, ca) in [
            ("issuing", "issuing CA", &cas.issuing),
            ("tls", "TLS CA", &cas.tls),
        ] {
            let server = Server::init(Setup::default());
            let path = server.dir().join("ca").join(name);
            fs::write(path.with_extension("pem"), &ca.certificate_pem).unwrap();
            fs::write(path.with_extension("key"), ca.key_pem.as_bytes()).unwrap();
            refused(&server, &[told, word, "and the clock says"]);
        }
    }
}

#[test]
fn a_ca_that_does_not_fit_its_key_or_its_work_is_refused() {
    let server = Server::init(Setup::default());
    let cas = cas(0);
    fs::write(server.dir().join("ca/tls.key"), cas.tls.key_pem.as_bytes()).unwrap();
    refused(&server, &["tls.pem", "the key does not belong"]);

    // A key of its own, but for another usage.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(server.dir().join("ca/tls.pem"), certificate).unwrap();
    fs::write(server.dir().join("ca/tls.key"), key.serialize_pem()).unwrap();
    refused(&server, &["tls.pem", "extended key usage"]);
}
