//! CA certificates made by OpenSSL, with names that other tools mishandle.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_ca::{FileSigner, Issuer, IssuerError, certificate_pem};
use der::{Decode, Encode};
use x509_cert::Certificate;

use support::{OpenSsl, leaf, serial};

/// Makes a self-signed certificate with the extensions, and its key.
fn make(openssl: &OpenSsl, subject: &str, extensions: &str) -> Result<Issuer, IssuerError> {
    openssl.write(
        "ca.cnf",
        format!("[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n[ca]\n{extensions}"),
    );
    openssl.ok("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key");
    let output = openssl.run_with(
        "req -x509 -new -utf8 -config ca.cnf -key ca.key -days 7300 -out ca.pem -subj",
        &[subject],
    );
    assert!(output.status.success(), "{output:?}");
    openssl.ok("x509 -in ca.pem -outform DER -out ca.der");
    let key = std::fs::read_to_string(openssl.path().join("ca.key")).unwrap();
    let signer = FileSigner::from_pkcs8_pem(&key).unwrap();
    let certificate = std::fs::read(openssl.path().join("ca.der")).unwrap();
    Issuer::new(&certificate, Box::new(signer))
}

const CA: &str = "basicConstraints = critical,CA:TRUE,pathlen:0\n\
                  keyUsage = critical,keyCertSign,cRLSign\n\
                  subjectKeyIdentifier = hash\n";

#[test]
fn the_issuer_name_is_copied_byte_for_byte() {
    for subject in [
        "/C=DE/O=Example/CN=Plain",
        "/DC=com/DC=example/O=Example/OU=One/OU=Two/CN=Repeated",
        "/O=Example/CN=Multi+serialNumber=42+OU=Valued",
        "/O=Beispiel/CN=\u{fc}\u{308}ml\u{e4}ut",
    ] {
        let openssl = OpenSsl::new();
        let issuer = make(&openssl, subject, CA).unwrap();
        // The CA's validity starts at the machine's clock.
        let template = assay_ca::LeafTemplate {
            not_before: issuer.not_before(),
            not_after: issuer.not_before() + 3600,
            ..leaf()
        };
        let prepared = issuer.prepare(&template, serial()).unwrap();
        let issued = issuer.sign(prepared).unwrap();
        let ca = Certificate::from_der(issuer.certificate_der()).unwrap();
        let subject_der = ca.tbs_certificate().subject().to_der().unwrap();
        let own = issued
            .der()
            .windows(subject_der.len())
            .filter(|part| *part == subject_der);
        assert_eq!(own.count(), 1, "{subject}");
        openssl.write("leaf.pem", certificate_pem(issued.der()).unwrap());
        assert_eq!(
            openssl.ok("verify -x509_strict -CAfile ca.pem -purpose sslclient leaf.pem"),
            "leaf.pem: OK\n"
        );
    }
}

#[test]
fn certificates_that_may_not_issue_are_refused() {
    let without = |line: &str| {
        CA.lines()
            .filter(|present| !present.starts_with(line))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (subject, extensions, expected) in [
        ("/CN=CA", CA.to_owned(), None),
        (
            "/CN=CA",
            without("basicConstraints"),
            Some(IssuerError::NotACa),
        ),
        (
            "/CN=CA",
            CA.replace("CA:TRUE,pathlen:0", "CA:FALSE"),
            Some(IssuerError::NotACa),
        ),
        (
            "/CN=CA",
            CA.replace("critical,CA", "CA"),
            Some(IssuerError::NotACa),
        ),
        (
            "/CN=CA",
            without("keyUsage"),
            Some(IssuerError::NoKeyCertSign),
        ),
        (
            "/CN=CA",
            CA.replace("keyCertSign,", ""),
            Some(IssuerError::NoKeyCertSign),
        ),
        (
            "/CN=CA",
            CA.replace("= hash", "= none"),
            Some(IssuerError::NoSubjectKeyIdentifier),
        ),
        ("/", CA.to_owned(), Some(IssuerError::EmptySubject)),
    ] {
        let made = make(&OpenSsl::new(), subject, &extensions);
        assert_eq!(made.err(), expected, "{subject} {extensions}");
    }
}

#[test]
fn what_relying_parties_refuse_below_a_ca_is_refused_before() {
    let made = |extensions: &str| {
        let issuer = make(&OpenSsl::new(), "/CN=CA", &format!("{CA}{extensions}\n"));
        issuer.map(|issuer| issuer.has_name_constraints())
    };
    let id = "1.3.6.1.4.1.99999.1";
    let unknown = IssuerError::UnknownExtension(id.parse().unwrap());
    let critical = format!("{id} = critical,ASN1:NULL");
    assert_eq!(made(&critical), Err(unknown));
    assert_eq!(made(&format!("{id} = ASN1:NULL")), Ok(false));
    for text in [
        "requireExplicitPolicy:0",
        "critical,requireExplicitPolicy:3",
    ] {
        let policies = format!("policyConstraints = {text}");
        assert_eq!(made(&policies), Err(IssuerError::PolicyRequired), "{text}");
    }
    assert_eq!(
        made("policyConstraints = inhibitPolicyMapping:0"),
        Ok(false)
    );
    let constraints = "nameConstraints = critical,permitted;DNS:example.org";
    assert_eq!(made(constraints), Ok(true));
}
