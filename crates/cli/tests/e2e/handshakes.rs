//! TLS handshakes that fail, as both ends explain them.

use std::{
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use assay_simulator::{HttpClient, Trust};
use hyper::{HeaderMap, Method};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Process, Server, Setup, assert_exit, now};

/// How the server logs a reason.
fn refused(reason: &str) -> impl Fn(&Value) -> bool + '_ {
    move |event| event["event"] == "tls_refused" && event["reason"] == reason
}

/// OpenSSL as a client with these arguments, which is refused or refuses.
fn s_client(process: &Process, root: &std::path::Path, args: &[&str]) {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-verify_return_error", "-connect"])
        .arg(process.address.unwrap().to_string())
        .arg("-CAfile")
        .arg(root)
        .args(args)
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{args:?}: {output:?}");
}

#[test]
fn why_clients_end_handshakes_is_logged_with_what_to_do() {
    let server = Server::start(Setup::default());
    let root = server.root_path();
    let year = 365 * 86_400;
    let future = (now() + 5 * year).to_string();
    let none = server.authority_dir().join("root.pem");
    for (root, args, reason, remedy) in [
        (&none, &[][..], "unknown-ca", "ca/root.pem"),
        (&root, &["-attime", &future], "certificate-expired", "clock"),
        (
            &root,
            &["-verify_hostname", "other.example"],
            "bad-certificate",
            "server.base_url",
        ),
        (
            &root,
            &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
            "no-common-version",
            "TLS 1.2",
        ),
        (
            &root,
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
            "no-common-cipher",
            "cipher suite",
        ),
    ] {
        s_client(server.process(), root, args);
        let event = server.process().event(refused(reason));
        assert_eq!(event["level"], "WARN", "{event}");
        assert_eq!(
            (&event["client"], &event["count"]),
            (&"127.0.0.1".into(), &1.into())
        );
        assert!(
            event["remedy"].as_str().unwrap().contains(remedy),
            "{event}"
        );
    }
}

#[test]
fn handshakes_that_fail_again_are_summed() {
    let mut server = Server::start(Setup::default());
    let foreign = server.authority_dir().join("root.pem");
    for _ in 0..4 {
        s_client(server.process(), &foreign, &[]);
    }
    // What was summed is logged at the end, too.
    server.process().signal(Signal::TERM);
    let sum = server.process().nth_event(1, refused("unknown-ca"));
    assert_eq!(sum["count"], 3);
    assert_eq!(server.exited().code(), Some(0));
}

#[test]
fn the_simulator_says_why_there_is_no_tls() {
    let server = Server::start(Setup::default());
    let directory = &server.process().directory;
    let by_address = directory.replace("localhost", "127.0.0.1");
    for (directory, bundle, reason) in [
        (
            directory,
            server.authority_dir().join("root.pem"),
            "unknown-ca",
        ),
        (
            &by_address,
            server.root_path(),
            "certificate-for-another-name",
        ),
    ] {
        let mut command = crate::support::assay();
        command
            .args([
                "simulate",
                "enroll",
                "--directory",
                directory,
                "--ca-bundle",
            ])
            .arg(bundle)
            .arg("--authority")
            .arg(server.authority_dir())
            .args(["--serial", "C02TLS", "--udid", "00008112-000A5DE200FACADE"]);
        let output = command.output().unwrap();
        assert_exit(&output, 3);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("): {reason}: ")), "{text}");
    }
}

#[tokio::test]
async fn a_forwarded_address_of_no_trusted_proxy_is_a_warning_once() {
    let server = Server::start(Setup {
        config: "server.tls = \"off\"\nserver.base_url = \"https://localhost\"",
        ..Setup::default()
    });
    let url = format!("{}/acme/directory", server.origin());
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    for from in [5, 5, 6] {
        let mut client = HttpClient::new(Trust::from_pem("").unwrap());
        client.connect_from(Ipv4Addr::new(127, 0, 73, from).into());
        let answer = client
            .request(Method::GET, &url, headers.clone(), Vec::new().into())
            .await;
        assert_eq!(answer.unwrap().status, 200);
    }
    let ignored = |event: &Value| event["event"] == "forwarded_for_ignored";
    let last = server.process().nth_event(1, ignored);
    assert_eq!(
        (&last["level"], &last["peer"]),
        (&"WARN".into(), &"127.0.73.6".into())
    );
    assert!(
        last["remedy"]
            .as_str()
            .unwrap()
            .contains("\"127.0.73.6/32\" to server.trusted_proxies"),
        "{last}"
    );
    let log = server.process().log();
    assert_eq!(log.iter().filter(|event| ignored(event)).count(), 2);
}

#[test]
fn proxies_that_are_everyone_are_a_warning_and_wrong_networks_an_error() {
    let server = Server::init(Setup::default());
    for network in ["0.0.0.0/0", "::/0"] {
        server.configure(&format!("server.trusted_proxies = [\"{network}\"]"));
        let output = server
            .command(["config", "check", "--json"])
            .output()
            .unwrap();
        assert_exit(&output, 0);
        let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut problems = checked["problems"].as_array().unwrap().iter();
        let found = problems.find(|found| found["event"] == "trusted_proxies_everyone");
        let found = found.unwrap_or_else(|| panic!("{checked}"));
        assert_eq!(found["severity"], "warning");
        assert!(found["what"].as_str().unwrap().contains(network), "{found}");
    }
    for (config, expected) in [
        (
            "server.trusted_proxies = [\"10.0.0.1/8\"]",
            "write \"10.0.0.0/8\"",
        ),
        (
            "server.trusted_proxies = []\nserver.proxy_protocol = true",
            "every connection would be refused",
        ),
    ] {
        server.configure(config);
        let message = crate::support::message(&server.assay(["config", "check"]), 2);
        assert!(message.contains("server.trusted_proxies"), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
