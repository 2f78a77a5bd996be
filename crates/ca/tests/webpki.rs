//! Checks issued certificates with rustls-webpki, the verifier of rustls.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::{net::IpAddr, time::Duration};

use assay_ca::{Issuer, LeafTemplate, SubjectAltName, authority::Host};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert, aws_lc_rs};

use support::{NOW, authority, der, issuer, leaf, serial, server_leaf};

fn verify(
    root_pem: &str,
    issuer: &Issuer,
    template: &LeafTemplate,
    usage: KeyUsage,
    server: Option<&str>,
) -> Result<(), Error> {
    let issued = issuer
        .sign(issuer.prepare(template, serial()).unwrap())
        .unwrap();
    let root = CertificateDer::from(der(root_pem));
    let intermediates = [CertificateDer::from(issuer.certificate_der())];
    let leaf = CertificateDer::from(issued.der());
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    leaf.verify_for_usage(
        &[aws_lc_rs::ECDSA_P256_SHA256, aws_lc_rs::ECDSA_P384_SHA384],
        &[anchor_from_trusted_cert(&root).unwrap()],
        &intermediates,
        UnixTime::since_unix_epoch(Duration::from_secs(NOW)),
        usage,
        None,
        None,
    )?;
    match server {
        Some(name) => leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap()),
        None => Ok(()),
    }
}

#[test]
fn a_device_authenticates_as_client_only() {
    let authority = authority(Host::Dns("acme.example.com".to_owned()));
    let issuing = issuer(&authority.issuing);
    let root = &authority.root.certificate_pem;
    assert_eq!(
        verify(root, &issuing, &leaf(), KeyUsage::client_auth(), None),
        Ok(())
    );
    assert!(matches!(
        verify(root, &issuing, &leaf(), KeyUsage::server_auth(), None),
        Err(Error::RequiredEkuNotFoundContext(_))
    ));
}

#[test]
fn the_tls_ca_serves_its_host_and_no_other() {
    let host = |name: &str| Host::Dns(name.to_owned());
    let dns = |name: &str| SubjectAltName::Dns(name.to_owned());
    let v4: IpAddr = [192, 0, 2, 1].into();
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let violation = Err(Error::NameConstraintViolation);
    for (permitted, name, server, expected) in [
        (
            host("acme.example.com"),
            dns("acme.example.com"),
            "acme.example.com",
            Ok(()),
        ),
        (
            host("acme.example.com"),
            dns("other.example.com"),
            "other.example.com",
            violation.clone(),
        ),
        (
            host("acme.example.com"),
            SubjectAltName::Ip(v4),
            "192.0.2.1",
            violation.clone(),
        ),
        (
            host("acme.example.com"),
            SubjectAltName::Ip(v6),
            "2001:db8::1",
            violation.clone(),
        ),
        (Host::Ip(v4), SubjectAltName::Ip(v4), "192.0.2.1", Ok(())),
        (Host::Ip(v6), SubjectAltName::Ip(v6), "2001:db8::1", Ok(())),
        (
            Host::Ip(v4),
            SubjectAltName::Ip([192, 0, 2, 2].into()),
            "192.0.2.2",
            violation.clone(),
        ),
        (
            Host::Ip(v4),
            SubjectAltName::Ip(v6),
            "2001:db8::1",
            violation.clone(),
        ),
        (
            Host::Ip(v4),
            dns("acme.example.com"),
            "acme.example.com",
            violation.clone(),
        ),
    ] {
        let authority = authority(permitted.clone());
        assert_eq!(
            verify(
                &authority.root.certificate_pem,
                &issuer(&authority.tls),
                &server_leaf(name.clone()),
                KeyUsage::server_auth(),
                Some(server),
            ),
            expected,
            "{name:?} under {permitted:?}"
        );
    }
}
