//! Which CAs a root accepts as its own.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_ca::{
    LeafUsage, Root, RootError,
    authority::{self, AuthorityError, AuthorityPlan, Host, is_constrained_to, is_laboratory},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use support::{DAY, NOW, OpenSsl, der, issuer, plan};

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn root(change: impl FnOnce(&mut CertificateParams)) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params("Root", IsCa::Ca(BasicConstraints::Constrained(1)));
    change(&mut params);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn below(
    root: &CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Vec<u8> {
    let mut params = params("CA", IsCa::Ca(BasicConstraints::Constrained(0)));
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, root).unwrap().der().to_vec()
}

fn judge(root: &CertifiedIssuer<'static, KeyPair>, ca: &[u8]) -> Result<(), RootError> {
    Root::from_der(root.der())?.check_issued(ca, LeafUsage::ClientAuth)
}

#[test]
fn the_cas_of_a_plan_are_of_its_root() {
    let made = authority::create(&plan()).unwrap();
    let root = Root::from_der(&der(&made.root.certificate_pem)).unwrap();
    for (ca, usage) in [
        (&made.issuing, LeafUsage::ClientAuth),
        (&made.tls, LeafUsage::ServerAuth),
    ] {
        let ca = der(&ca.certificate_pem);
        assert_eq!(root.check_issued(&ca, usage), Ok(()));
        // Flips one bit of the signature.
        let mut broken = ca.clone();
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(
            root.check_issued(&broken, usage),
            Err(RootError::BadSignature)
        );
    }
    // Another root of the same name.
    let other = authority::create(&plan()).unwrap();
    assert_eq!(
        root.check_issued(&der(&other.issuing.certificate_pem), LeafUsage::ClientAuth),
        Err(RootError::KeyIdentifierMismatch)
    );
    // An issuing CA is not a root.
    assert_eq!(
        Root::from_der(&der(&made.issuing.certificate_pem)),
        Err(RootError::NotSelfSigned)
    );
    assert_eq!(Root::from_der(b"junk"), Err(RootError::Malformed));
}

#[test]
fn what_no_relying_party_would_accept_is_refused() {
    let good = root(|_| {});
    assert_eq!(judge(&good, &below(&good, |_| {})), Ok(()));
    let other = root(|params| params.distinguished_name.push(DnType::CommonName, "Other"));
    assert_eq!(
        judge(&good, &below(&other, |_| {})),
        Err(RootError::IssuerMismatch)
    );
    // The same name and another key, without key identifiers.
    let twin = root(|_| {});
    let nameless = below(&twin, |params| {
        params.use_authority_key_identifier_extension = false;
    });
    assert_eq!(judge(&good, &nameless), Err(RootError::BadSignature));
    let short = root(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert_eq!(
        judge(&short, &below(&short, |_| {})),
        Err(RootError::PathLength)
    );
    let unlimited = root(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(judge(&unlimited, &below(&unlimited, |_| {})), Ok(()));
    let narrow =
        root(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(
        judge(&narrow, &below(&narrow, |_| {})),
        Err(RootError::UsageOutsideRoot)
    );
    for no_ca in [
        root(|params| params.is_ca = IsCa::ExplicitNoCa),
        root(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
    ] {
        assert_eq!(Root::from_der(no_ca.der()), Err(RootError::NotACa));
    }
}

#[test]
fn a_root_with_an_unknown_critical_extension_is_refused() {
    for critical in [true, false] {
        let marked = root(|params| {
            let id = [1, 3, 6, 1, 4, 1, 99999, 1];
            let mut extension = CustomExtension::from_oid_content(&id, vec![5, 0]);
            extension.set_criticality(critical);
            params.custom_extensions.push(extension);
        });
        let read = Root::from_der(marked.der()).map(drop);
        let id = "1.3.6.1.4.1.99999.1".parse().unwrap();
        let refused = Err(RootError::UnknownExtension(id));
        assert_eq!(read, if critical { refused } else { Ok(()) });
    }
}

#[test]
fn another_tls_ca_is_made_under_the_same_root() {
    for laboratory in [false, true] {
        let made = authority::create(&AuthorityPlan {
            laboratory,
            ..plan()
        })
        .unwrap();
        let root_der = der(&made.root.certificate_pem);
        let root = Root::from_der(&root_der).unwrap();
        let later = NOW + 3_000 * DAY;
        for host in [
            Host::Dns("other.example.org".to_owned()),
            Host::Ip("192.0.2.1".parse().unwrap()),
        ] {
            let tls = authority::create_tls(&root, &made.root.key_pem, host.clone(), later);
            let tls = tls.unwrap();
            let tls_der = der(&tls.certificate_pem);
            assert_eq!(root.check_issued(&tls_der, LeafUsage::ServerAuth), Ok(()));
            assert!(is_constrained_to(&tls_der, &host));
            assert_eq!(is_laboratory(&tls_der), laboratory);
            let tls = issuer(&tls);
            assert!(tls.not_after() <= root.not_after() && tls.not_after() > later);
            let openssl = OpenSsl::new();
            openssl.write("root.pem", &made.root.certificate_pem);
            openssl.write("tls.pem", tls.certificate_pem());
            openssl.ok("verify -x509_strict -no_check_time -CAfile root.pem tls.pem");
        }
        // Late in the root's validity the new CA expires with the root.
        let late = root.not_after() - 100 * DAY;
        let host = Host::Dns("other.example.org".to_owned());
        let tls = authority::create_tls(&root, &made.root.key_pem, host.clone(), late).unwrap();
        assert_eq!(issuer(&tls).not_after(), root.not_after());
        let make =
            |key: &str, now: u64| authority::create_tls(&root, key, host.clone(), now).map(|_| ());
        for key in [&*made.issuing.key_pem, "junk"] {
            assert_eq!(make(key, NOW), Err(AuthorityError::BadRootKey));
        }
        for time in [NOW - DAY, root.not_after() + 1] {
            assert_eq!(
                make(&made.root.key_pem, time),
                Err(AuthorityError::RootTime)
            );
        }
    }
}
