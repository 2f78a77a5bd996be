//! `assay inspect` over the certificates of a server.

use std::fs;

use crate::support::{Server, Setup, assay, assert_exit, json_of};

#[test]
fn a_servers_own_certificates_are_shown() {
    let mut server = Server::init(Setup::default());
    server.restart();
    // The certificate that is served has no subject and one critical SAN.
    for (file, kind, line) in [
        ("ca/serving.pem", "chain", "      dns: localhost"),
        ("ca/tls.pem", "certificate", "nameConstraints (2.5.29.30"),
        ("ca/issuing.pem", "certificate", "CA: true"),
        ("ca/root.pem", "certificate", "CA: true"),
    ] {
        let path = server.dir().join(file);
        assert!(!fs::read(&path).unwrap().is_empty(), "{file}");
        let output = assay().arg("inspect").arg(&path).output().unwrap();
        assert_exit(&output, 0);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(line), "{file}: {text}");
        let report = json_of(
            &assay()
                .args(["inspect", "--json"])
                .arg(&path)
                .output()
                .unwrap(),
        );
        assert_eq!(report["kind"], kind, "{file}");
        for certificate in report["certificates"].as_array().unwrap() {
            assert!(
                certificate["not_after"].is_string(),
                "{file}: {certificate}"
            );
        }
    }
}
