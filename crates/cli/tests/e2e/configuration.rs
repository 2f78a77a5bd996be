//! What may stand in the configuration, and where.

use std::{fs, path::Path, process::Command};

use assay_ca::authority::{self, AuthorityPlan, Host, KeyType};
use serde_json::json;

use crate::support::{Process, Server, Setup, assay, assert_exit, json_of, message, now, openssl};

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02OPERATE01,,"],
    config: "",
};

/// `assay init` for a server that is no laboratory's.
fn init_plain(dir: &Path) {
    let output = assay().arg("--dir").arg(dir).arg("init").output().unwrap();
    assert_exit(&output, 0);
}

#[test]
fn scenario_123_what_is_for_laboratories_needs_the_mark_of_init() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("plain");
    init_plain(&dir);
    let original = fs::read_to_string(dir.join("assay.toml")).unwrap();
    let authority = home.path().join("authority");
    let output = assay()
        .args(["simulate", "authority"])
        .arg(&authority)
        .output()
        .unwrap();
    assert_exit(&output, 0);
    let root = authority.join("root.pem");
    for (key, wrong) in [
        ("mode = \"listed\"", "mode = \"any-attested\"".to_owned()),
        (
            "laboratory_roots = []",
            format!("laboratory_roots = [{root:?}]"),
        ),
    ] {
        assert!(original.contains(key));
        fs::write(dir.join("assay.toml"), original.replace(key, &wrong)).unwrap();
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["config", "check"],
        ] {
            let output = assay().arg("--dir").arg(&dir).args(args).output().unwrap();
            let message = message(&output, 2);
            assert!(message.contains("for laboratory servers only"), "{message}");
        }
    }
    fs::write(dir.join("assay.toml"), original).unwrap();
    for (name, value) in [
        ("ASSAY_ADMISSION__MODE", "any-attested".to_owned()),
        ("ASSAY_ADMISSION__DEVICES", "/etc/hostname".to_owned()),
        (
            "ASSAY_ATTESTATION__APPLE__LABORATORY_ROOTS",
            format!("[{root:?}]"),
        ),
        ("ASSAY_LABORATORY__ENABLED", "true".to_owned()),
    ] {
        let output = assay()
            .arg("--dir")
            .arg(&dir)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env(name, value)
            .output()
            .unwrap();
        let message = message(&output, 2);
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn scenario_123_the_mark_is_in_the_names_of_the_cas_and_in_the_database() {
    let laboratory = Server::init(SETUP);
    let plain = laboratory.beside("plain");
    init_plain(&plain);
    for ca in ["root", "issuing", "tls"] {
        let subject = |dir: &Path| {
            let mut x509 = Command::new("openssl");
            x509.args(["x509", "-noout", "-subject", "-in"]);
            openssl(x509.arg(dir.join(format!("ca/{ca}.pem"))))
        };
        let marked = subject(&laboratory.dir());
        assert!(marked.to_lowercase().contains("laboratory"), "{marked}");
        let unmarked = subject(&plain);
        assert!(
            !unmarked.to_lowercase().contains("laboratory"),
            "{unmarked}"
        );
    }
    // The database of the one under the CA of the other.
    for (from, to) in [
        (laboratory.dir(), plain.clone()),
        (plain.clone(), laboratory.dir()),
    ] {
        let mixed = laboratory.beside("mixed");
        copy(&to, &mixed);
        fs::remove_dir_all(mixed.join("db")).unwrap();
        copy(&from.join("db"), &mixed.join("db"));
        let output = assay()
            .arg("--dir")
            .arg(&mixed)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .output()
            .unwrap();
        let message = message(&output, 2);
        assert!(message.contains("laboratory"), "{message}");
        fs::remove_dir_all(&mixed).unwrap();
    }
}

#[test]
fn a_setting_of_the_environment_is_named_where_it_is_wrong() {
    let server = Server::init(SETUP);
    let check = |name: &str, value: &str| {
        let mut command = server.command(["config", "check"]);
        message(&command.env(name, value).output().unwrap(), 2)
    };
    for (name, value) in [
        ("ASSAY_ACME__ORDER_LIFETIME", "31d"),
        ("ASSAY_LOG", "bogus==="),
        ("ASSAY_LOG", "assay=loud"),
        ("ASSAY_LOG_FORMAT", "xml"),
    ] {
        let message = check(name, value);
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn a_profile_that_fits_no_certificate_is_refused_when_it_is_read() {
    let server = Server::init(SETUP);
    // The last would be signed, and then not fit into the database.
    let long = format!("san = [\"uri:https://{}\"]", "a".repeat(2_300));
    for line in [
        "subject = \"C=DEU\"",
        "subject = \"CN=xx{spki-sha256}\"",
        long.as_str(),
    ] {
        server.configure(&format!("[profile.default]\n{line}"));
        let message = message(&server.assay(["config", "check"]), 2);
        let told = message.starts_with("profile.default makes no certificate: ")
            && message.contains("too long");
        assert!(told, "{message}");
    }
}

#[test]
fn a_ca_that_has_ended_serves_nothing() {
    let server = Server::init(SETUP);
    // Ten years, and a day less or more.
    for (age, ended) in [(3_651, false), (3_653, true)] {
        let cas = authority::create(&AuthorityPlan {
            name: "Old".to_owned(),
            issuing_key: KeyType::P256,
            host: Host::Dns("localhost".to_owned()),
            laboratory: true,
            now: now() - age * 86_400,
        })
        .unwrap();
        let root = server.dir().join("ca/root.pem");
        fs::write(root, &cas.root.certificate_pem).unwrap();
        for (name, ca) in [("issuing", &cas.issuing), ("tls", &cas.tls)] {
            let path = server.dir().join("ca").join(name);
            fs::write(path.with_extension("pem"), &ca.certificate_pem).unwrap();
            fs::write(path.with_extension("key"), &ca.key_pem).unwrap();
        }
        if ended {
            let message = message(&server.assay(["serve", "--listen", "127.0.0.1:0"]), 2);
            for (ca, remedy) in [
                ("issuing", "have the root sign a new certificate"),
                ("TLS", "`assay tls host HOST --root-key FILE`"),
            ] {
                let ended = format!("the {ca} CA's certificate ended at ");
                assert!(message.contains(&ended), "{message}");
                assert!(message.contains(remedy), "{message}");
            }
        } else {
            let process = Process::serve(server.command(["serve", "--listen", "127.0.0.1:0"]));
            for name in ["issuing", "TLS"] {
                process.event(|event| event["event"] == "ca_ends" && event["ca"] == name);
            }
        }
    }
}

#[test]
fn recordings_have_a_folder_of_their_own() {
    let server = Server::init(SETUP);
    let absolute = server.dir().join("db/recordings");
    let wrong = [
        "",
        ".",
        "db",
        "ca/recordings",
        "attestation",
        "assay.toml",
        "a\\u0000b",
    ];
    for directory in wrong.into_iter().chain(absolute.to_str()) {
        server.configure(&format!("[recording]\ndirectory = \"{directory}\""));
        let message = message(&server.assay(["config", "check"]), 2);
        assert!(message.contains("recording.directory is"), "{message}");
    }
    for directory in ["recordings", "../elsewhere", "/tmp/dbx"] {
        server.configure(&format!("[recording]\ndirectory = \"{directory}\""));
        assert_exit(&server.assay(["config", "check"]), 0);
    }
}

#[test]
fn the_root_is_no_issuing_ca() {
    let server = Server::init(SETUP);
    for name in ["issuing", "tls"] {
        let dir = server.beside(name);
        copy(&server.dir(), &dir);
        for end in ["pem", "key"] {
            let ca = |name: &str| dir.join(format!("ca/{name}.{end}"));
            fs::copy(ca("root"), ca(name)).unwrap();
        }
        let output = assay()
            .args(["config", "check", "--dir"])
            .arg(&dir)
            .output();
        let message = message(&output.unwrap(), 2);
        assert!(message.contains("is the root's certificate"), "{message}");
        assert!(message.contains(&format!("{name}.pem")), "{message}");
    }
}

fn copy(from: &Path, to: &Path) {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output();
    assert_exit(&output.unwrap(), 0);
}

#[test]
fn configuration_that_cannot_be_used_is_refused_with_what_to_do() {
    let server = Server::init(SETUP);
    let original = server.read("assay.toml");
    for (change, expected) in [
        (
            "server.lisen = \"127.0.0.1:0\"",
            "unknown key \"server.lisen\" in [server]: did you mean \"listen\"?",
        ),
        ("profile.default.sann = []", "did you mean \"san\"?"),
        ("admision.mode = \"listed\"", "did you mean \"admission\"?"),
        (
            "server.base_url = \"http://ca.example.org\"",
            "it must begin with https://",
        ),
        (
            "server.base_url = \"https://ca.example.org\"",
            "name constraints were set by init",
        ),
        (
            "acme.order_lifetime = \"10s\"",
            "acme.order_lifetime must be from 1m to 30d",
        ),
        (
            "profile.default.lifetime = \"90\"",
            "write a whole number and s, m, h or d",
        ),
        (
            "profile.default.subject = \"CN={name}\"",
            "{name} is not one of",
        ),
        ("profile.default.san = [\"dns\"]", "\"dns\" is not one of"),
        (
            "attestation.apple.assigners = [\"1.2.x\"]",
            "\"1.2.x\" is not a dotted-decimal",
        ),
        (
            "attestation.apple.laboratory_roots = [\"absent.pem\"]",
            "absent.pem",
        ),
        ("admission.devices = \"absent.csv\"", "absent.csv"),
        ("admission.mode = \"all\"", "any-attested"),
        (
            "server.tls = \"files\"",
            "server.tls_certificate and server.tls_key",
        ),
    ] {
        server.configure(change);
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["config", "check"],
        ] {
            let output = server.assay(args);
            assert_exit(&output, 2);
            assert_eq!(output.stdout, b"");
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(text.contains(expected), "{change}: {text}");
        }
        fs::write(server.dir().join("assay.toml"), &original).unwrap();
    }
}

#[test]
fn config_check_tells_what_serve_would_use() {
    let server = Server::init(SETUP);
    let root_key = server.dir().join("ca/root.key");
    let told = json_of(&server.assay(["config", "check", "--json"]));
    assert_eq!(
        told,
        json!({
            "ok": true,
            "laboratory": true,
            "base_url": null,
            "listen": "127.0.0.1:8443",
            "devices": 1,
            "attestation_roots": ["Apple Enterprise Attestation Root CA", "laboratory-root-1.pem"],
            "problems": [{
                "severity": "warning",
                "event": "root_key_online",
                "what": format!("{} is the root's key, on the same machine as the issuing CA's", root_key.display()),
                "remedy": "move it to a medium that is kept offline: `serve` never opens it",
            }],
        })
    );
    let output = server.assay(["config", "check"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("assay.toml is in order."), "{text}");
    // The environment overrides what is no matter of security.
    let mut command = server.command(["config", "check", "--json"]);
    command.env("ASSAY_SERVER__LISTEN", "127.0.0.1:9443");
    assert_eq!(
        json_of(&command.output().unwrap())["listen"],
        "127.0.0.1:9443"
    );
}
