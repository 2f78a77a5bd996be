//! Checks issued certificates with OpenSSL.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::{fs, path::Path};

use assay_ca::{
    Csr, LeafTemplate, LeafUsage, SubjectAltName, SubjectAttribute, authority::Host,
    certificate_pem,
};

use support::{DAY, NOW, OpenSsl, authority, issuer, leaf, serial, server_leaf};

/// The first second of the leaf's validity.
const AT: &str = "-attime 1795478400";

/// Everything after the signature algorithm, without the numbers of the key.
fn extensions(text: &str) -> &str {
    let (_, extensions) = text.split_once("X509v3 extensions:\n").unwrap();
    extensions.split_once("    Signature Algorithm").unwrap().0
}

#[test]
fn a_device_certificate_is_exactly_this() {
    let issuing = issuer(&authority(Host::Dns("acme.example.com".to_owned())).issuing);
    let template = LeafTemplate {
        subject: vec![
            SubjectAttribute::Country("DE".to_owned()),
            SubjectAttribute::Organization("Example Corp".to_owned()),
            SubjectAttribute::OrganizationalUnit("Fleet".to_owned()),
            SubjectAttribute::CommonName("Gerät".to_owned()),
            SubjectAttribute::SerialNumber("ABCDEF123456".to_owned()),
        ],
        names: vec![
            SubjectAltName::Uri("urn:device:1".to_owned()),
            SubjectAltName::Dns("*.device.example".to_owned()),
            SubjectAltName::Ip([192, 0, 2, 1].into()),
        ],
        ..leaf()
    };
    let issued = issuing
        .sign(issuing.prepare(&template, serial()).unwrap())
        .unwrap();
    let openssl = OpenSsl::new();
    openssl.write("leaf.pem", certificate_pem(issued.der()).unwrap());
    openssl.write("ca.pem", issuing.certificate_pem());

    let text = openssl.ok("x509 -in leaf.pem -noout -text -nameopt RFC2253");
    let identifier = |certificate: &str, extension: &str| {
        let shown = openssl.ok(&format!("x509 -in {certificate} -noout -ext {extension}"));
        shown.lines().nth(1).unwrap().trim().to_owned()
    };
    let authority_key = identifier("ca.pem", "subjectKeyIdentifier");
    let own_key = identifier("leaf.pem", "subjectKeyIdentifier");
    assert_eq!(
        extensions(&text),
        format!(
            "            X509v3 Authority Key Identifier: \n                {authority_key}\n            \
             X509v3 Subject Key Identifier: \n                {own_key}\n            \
             X509v3 Basic Constraints: critical\n                CA:FALSE\n            \
             X509v3 Key Usage: critical\n                Digital Signature\n            \
             X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n            \
             X509v3 Subject Alternative Name: \n                \
             URI:urn:device:1, DNS:*.device.example, IP Address:192.0.2.1\n"
        )
    );
    for line in [
        "Version: 3 (0x2)",
        "65:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5:a5",
        "Not Before: Nov 24 00:00:00 2026 GMT",
        "Not After : Nov 24 00:00:00 2027 GMT",
        "Subject: serialNumber=ABCDEF123456,CN=Ger\\C3\\A4t,OU=Fleet,O=Example Corp,C=DE",
        "Issuer: CN=Example Corp Issuing CA,O=Example Corp",
        "Signature Algorithm: ecdsa-with-SHA256",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn the_chain_verifies_for_clients_and_for_nothing_else() {
    let authority = authority(Host::Dns("acme.example.com".to_owned()));
    let issuing = issuer(&authority.issuing);
    let issued = issuing
        .sign(issuing.prepare(&leaf(), serial()).unwrap())
        .unwrap();
    let openssl = OpenSsl::new();
    openssl.write("root.pem", &authority.root.certificate_pem);
    openssl.write("issuing.pem", &authority.issuing.certificate_pem);
    openssl.write("leaf.pem", certificate_pem(issued.der()).unwrap());

    let verify = format!("verify {AT} -x509_strict -CAfile root.pem -untrusted issuing.pem");
    assert_eq!(
        openssl.ok(&format!("{verify} -purpose sslclient leaf.pem")),
        "leaf.pem: OK\n"
    );
    let refused = openssl.fails(&format!("{verify} -purpose sslserver leaf.pem"));
    assert!(
        refused.contains("unsuitable certificate purpose"),
        "{refused}"
    );
}

#[test]
fn an_empty_subject_makes_the_names_critical() {
    let issuing = issuer(&authority(Host::Dns("acme.example.com".to_owned())).issuing);
    let template = LeafTemplate {
        subject: Vec::new(),
        names: vec![SubjectAltName::Uri("urn:device:1".to_owned())],
        ..leaf()
    };
    let issued = issuing
        .sign(issuing.prepare(&template, serial()).unwrap())
        .unwrap();
    let openssl = OpenSsl::new();
    openssl.write("leaf.pem", certificate_pem(issued.der()).unwrap());
    assert_eq!(
        openssl.ok("x509 -in leaf.pem -noout -subject -ext subjectAltName"),
        "subject=\nX509v3 Subject Alternative Name: critical\n    URI:urn:device:1\n"
    );
}

#[test]
fn validity_past_2049_is_a_generalized_time() {
    // The CAs of a clock in 2045 are valid until 2055.
    let now = NOW + 19 * 365 * DAY;
    let plan = assay_ca::authority::AuthorityPlan {
        now,
        ..support::plan()
    };
    let issuing = issuer(&assay_ca::authority::create(&plan).unwrap().issuing);
    let template = LeafTemplate {
        not_before: now,
        not_after: now + 8 * 365 * DAY,
        ..leaf()
    };
    let issued = issuing
        .sign(issuing.prepare(&template, serial()).unwrap())
        .unwrap();
    let openssl = OpenSsl::new();
    openssl.write("leaf.der", issued.der());
    let parsed = openssl.ok("asn1parse -inform DER -in leaf.der");
    let times: Vec<_> = parsed
        .lines()
        .filter_map(|line| line.split_once("prim: ").map(|(_, value)| value))
        .filter(|value| value.contains("TIME"))
        .collect();
    assert_eq!(
        times,
        [
            "UTCTIME           :451119000000Z",
            "GENERALIZEDTIME   :20531117000000Z"
        ]
    );
}

#[test]
fn every_key_of_a_csr_is_certified_byte_for_byte() {
    let issuing = issuer(&authority(Host::Dns("acme.example.com".to_owned())).issuing);
    let openssl = OpenSsl::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/csr/good");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let der = fs::read(&path).unwrap();
        let template = LeafTemplate {
            spki_der: Csr::parse(&der).unwrap().spki_der().to_vec(),
            ..leaf()
        };
        let issued = issuing
            .sign(issuing.prepare(&template, serial()).unwrap())
            .unwrap();
        openssl.write("csr.der", der);
        openssl.write("leaf.pem", certificate_pem(issued.der()).unwrap());
        let certified = openssl.ok("x509 -in leaf.pem -noout -pubkey");
        let asked = openssl.run("req -inform DER -in csr.der -noout -pubkey");
        // Parts that this crate drops and OpenSSL checks strictly.
        let is_odd = ["subject-padded", "unknown-attributes"]
            .iter()
            .any(|name| path.ends_with(format!("dropped.{name}.der")));
        assert_eq!(asked.status.success(), !is_odd, "{}", path.display());
        if is_odd {
            openssl.write("spki.der", &template.spki_der);
            let key = openssl.ok("pkey -pubin -inform DER -in spki.der -pubout");
            assert_eq!(certified, key, "{}", path.display());
        } else {
            let asked = String::from_utf8(asked.stdout).unwrap();
            assert_eq!(certified, asked, "{}", path.display());
        }
    }
}

#[test]
fn the_tls_ca_is_held_to_its_host() {
    let authority = authority(Host::Dns("acme.example.com".to_owned()));
    let tls = issuer(&authority.tls);
    let openssl = OpenSsl::new();
    openssl.write("root.pem", &authority.root.certificate_pem);
    openssl.write("tls.pem", &authority.tls.certificate_pem);
    let verify = |name| {
        let issued = tls
            .sign(tls.prepare(&server_leaf(name), serial()).unwrap())
            .unwrap();
        openssl.write("leaf.pem", certificate_pem(issued.der()).unwrap());
        openssl.run(&format!(
            "verify {AT} -x509_strict -purpose sslserver -CAfile root.pem -untrusted tls.pem leaf.pem"
        ))
    };
    let good = verify(SubjectAltName::Dns("acme.example.com".to_owned()));
    assert!(good.status.success());
    for (name, reason) in [
        (
            SubjectAltName::Dns("other.example.com".to_owned()),
            "permitted subtree violation",
        ),
        (
            SubjectAltName::Ip([192, 0, 2, 1].into()),
            "excluded subtree violation",
        ),
    ] {
        let bad = verify(name);
        assert!(!bad.status.success());
        let text = String::from_utf8_lossy(&bad.stderr).into_owned();
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn a_device_ca_issues_no_server_certificate_and_the_tls_ca_no_device() {
    let authority = authority(Host::Dns("acme.example.com".to_owned()));
    for (material, usage) in [
        (&authority.issuing, LeafUsage::ServerAuth),
        (&authority.tls, LeafUsage::ClientAuth),
    ] {
        let template = LeafTemplate { usage, ..leaf() };
        assert_eq!(
            issuer(material).prepare(&template, serial()),
            Err(assay_ca::PrepareError::UsageOutsideIssuer)
        );
    }
}
