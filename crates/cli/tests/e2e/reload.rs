//! SIGHUP: one line says what was read again, what is wrong, and what needs a
//! restart.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Server, Setup};

const SETUP: Setup<'static> = Setup {
    // The configuration is that of the start.
    init: &["--base-url", "https://ca.example.org"],
    devices: &["C02RELOAD001,,", "C02RELOAD002,,"],
    config: "",
};

/// The line of the next SIGHUP, before which there were so many.
fn reloaded(server: &Server, before: usize) -> Value {
    server.process().signal(Signal::HUP);
    let process = server.process();
    process.nth_event(before, |event| event["event"] == "reloaded")
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key}: {line}"))
}

#[test]
fn sighup_says_what_it_read_what_is_wrong_and_what_needs_a_restart() {
    let server = Server::start(SETUP);
    let config = server.read("assay.toml");

    let line = reloaded(&server, 0);
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(line["devices"], "2 devices", "{line}");
    for key in ["tls", "needs_restart", "next_start_fails"] {
        assert!(line[key].is_null(), "{line}");
    }

    // A changed section, and CA files.
    server.configure("limits.dry_run = true\n[acme]\norder_lifetime = \"2h\"");
    for file in ["ca/issuing.pem", "ca/tls.pem"] {
        let path = server.dir().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
    let line = reloaded(&server, 1);
    assert_eq!(line["level"], "WARN", "{line}");
    assert_eq!(
        line["needs_restart"], "[acme], [limits], ca/issuing.pem, ca/tls.pem",
        "{line}"
    );
    assert!(line["next_start_fails"].is_null(), "{line}");

    // A configuration that the next start refuses.
    fs::write(server.dir().join("assay.toml"), "[limits]\nnothing = 1\n").unwrap();
    let line = reloaded(&server, 2);
    let fault = text(&line, "next_start_fails");
    assert!(fault.contains("unknown key \"limits.nothing\""), "{line}");

    // A list that is at fault.
    fs::write(server.dir().join("assay.toml"), config).unwrap();
    server.write_devices(&["C02 RELOAD"]);
    let line = reloaded(&server, 3);
    assert_eq!(line["level"], "WARN", "{line}");
    assert!(text(&line, "devices").starts_with("unchanged: "), "{line}");
    assert!(text(&line, "devices").contains("devices.csv"), "{line}");
}

#[test]
fn sighup_says_what_became_of_the_files_of_tls() {
    let own = Server::start(SETUP);
    let pem = own.read("ca/serving.pem");
    let server = Server::init(SETUP);
    for file in ["tls.pem", "tls.key"] {
        let path = server.dir().join(file);
        fs::write(&path, &pem).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    server.configure(
        "server.tls = \"files\"\nserver.tls_certificate = \"tls.pem\"\nserver.tls_key = \"tls.key\"",
    );
    let mut server = server;
    server.restart();
    let line = reloaded(&server, 0);
    assert!(text(&line, "tls").contains("tls.pem"), "{line}");
    assert_eq!(line["level"], "INFO", "{line}");
    fs::write(server.dir().join("tls.key"), "no key").unwrap();
    let line = reloaded(&server, 1);
    assert!(text(&line, "tls").starts_with("unchanged: "), "{line}");
    assert!(text(&line, "tls").contains("tls.key"), "{line}");
    assert!(!line["next_start_fails"].is_null(), "{line}");
}

#[test]
fn sighup_without_a_list_says_so() {
    let server = Server::start(Setup {
        init: &["--admission", "any-attested"],
        ..SETUP
    });
    let line = reloaded(&server, 0);
    assert_eq!(line["devices"], "there is no list", "{line}");
}
