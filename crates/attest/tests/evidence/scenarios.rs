//! The acceptance scenarios that this crate decides.

use std::collections::HashSet;

use assay_attest::{
    Attested, Attribute, IdentityFault, KernelExtensions, KeyKind, Reason, RustCrypto, SecureBoot,
    SystemIntegrityProtection, TrustAnchor, UnverifiedObject, Verifier,
};
use assay_simulator::evidence::DeviceProperties;
use rcgen::PublicKeyData;
use sha2::{Digest, Sha256};

use crate::laboratory::{
    FRESHNESS, Laboratory, NOW, SERIAL, UDID, faults::faults, goods::goods, object,
};

/// Judges every fault of a scenario.
fn refused(scenario: u8) {
    let laboratory = Laboratory::new();
    let mut seen = 0;
    for fault in faults(&laboratory) {
        if fault.scenario == scenario {
            assert_eq!(
                laboratory.judge(&fault.object),
                Err(fault.reason),
                "{}",
                fault.name
            );
            seen += 1;
        }
    }
    assert!(seen > 0, "no fault has this number");
}

macro_rules! refusals {
    ($($name:ident: $scenario:literal;)*) => {
        $(
            #[test]
            fn $name() {
                refused($scenario);
            }
        )*
    };
}

refusals! {
    scenario_17_leaf_without_freshness_is_refused: 17;
    scenario_18_freshness_of_another_token_is_refused: 18;
    scenario_19_freshness_of_the_key_authorization_is_refused: 19;
    scenario_20_freshness_of_another_length_is_refused: 20;
    scenario_21_two_freshness_codes_are_refused: 21;
    scenario_22_a_property_twice_is_refused: 22;
    scenario_23_a_serial_in_der_is_refused: 23;
    scenario_24_sip_as_text_is_refused: 24;
    scenario_25_sip_in_another_encoding_is_refused: 25;
    scenario_38_an_unknown_root_is_refused: 38;
    scenario_39_a_chain_without_the_intermediate_is_refused: 39;
    scenario_40_an_issuer_that_may_not_issue_is_refused: 40;
    scenario_41_certificates_out_of_their_time_are_refused: 41;
    scenario_42_malformed_x5c_is_refused: 42;
    scenario_43_an_empty_object_is_refused: 43;
    scenario_44_cbor_of_another_type_is_refused: 44;
    scenario_45_bombs_are_refused: 45;
    scenario_46_repeated_keys_are_refused: 46;
    scenario_47_other_formats_are_refused: 47;
    scenario_48_tpm_with_an_apple_chain_is_refused: 48;
    faults_without_a_scenario_are_refused: 0;
}

#[test]
fn every_reason_has_a_fault() {
    let reasons: HashSet<Reason> = faults(&Laboratory::new())
        .into_iter()
        .map(|fault| fault.reason)
        .collect();
    for reason in Reason::ALL {
        // No attestation object can have this one.
        if *reason != Reason::FreshnessExpired {
            assert!(reasons.contains(reason), "{reason}");
        }
    }
}

#[test]
fn scenario_01_all_properties_of_a_mac_are_proved() {
    let laboratory = Laboratory::new();
    let leaf = laboratory.good_leaf();
    let authority = &laboratory.authority;
    let device = laboratory
        .judge(&object(vec![leaf, authority.sub_der().to_vec()]))
        .unwrap();

    let spki = laboratory.device.subject_public_key_info();
    assert_eq!(device.spki_sha256, <[u8; 32]>::from(Sha256::digest(&spki)));
    assert_eq!(device.spki_der, spki);
    assert_eq!(device.key, KeyKind::P256);
    assert_eq!(device.serial, Attested::Good(SERIAL.to_owned()));
    assert_eq!(device.udid, Attested::Good(UDID.to_owned()));
    assert_eq!(device.model, Attested::Good("J413AP".to_owned()));
    let version = |text: &str| Attested::Good(text.parse().unwrap());
    assert_eq!(device.os_version, version("15.5"));
    assert_eq!(device.sepos_version, version("15.5"));
    assert_eq!(device.llb_version, version("11881.121.1"));
    assert_eq!(
        device.sip,
        Attested::Good(SystemIntegrityProtection::Enabled)
    );
    assert_eq!(device.secure_boot, Attested::Good(SecureBoot::Full));
    assert_eq!(
        device.kernel_extensions,
        Attested::Good(KernelExtensions::NotAllowed)
    );
    assert_eq!(device.unknown_extensions, []);
    assert_eq!(device.not_before, NOW - 86_400);
    assert_eq!(device.not_after, NOW + 90 * 86_400);
    assert_eq!(
        device.root_sha256,
        <[u8; 32]>::from(Sha256::digest(authority.root_der()))
    );
    assert_eq!(device.root_name, "test laboratory");
    assert!(device.laboratory);
}

#[test]
fn scenario_04_what_is_not_attested_is_neither_good_nor_bad() {
    let laboratory = Laboratory::new();
    let leaf = laboratory.leaf_of(&DeviceProperties::iphone_ios16(SERIAL, UDID));
    let leaf = leaf.sign(laboratory.authority.sub_key()).unwrap();
    let chain = vec![leaf, laboratory.authority.sub_der().to_vec()];
    let device = laboratory.judge(&object(chain)).unwrap();
    assert_eq!(device.check_identity(Attribute::Serial, SERIAL), Ok(()));
    assert_eq!(device.check_identity(Attribute::Udid, UDID), Ok(()));
    assert_eq!(
        device.sepos_version,
        Attested::Good("16.4".parse().unwrap())
    );
    assert_eq!(device.model, Attested::NotAttested);
    assert_eq!(device.os_version, Attested::NotAttested);
    assert_eq!(device.llb_version, Attested::NotAttested);
    assert_eq!(device.sip, Attested::NotAttested);
    assert_eq!(device.secure_boot, Attested::NotAttested);
    assert_eq!(device.kernel_extensions, Attested::NotAttested);
}

#[test]
fn scenario_05_posture_is_good_or_bad_as_attested() {
    let laboratory = Laboratory::new();
    for (sip, secure_boot, kernel_extensions, good) in [
        (0, "Full Security", 0, true),
        (1, "Reduced Security", 1, false),
        (2, "Permissive Security", 2, false),
        (200, "full security", 200, false),
        (255, "Full Security ", 255, false),
    ] {
        let leaf = laboratory.leaf_of(&DeviceProperties {
            sip: Some(sip),
            secure_boot: Some(secure_boot.to_owned()),
            kernel_extensions: Some(kernel_extensions),
            ..DeviceProperties::mac(SERIAL, UDID)
        });
        let leaf = leaf.sign(laboratory.authority.sub_key()).unwrap();
        let chain = vec![leaf, laboratory.authority.sub_der().to_vec()];
        let device = laboratory.judge(&object(chain)).unwrap();
        assert!(device.sip.attested().is_some());
        assert_eq!(device.sip.is_good(), good, "{sip}");
        assert_eq!(device.secure_boot.to_string(), secure_boot);
        assert_eq!(device.secure_boot.is_good(), good, "{secure_boot}");
        assert!(device.kernel_extensions.attested().is_some());
        assert_eq!(
            device.kernel_extensions.is_good(),
            good,
            "{kernel_extensions}"
        );
    }
}

#[test]
fn a_version_without_numbers_is_attested_and_bad() {
    let laboratory = Laboratory::new();
    let leaf = laboratory.leaf_of(&DeviceProperties {
        os_version: Some("Sequoia".to_owned()),
        sepos_version: Some("15.5 (24F74)".to_owned()),
        llb_version: Some(" ".to_owned()),
        ..DeviceProperties::mac(SERIAL, UDID)
    });
    let leaf = leaf.sign(laboratory.authority.sub_key()).unwrap();
    let chain = vec![leaf, laboratory.authority.sub_der().to_vec()];
    let device = laboratory.judge(&object(chain)).unwrap();
    assert!(matches!(&device.os_version, Attested::Bad(version) if version.as_str() == "Sequoia"));
    let sepos = device.sepos_version.good().unwrap();
    assert_eq!(sepos.as_str(), "15.5 (24F74)");
    assert!(sepos.at_least(&"15.5".parse().unwrap()));
    assert_eq!(device.llb_version, Attested::NotAttested);
}

#[test]
fn an_identity_is_one_attribute_octet_for_octet() {
    let laboratory = Laboratory::new();
    let judge = |properties: &DeviceProperties| {
        let leaf = laboratory.leaf_of(properties);
        let leaf = leaf.sign(laboratory.authority.sub_key()).unwrap();
        let chain = vec![leaf, laboratory.authority.sub_der().to_vec()];
        laboratory.judge(&object(chain)).unwrap()
    };
    let device = judge(&DeviceProperties::mac(SERIAL, UDID));
    for (attribute, expected, verdict) in [
        (Attribute::Serial, SERIAL, Ok(())),
        (Attribute::Udid, UDID, Ok(())),
        (Attribute::Serial, UDID, Err(IdentityFault::Mismatch)),
        (Attribute::Udid, SERIAL, Err(IdentityFault::Mismatch)),
        (Attribute::Serial, "", Err(IdentityFault::Mismatch)),
        (
            Attribute::Serial,
            "c02xk0aajhd2",
            Err(IdentityFault::Mismatch),
        ),
        (
            Attribute::Serial,
            "C02XK0AAJHD2 ",
            Err(IdentityFault::Mismatch),
        ),
    ] {
        let found = device.check_identity(attribute, expected);
        assert_eq!(found, verdict, "{attribute:?} {expected:?}");
    }
    // Blank is absent, and absent equals nothing.
    let nobody = judge(&DeviceProperties {
        serial: Some(String::new()),
        ..DeviceProperties::default()
    });
    for attribute in [Attribute::Serial, Attribute::Udid] {
        let fault = IdentityFault::NotAttested(attribute);
        assert_eq!(nobody.check_identity(attribute, ""), Err(fault));
        assert_eq!(
            fault.as_str(),
            format!("{}-not-attested", attribute.as_str())
        );
    }
    assert_eq!(IdentityFault::Mismatch.as_str(), "identifier-mismatch");
}

#[test]
fn scenarios_06_08_and_11_every_good_shape_is_accepted() {
    let laboratory = Laboratory::new();
    for (name, object) in goods(&laboratory) {
        let device = laboratory.judge(&object);
        assert!(device.is_ok(), "{name}: {device:?}");
        let expected = match name {
            "p384-key" => KeyKind::P384,
            _ => KeyKind::P256,
        };
        assert_eq!(device.unwrap().key, expected, "{name}");
    }
}

#[test]
fn undocumented_apple_extensions_are_kept_raw() {
    let laboratory = Laboratory::new();
    let (_, object) = goods(&laboratory).pop().unwrap();
    let device = laboratory.judge(&object).unwrap();
    let kept: Vec<(&str, &[u8])> = device
        .unknown_extensions
        .iter()
        .map(|unknown| (unknown.oid.as_str(), unknown.value.as_slice()))
        .collect();
    assert_eq!(
        kept,
        [
            ("1.2.840.113635.100.8.9.3", b"\x01\xff".as_slice()),
            ("1.2.840.113635.100.8.13.4", b""),
        ]
    );
}

#[test]
fn validity_includes_both_of_its_ends() {
    let laboratory = Laboratory::new();
    let object = laboratory.with_leaf(|leaf| {
        leaf.not_before = NOW + 10;
        leaf.not_after = NOW + 20;
    });
    for (now, expected) in [
        (NOW + 9, Some(Reason::NotYetValid)),
        (NOW + 10, None),
        (NOW + 20, None),
        (NOW + 21, Some(Reason::Expired)),
    ] {
        assert_eq!(laboratory.judge_at(&object, now).err(), expected, "{now}");
    }
}

#[test]
fn a_remembered_intermediate_still_expires_and_so_does_the_root() {
    let laboratory = Laboratory::new();
    let object = laboratory.with_leaf(|leaf| leaf.not_after = NOW + 40 * 365 * 86_400);
    assert!(laboratory.judge(&object).is_ok());
    // The intermediate is good for 10 years.
    let later = NOW + 11 * 365 * 86_400;
    assert_eq!(laboratory.judge_at(&object, later), Err(Reason::Expired));

    // The root is good for 25 years, a longer intermediate does not help.
    let mut sub = laboratory.authority.sub_template(NOW);
    sub.not_after = NOW + 40 * 365 * 86_400;
    let sub = sub.sign(laboratory.authority.root_key()).unwrap();
    let mut leaf = laboratory.leaf();
    leaf.not_after = NOW + 40 * 365 * 86_400;
    let leaf = leaf.sign(laboratory.authority.sub_key()).unwrap();
    let object = crate::laboratory::object(vec![leaf, sub]);
    assert!(laboratory.judge(&object).is_ok());
    let later = NOW + 26 * 365 * 86_400;
    assert_eq!(laboratory.judge_at(&object, later), Err(Reason::Expired));
}

#[test]
fn laboratory_evidence_proves_nothing_under_apples_root_alone() {
    let laboratory = Laboratory::new();
    let apple = Verifier::new(vec![TrustAnchor::apple()], Box::new(RustCrypto));
    let nobody = Verifier::new(Vec::new(), Box::new(RustCrypto));
    for (name, object) in goods(&laboratory) {
        for verifier in [&apple, &nobody] {
            assert_eq!(
                verifier
                    .verify_object(&object, &FRESHNESS, NOW)
                    .map_err(|refusal| refusal.reason),
                Err(Reason::UnknownAnchor),
                "{name}"
            );
        }
    }
}

#[test]
fn cheap_checks_come_before_costly_ones() {
    // Two faults in one object: the earlier check of the documented order
    // gives the reason.
    let laboratory = Laboratory::new();
    for (object, expected) in [
        (
            laboratory.with_leaf(|leaf| {
                leaf.extensions.retain(|one| !one.oid.ends_with("8.11.1"));
                leaf.not_after = NOW - 1;
            }),
            Reason::FreshnessMissing,
        ),
        (
            laboratory.with_leaf(|leaf| {
                leaf.not_after = NOW - 1;
                leaf.issuer.clone_from(&leaf.subject);
            }),
            Reason::Expired,
        ),
        (
            laboratory.with_leaf(|leaf| {
                let serial = leaf.extension_mut("1.2.840.113635.100.8.9.1").unwrap();
                serial.value = b"\x0c\x01X".to_vec();
                leaf.not_after = NOW - 1;
            }),
            Reason::PropertyMalformed,
        ),
    ] {
        assert_eq!(laboratory.judge(&object), Err(expected));
    }
}

#[test]
fn an_inspection_shows_what_a_verdict_would_refuse() {
    let laboratory = Laboratory::new();
    let bytes = laboratory.with_leaf(|leaf| {
        leaf.extension_mut("1.2.840.113635.100.8.13.1")
            .unwrap()
            .value = b"0".to_vec();
    });
    let inspected = UnverifiedObject::decode(&bytes).unwrap();
    let leaf = inspected.certificates[0].as_ref().unwrap();
    assert_eq!(
        leaf.issuer,
        "C=ZZ,O=Assay Laboratory,CN=Laboratory Attestation Sub CA 1"
    );
    assert_eq!(leaf.signature_algorithm, "1.2.840.10045.4.3.3");
    let facts: Vec<_> = leaf
        .extensions
        .iter()
        .map(|one| match &one.decoded {
            Ok(value) => (one.name, Ok(value.as_deref())),
            Err(refusal) => (one.name, Err(refusal.reason)),
        })
        .collect();
    let freshness = hex::encode(FRESHNESS);
    assert_eq!(
        facts,
        [
            (Some("basicConstraints"), Ok(Some("CA: false"))),
            (Some("keyUsage"), Ok(Some("keyCertSign: false"))),
            (Some("serial number"), Ok(Some(SERIAL))),
            (Some("UDID"), Ok(Some(UDID))),
            (Some("model"), Ok(Some("J413AP"))),
            (Some("OS version"), Ok(Some("15.5"))),
            (Some("sepOS version"), Ok(Some("15.5"))),
            (Some("LLB version"), Ok(Some("11881.121.1"))),
            (Some("freshness code"), Ok(Some(freshness.as_str()))),
            (
                Some("System Integrity Protection"),
                Err(Reason::PropertyMalformed)
            ),
            (Some("secure boot"), Ok(Some("Full Security"))),
            (
                Some("third-party kernel extensions"),
                Ok(Some("not allowed"))
            ),
        ]
    );
}
