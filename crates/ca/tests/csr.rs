//! Valid and invalid CSRs, made by OpenSSL.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
};

use assay_ca::{
    Csr, CsrError, HardwareModuleName, MAX_CSR_LEN, PermanentIdentifierName, RequestedNames,
};
use proptest::prelude::*;

fn read(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/csr")
        .join(folder);
    let read = |path: PathBuf| {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (stem, fs::read(path).unwrap())
    };
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| read(entry.unwrap().path()))
        .collect()
}

fn good(name: &str) -> Csr {
    Csr::parse(&read("good")[name]).unwrap()
}

/// Spells `DuplicateExtension` and `Malformed("request")` as the corpus does.
fn kebab(error: CsrError) -> String {
    let debug = format!("{error:?}");
    let variant = debug.split('(').next().unwrap();
    let mut kebab = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

#[test]
fn every_good_request_is_accepted_with_its_own_key_bytes() {
    let requests = read("good");
    assert_eq!(requests.len(), 49);
    for (name, der) in requests {
        let csr = Csr::parse(&der).unwrap_or_else(|error| panic!("{name}: {error}"));
        let spki = csr.spki_der();
        assert!(der.windows(spki.len()).any(|part| part == spki), "{name}");
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki);
        assert_eq!(csr.spki_sha256(), hash.as_ref(), "{name}");
    }
}

#[test]
fn scenario_55_every_bad_request_is_refused_for_its_own_reason() {
    let requests = read("bad");
    assert_eq!(requests.len(), 49);
    for (name, der) in requests {
        let expected = name.split('.').next().unwrap();
        let refused = Csr::parse(&der).map(|_| ()).map_err(kebab);
        assert_eq!(refused, Err(expected.to_owned()), "{name}");
    }
}

#[test]
fn every_kind_of_name_is_read() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        *good("all-names").names(),
        RequestedNames {
            subject: "CN=device".to_owned(),
            subject_is_empty: false,
            common_names: vec!["device".to_owned()],
            permanent_identifiers: vec![
                PermanentIdentifierName {
                    value: some("ABCDEF123456"),
                    assigner: None,
                },
                PermanentIdentifierName {
                    value: some("ABC"),
                    assigner: some("1.2.3.4"),
                },
                PermanentIdentifierName {
                    value: None,
                    assigner: None,
                },
            ],
            hardware_modules: vec![HardwareModuleName {
                hw_type: "1.2.840.113635.100.8.9.1".to_owned(),
                serial: b"U-1".to_vec(),
            }],
            dns: vec!["a.example".to_owned(), "B.example".to_owned()],
            emails: vec!["user@example.com".to_owned()],
            uris: vec!["https://example.com/x".to_owned()],
            ips: vec![
                IpAddr::from([192, 0, 2, 1]),
                IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            ],
            upns: vec!["user@corp.example".to_owned()],
            // A registered ID, a directory name and an unknown other name.
            others: 3,
            wants_ca: false,
        }
    );
}

/// The type of a dropped part is not checked; only its presence is recorded.
#[test]
fn scenario_57_what_is_dropped_does_not_make_a_request_unreadable() {
    let kept = || vec!["kept.example".to_owned()];
    let device = || RequestedNames {
        subject: "CN=device".to_owned(),
        common_names: vec!["device".to_owned()],
        ..RequestedNames::default()
    };
    let others = |others| RequestedNames { others, ..device() };
    let dns = |dns| RequestedNames { dns, ..device() };
    let subject = |subject: &str, common_names: &[&str]| RequestedNames {
        subject: subject.to_owned(),
        common_names: common_names.iter().map(ToString::to_string).collect(),
        dns: kept(),
        ..RequestedNames::default()
    };
    let mail = RequestedNames {
        emails: vec!["j\u{fc}rgen@example.com".to_owned()],
        ..device()
    };
    let mut seen = 0;
    for (name, expected) in [
        ("mail-of-other-letters", mail),
        ("mail-in-latin-1", others(1)),
        ("dns-of-other-letters", dns(vec!["\u{e4}".to_owned()])),
        ("uri-in-latin-1", others(1)),
        ("five-octet-ip", others(1)),
        ("x400-address", others(1)),
        ("edi-party-name", others(1)),
        ("directory-name-without-order", others(1)),
        ("registered-id-of-large-arcs", others(1)),
        ("name-of-unknown-tag", others(1)),
        (
            "name-twice",
            dns(["kept.example", "b", "kept.example"]
                .map(str::to_owned)
                .to_vec()),
        ),
        ("other-name-of-large-arcs", others(1)),
        ("other-name-padded", others(1)),
        ("other-name-without-value", others(1)),
        ("principal-in-bmp-string", others(1)),
        ("no-attributes", device()),
        ("unknown-attributes", dns(kept())),
        ("unknown-extensions", dns(kept())),
        // Ten bytes of attribute, in a SET, in a SEQUENCE.
        ("subject-universal-string", subject("#", &[])),
        ("subject-bmp-string", subject("", &[])),
        ("subject-teletex-string", subject("", &[])),
        ("subject-no-string", subject("", &[])),
        ("subject-padded", subject("", &[])),
        ("subject-of-large-arcs", subject("#", &[])),
        ("subject-without-order", subject("", &["b", "a"])),
        ("subject-without-attribute", subject("", &[])),
    ] {
        seen += 1;
        let request = good(&format!("dropped.{name}"));
        let mut found = request.names().clone();
        if name.starts_with("subject") {
            // How it is displayed depends on the decoder.
            if expected.subject == "#" {
                assert!(found.subject.starts_with("#30"), "{}", found.subject);
            }
            found.subject.clone_from(&expected.subject);
        }
        assert_eq!(found, expected, "{name}");
    }
    let all = read("good");
    let dropped = all.keys().filter(|name| name.starts_with("dropped."));
    assert_eq!(dropped.count(), seen);
}

#[test]
fn microsofts_attribute_asks_for_names_too() {
    assert_eq!(good("microsoft-extensions").names().dns, ["a.example"]);
}

#[test]
fn scenario_56_the_subject_is_read_for_display_only() {
    let names = good("subject").names().clone();
    assert_eq!(
        names.subject,
        "SERIALNUMBER=42+CN=device,OU=B,OU=A,O=Example\\, Inc.,C=DE"
    );
    assert_eq!(names.common_names, ["device"]);
    assert!(!names.subject_is_empty);

    let names = good("no-names").names().clone();
    let nothing = RequestedNames {
        subject_is_empty: true,
        ..RequestedNames::default()
    };
    assert_eq!(names, nothing);
}

#[test]
fn scenario_60_requests_to_be_a_ca_are_seen() {
    for (name, expected) in [
        ("wants-ca.basic-constraints", true),
        ("wants-ca.key-cert-sign", true),
        ("wants-ca.crl-sign", true),
        ("wants-no-ca", false),
        ("p256-sha256", false),
        ("challenge-password", false),
    ] {
        assert_eq!(good(name).names().wants_ca, expected, "{name}");
    }
}

#[test]
fn a_request_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let parse = |size| {
        let mut null_and_rest = vec![0; size];
        null_and_rest[0] = 5;
        Csr::parse(&null_and_rest).map(|_| ())
    };
    assert_eq!(parse(MAX_CSR_LEN), Err(CsrError::TrailingData));
    assert_eq!(parse(MAX_CSR_LEN + 1), Err(CsrError::TooLarge));
}

/// Flips any one bit. The request information is signed; a change elsewhere
/// (headers, the algorithm, the signature) breaks the signature.
#[test]
fn scenario_55_no_flipped_bit_survives() {
    let der = &read("good")["p256-sha256"];
    for bit in 0..der.len() * 8 {
        let mut flipped = der.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = Csr::parse(&flipped).expect_err("a changed CSR was accepted");
        assert!(
            matches!(
                error,
                CsrError::BadSignature
                    | CsrError::Malformed(_)
                    | CsrError::TrailingData
                    | CsrError::UnsupportedKey
                    | CsrError::UnsupportedSignature
                    | CsrError::UnsupportedVersion
            ),
            "bit {bit}: {error:?}"
        );
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(der in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Csr::parse(&der).is_err());
    }

    /// Lengths and tags change too, so that every layer gets malformed input.
    #[test]
    fn mutated_requests_do_not_panic(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let requests = read("good");
        let (_, der) = requests.iter().nth(which.index(requests.len())).unwrap();
        let mut mutated = der.clone();
        for (at, value) in changes {
            let at = at.index(mutated.len());
            mutated[at] = value;
        }
        let unchanged = mutated == *der;
        prop_assert!(unchanged || Csr::parse(&mutated).is_err());
        prop_assert!(Csr::parse(&mutated[..cut.index(mutated.len())]).is_err());
    }
}
