//! Checks the three CAs with OpenSSL.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_ca::{
    DeterministicKey, Issuer, IssuerError,
    authority::{
        self, AuthorityError, AuthorityPlan, CaMaterial, Host, KeyType, is_constrained_to,
        is_laboratory,
    },
};

use support::{NOW, OpenSsl, der, issuer, leaf, plan, serial};

fn shown(material: &CaMaterial, options: &str) -> String {
    let openssl = OpenSsl::new();
    openssl.write("ca.pem", &material.certificate_pem);
    openssl.ok(&format!("x509 -in ca.pem -noout {options}"))
}

#[test]
fn names_and_times() {
    let authority = authority::create(&plan()).unwrap();
    for (material, subject, end) in [
        (&authority.root, "Root CA", "Nov 23 23:55:00 2046 GMT"),
        (&authority.issuing, "Issuing CA", "Nov 23 11:55:00 2036 GMT"),
        (&authority.tls, "TLS CA", "Nov 23 11:55:00 2036 GMT"),
    ] {
        assert_eq!(
            shown(
                material,
                "-subject -issuer -startdate -enddate -nameopt RFC2253"
            ),
            format!(
                "subject=CN=Example Corp {subject},O=Example Corp\n\
                 issuer=CN=Example Corp Root CA,O=Example Corp\n\
                 notBefore=Nov 23 23:55:00 2026 GMT\nnotAfter={end}\n"
            )
        );
    }
}

#[test]
fn extensions() {
    let dns = authority::create(&plan()).unwrap();
    let by_address = |address: &str| {
        let host = Host::Ip(address.parse().unwrap());
        authority::create(&AuthorityPlan { host, ..plan() }).unwrap()
    };
    let (v4, v6) = (by_address("192.0.2.1"), by_address("2001:db8::1"));
    let common = "-ext basicConstraints,keyUsage,extendedKeyUsage,nameConstraints";
    let usage = "X509v3 Key Usage: critical\n    Certificate Sign, CRL Sign\n";
    let constraints =
        |length| format!("X509v3 Basic Constraints: critical\n    CA:TRUE, pathlen:{length}\n");
    let server = "X509v3 Extended Key Usage: \n    TLS Web Server Authentication\n";
    let client = "X509v3 Extended Key Usage: \n    TLS Web Client Authentication\n";
    let names = "X509v3 Name Constraints: critical\n";
    let address = |permitted: &str| {
        format!("{names}    Permitted:\n      IP:{permitted}\n    Excluded:\n      DNS:\n")
    };
    for (material, expected) in [
        (&dns.root, format!("{usage}{}", constraints(1))),
        (&dns.issuing, format!("{usage}{client}{}", constraints(0))),
        (
            &dns.tls,
            format!(
                "{usage}{server}{names}    Permitted:\n      DNS:acme.example.com\n    \
                 Excluded:\n      IP:0.0.0.0/0.0.0.0\n      \
                 IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0\n{}",
                constraints(0)
            ),
        ),
        (
            &v4.tls,
            format!(
                "{usage}{server}{}{}",
                address("192.0.2.1/255.255.255.255"),
                constraints(0)
            ),
        ),
        (
            &v6.tls,
            format!(
                "{usage}{server}{}{}",
                address("2001:DB8:0:0:0:0:0:1/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF"),
                constraints(0)
            ),
        ),
    ] {
        assert_eq!(shown(material, common), expected);
    }
}

#[test]
fn keys_and_their_identifiers() {
    let authority = authority::create(&AuthorityPlan {
        issuing_key: KeyType::P384,
        ..plan()
    })
    .unwrap();
    let identifier = |material, extension: &str| {
        let shown = shown(material, &format!("-ext {extension}"));
        shown.lines().nth(1).unwrap().trim().to_owned()
    };
    let root = identifier(&authority.root, "subjectKeyIdentifier");
    let mut serials = std::collections::HashSet::new();
    for (material, curve) in [
        (&authority.root, "secp384r1"),
        (&authority.issuing, "secp384r1"),
        (&authority.tls, "prime256v1"),
    ] {
        assert_eq!(identifier(material, "authorityKeyIdentifier"), root);
        assert!(shown(material, "-text").contains(&format!("ASN1 OID: {curve}")));
        let serial = shown(material, "-serial");
        assert_eq!(serial.len(), "serial=".len() + 32 + "\n".len(), "{serial}");
        assert!(serials.insert(serial));
        // The key in the file is that of the certificate, and it may issue.
        assert_eq!(issuer(material).not_before(), NOW - 300);
    }
}

#[test]
fn the_laboratory_mark_is_in_every_name_and_cannot_be_imitated() {
    let laboratory = authority::create(&AuthorityPlan {
        laboratory: true,
        ..plan()
    })
    .unwrap();
    let production = authority::create(&plan()).unwrap();
    for (material, role) in [
        (&laboratory.root, "Root CA"),
        (&laboratory.issuing, "Issuing CA"),
        (&laboratory.tls, "TLS CA"),
    ] {
        assert!(is_laboratory(&der(&material.certificate_pem)));
        assert_eq!(
            shown(material, "-subject -nameopt RFC2253"),
            format!("subject=CN=LABORATORY Example Corp {role},OU=LABORATORY,O=Example Corp\n")
        );
    }
    for material in [&production.root, &production.issuing, &production.tls] {
        assert!(!is_laboratory(&der(&material.certificate_pem)));
    }
    assert!(!is_laboratory(b"no certificate"));
}

#[test]
fn plans_that_make_no_ca_are_refused() {
    let named = |name: &str| AuthorityPlan {
        name: name.to_owned(),
        ..plan()
    };
    let at = |now| AuthorityPlan { now, ..plan() };
    let host = |name: &str| AuthorityPlan {
        host: Host::Dns(name.to_owned()),
        ..plan()
    };
    for (plan, expected) in [
        (named(&"ä".repeat(40)), None),
        (named(&"a".repeat(41)), Some(AuthorityError::BadName)),
        (named(""), Some(AuthorityError::BadName)),
        (named("a\nb"), Some(AuthorityError::BadName)),
        (named("My LABORATORY"), Some(AuthorityError::NameHoldsMark)),
        (named("My Laboratory"), None),
        (at(300), None),
        (at(299), Some(AuthorityError::Time)),
        (at(252_768_470_400), None),
        (at(252_768_470_700), Some(AuthorityError::Time)),
        (at(u64::MAX), Some(AuthorityError::Time)),
        (host(""), Some(AuthorityError::BadHost)),
        (host("*.example.com"), Some(AuthorityError::BadHost)),
        (host("acme example"), Some(AuthorityError::BadHost)),
    ] {
        let created = authority::create(&plan).map(|_| ());
        assert_eq!(created.err(), expected, "{plan:?}");
    }
}

#[test]
fn the_tls_ca_permits_its_host_and_no_other() {
    let dns = |name: &str| Host::Dns(name.to_owned());
    let ip = |address: &str| Host::Ip(address.parse().unwrap());
    let hosts = [
        dns("ca.example.org"),
        dns("example.org"),
        ip("192.0.2.1"),
        ip("192.0.2.2"),
        ip("2001:db8::1"),
    ];
    for own in &hosts {
        let authority = authority::create(&AuthorityPlan {
            host: own.clone(),
            ..plan()
        })
        .unwrap();
        for other in &hosts {
            assert_eq!(
                is_constrained_to(&der(&authority.tls.certificate_pem), other),
                own == other,
                "{own:?} {other:?}"
            );
        }
        // A CA without name constraints is not constrained to a host.
        assert!(!is_constrained_to(
            &der(&authority.issuing.certificate_pem),
            own
        ));
    }
    assert!(!is_constrained_to(b"junk", &hosts[0]));
}

/// At the same time there is one CA and one certificate per key, byte for byte,
/// including the signature.
#[test]
fn a_repeatable_ca_issues_the_same_bytes_again() {
    let leaf = leaf();
    let issue = |now| {
        let issuer = authority::repeatable(now).unwrap();
        let prepared = issuer.prepare(&leaf, serial()).unwrap();
        let issued = issuer.sign(prepared).unwrap();
        (issuer.certificate_pem().to_owned(), issued.der().to_vec())
    };
    let (ca, certificate) = issue(NOW);
    assert_eq!(issue(NOW), (ca.clone(), certificate.clone()));
    let (later_ca, later) = issue(NOW + 1);
    assert_ne!(later_ca, ca);
    // The key is unchanged, and so is everything that the leaf contains.
    assert_eq!(later, certificate);

    let openssl = OpenSsl::new();
    openssl.write("ca.pem", &ca);
    openssl.write("leaf.pem", assay_ca::certificate_pem(&certificate).unwrap());
    openssl.ok(&format!(
        "verify -partial_chain -attime {NOW} -purpose sslclient -trusted ca.pem leaf.pem"
    ));
    assert_eq!(
        openssl.ok("x509 -in ca.pem -noout -subject -startdate -enddate -nameopt RFC2253"),
        "subject=CN=LABORATORY Assay Replay Issuing CA,OU=LABORATORY,O=Assay Replay\n\
         notBefore=Nov 23 23:55:00 2026 GMT\nnotAfter=Nov 23 11:55:00 2036 GMT\n"
    );
    assert!(is_laboratory(&der(&ca)));
    assert_eq!(authority::repeatable(299).err(), Some(AuthorityError::Time));
}

/// A key that anyone can derive must not sign for a production CA.
#[test]
fn a_deterministic_key_signs_for_laboratories_only() {
    let key = || DeterministicKey::derive(KeyType::P256, "a key");
    let authority = authority::create(&plan()).unwrap();
    let issuer = Issuer::deterministic(&der(&authority.issuing.certificate_pem), key());
    assert_eq!(issuer.err(), Some(IssuerError::NotALaboratory));
    let laboratory = authority::create(&AuthorityPlan {
        laboratory: true,
        ..plan()
    })
    .unwrap();
    let issuer = Issuer::deterministic(&der(&laboratory.issuing.certificate_pem), key());
    assert_eq!(issuer.err(), Some(IssuerError::OtherKey));
}
