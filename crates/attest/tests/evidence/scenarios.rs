//! The acceptance scenarios that this crate decides.

use std::collections::HashSet;

use assay_attest::{
    Attested, Attribute, KernelExtensions, KeyKind, Reason, RustCrypto, SecureBoot,
    SystemIntegrityProtection, TrustAnchor, UnverifiedObject, Verifier,
};
use assay_simulator::{
    evidence::DeviceProperties,
    faults::{Fault, Good, Outcome},
};
use sha2::{Digest, Sha256};

use crate::laboratory::{FRESHNESS, Laboratory, NOW, SERIAL, UDID, goods::goods, object};

/// Judges every fault that the evidence of a scenario can have; without a number, those that
/// belong to no scenario.
fn refused(scenario: Option<u16>) {
    let laboratory = Laboratory::new();
    let forger = laboratory.forger();
    let mut seen = 0;
    for fault in Fault::all() {
        let Outcome::Evidence { reason } = fault.outcome() else {
            continue;
        };
        let scenarios = fault.scenarios();
        if scenario.map_or(scenarios.is_empty(), |number| scenarios.contains(&number)) {
            let object = fault.forge(&forger).unwrap().attestation_object();
            let verdict = laboratory.judge(&object).map_err(Reason::as_str);
            assert_eq!(verdict.err(), Some(reason), "{}", fault.name());
            seen += 1;
        }
    }
    assert!(seen > 0, "no fault has this number");
}

macro_rules! refusals {
    ($($name:ident: $scenario:expr;)*) => {
        $(
            #[test]
            fn $name() {
                refused($scenario);
            }
        )*
    };
}

refusals! {
    scenario_17_leaf_without_freshness_is_refused: Some(17);
    scenario_18_freshness_of_another_token_is_refused: Some(18);
    scenario_19_freshness_of_the_key_authorization_is_refused: Some(19);
    scenario_20_freshness_of_another_length_is_refused: Some(20);
    scenario_21_two_freshness_codes_are_refused: Some(21);
    scenario_22_a_property_twice_is_refused: Some(22);
    scenario_23_a_serial_in_der_is_refused: Some(23);
    scenario_24_sip_as_text_is_refused: Some(24);
    scenario_25_sip_in_another_encoding_is_refused: Some(25);
    scenario_38_an_unknown_root_is_refused: Some(38);
    scenario_39_a_chain_without_the_intermediate_is_refused: Some(39);
    scenario_40_an_issuer_that_may_not_issue_is_refused: Some(40);
    scenario_41_certificates_out_of_their_time_are_refused: Some(41);
    scenario_42_malformed_x5c_is_refused: Some(42);
    scenario_43_an_empty_object_is_refused: Some(43);
    scenario_44_cbor_of_another_type_is_refused: Some(44);
    scenario_45_bombs_are_refused: Some(45);
    scenario_46_repeated_keys_are_refused: Some(46);
    scenario_47_other_formats_are_refused: Some(47);
    scenario_48_tpm_with_an_apple_chain_is_refused: Some(48);
    faults_without_a_scenario_are_refused: None;
}

#[test]
fn every_reason_has_a_fault() {
    let reasons: HashSet<&str> = Fault::all()
        .filter_map(|fault| match fault.outcome() {
            Outcome::Evidence { reason } => Some(reason),
            _ => None,
        })
        .collect();
    for reason in Reason::ALL {
        // No attestation object can have this one.
        if *reason != Reason::FreshnessExpired {
            assert!(reasons.contains(reason.as_str()), "{reason}");
        }
    }
    assert_eq!(reasons.len(), Reason::ALL.len() - 1);
}

#[test]
fn evidence_about_another_device_or_one_in_bad_order_verifies() {
    let laboratory = Laboratory::new();
    let forger = laboratory.forger();
    let verified = Fault::all().filter(|fault| {
        fault.is_forgeable() && !matches!(fault.outcome(), Outcome::Evidence { .. })
    });
    let mut seen = 0;
    for fault in verified {
        let object = fault.forge(&forger).unwrap().attestation_object();
        assert!(laboratory.judge(&object).is_ok(), "{}", fault.name());
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn scenario_01_all_properties_of_a_mac_are_proved() {
    let laboratory = Laboratory::new();
    let leaf = laboratory.good_leaf();
    let authority = &laboratory.authority;
    let device = laboratory
        .judge(&object(vec![leaf, authority.sub_der().to_vec()]))
        .unwrap();

    let spki = laboratory.device.spki_der();
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
    let good = Good::find("undocumented-apple-extensions").unwrap();
    let object = good.forge(&laboratory.forger()).unwrap();
    let device = laboratory.judge(&object.attestation_object()).unwrap();
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
