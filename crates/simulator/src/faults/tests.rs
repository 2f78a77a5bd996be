use std::collections::HashSet;

use super::*;
use crate::corpus;

#[test]
fn every_fault_has_a_name_of_its_own_and_a_sentence() {
    let mut names = HashSet::new();
    let goods = Good::all().map(|good| (good.name(), good.meaning()));
    let faults = Fault::all().map(|fault| (fault.name(), fault.meaning()));
    for (name, meaning) in goods.chain(faults) {
        assert!(names.insert(name), "{name} is there twice");
        assert!(
            name.bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
            "{name}"
        );
        assert!(meaning.ends_with('.'), "{name}: {meaning}");
    }
    assert!(names.len() > 100, "{}", names.len());
    let found = Fault::find("sip-as-text").map(Fault::scenarios);
    assert_eq!(found, Some([24].as_slice()));
    assert!(Fault::find("none").is_none());
}

#[test]
fn scenario_125_every_negative_of_evidence_and_answer_has_a_fault() {
    let covered: HashSet<u16> = Fault::all()
        .flat_map(|fault| fault.scenarios())
        .copied()
        .collect();
    // 34 is about the server's inventory, 35 and 36 about codes, which are not forged.
    let of_the_device = (17..=52).filter(|scenario| ![34, 35, 36].contains(scenario));
    for scenario in of_the_device {
        assert!(covered.contains(&scenario), "{scenario}");
    }
}

#[test]
fn each_forgery_is_another_and_the_same_each_time() {
    let authority = corpus::authority().unwrap();
    let mac = DeviceProperties::mac(corpus::SERIAL, corpus::UDID);
    let device = corpus::device(mac, crate::KeyType::P256).unwrap();
    let forger = corpus::forger(&authority, &device);
    let mut objects = HashSet::new();
    for fault in Fault::all() {
        let name = fault.name();
        if !fault.is_forgeable() {
            let forged = fault.forge(&forger);
            assert!(
                matches!(forged, Err(ForgeError::InTheRequests { .. })),
                "{name}"
            );
            continue;
        }
        let forged = fault.forge(&forger).unwrap();
        assert_eq!(forged, fault.forge(&forger).unwrap(), "{name}");
        assert!(
            objects.insert(forged.attestation_object()),
            "{name} is like another"
        );
    }
    let good = Good::usual().forge(&forger).unwrap();
    let by_the_authority = authority
        .attest(
            &device.properties,
            &device.spki_der(),
            &corpus::freshness(),
            corpus::NOW,
        )
        .unwrap();
    assert_eq!(
        good.attestation_object(),
        by_the_authority.attestation_object()
    );
    assert!(objects.insert(good.attestation_object()));
}

#[test]
fn what_a_device_cannot_have_is_an_error() {
    let authority = corpus::authority().unwrap();
    let properties = DeviceProperties::iphone("123", "456");
    let device = corpus::device(properties, crate::KeyType::P256).unwrap();
    let forger = corpus::forger(&authority, &device);
    for name in ["serial-in-other-case", "sip-absent"] {
        let forged = Fault::find(name).unwrap().forge(&forger);
        assert!(
            matches!(forged, Err(ForgeError::NoDifference { name: told }) if told == name),
            "{name}"
        );
    }
}
