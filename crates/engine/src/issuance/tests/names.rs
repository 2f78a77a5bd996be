use assay_ca::{HardwareModuleName, PermanentIdentifierName};
use proptest::prelude::*;

use super::*;
use crate::domain::samples::identifier;

const OID: &str = "1.2.840.113635";

fn permanent(value: &str, assigner: Option<&str>) -> PermanentIdentifierName {
    PermanentIdentifierName {
        value: Some(value.to_owned()),
        assigner: assigner.map(str::to_owned),
    }
}

fn module(hw_type: &str, serial: &[u8]) -> HardwareModuleName {
    HardwareModuleName {
        hw_type: hw_type.to_owned(),
        serial: serial.to_vec(),
    }
}

/// Requests no names.
fn nothing() -> RequestedNames {
    RequestedNames {
        subject_is_empty: true,
        ..RequestedNames::default()
    }
}

fn profile(csr_names: CsrNames) -> Profile {
    Profile {
        csr_names,
        ..Profile::privacy_preserving()
    }
}

/// Checks the names under a profile that drops names and one that refuses them.
fn judge(names: &RequestedNames, identifiers: &[Identifier]) -> Result<(), CsrRefusal> {
    let order = order(identifiers);
    let ignored = check_names(names, &order, &profile(CsrNames::Ignore));
    let refused = check_names(names, &order, &profile(CsrNames::Refuse));
    assert_eq!(ignored, refused, "{names:?}");
    ignored
}

#[test]
fn no_csr_asks_for_a_ca() {
    let names = RequestedNames {
        wants_ca: true,
        ..nothing()
    };
    let ordered = [identifier("permanent-identifier", "C02A")];
    assert_eq!(judge(&names, &ordered), Err(CsrRefusal::CaRequested));
    assert_eq!(judge(&nothing(), &ordered), Ok(()));
}

#[test]
fn a_permanent_identifier_is_an_ordered_one_octet_for_octet() {
    let not_ordered = Err(CsrRefusal::NameNotOrdered("permanent identifier"));
    let plain = [identifier("permanent-identifier", "C02A")];
    let assigned = [identifier("permanent-identifier", &format!("C02A/{OID}"))];
    let hardware = [identifier("hardware-module", &format!("C02A/{OID}"))];
    let judged = |name, ordered: &[Identifier]| {
        let names = RequestedNames {
            permanent_identifiers: vec![name],
            ..nothing()
        };
        judge(&names, ordered)
    };
    assert_eq!(judged(permanent("C02A", None), &plain), Ok(()));
    assert_eq!(judged(permanent("C02A", Some(OID)), &assigned), Ok(()));
    for (name, ordered) in [
        (permanent("C02a", None), &plain),
        (permanent("C02A ", None), &plain),
        (permanent("", None), &plain),
        (permanent("C02A", Some(OID)), &plain),
        (permanent("C02A", None), &assigned),
        (permanent("C02A", Some("1.2.3")), &assigned),
        (permanent("C02B", Some(OID)), &assigned),
        (permanent("C02A", Some(OID)), &hardware),
        (permanent("C02A", None), &hardware),
    ] {
        assert_eq!(judged(name.clone(), ordered), not_ordered, "{name:?}");
    }
    for assigner in [None, Some(OID.to_owned())] {
        let name = PermanentIdentifierName {
            value: None,
            assigner,
        };
        assert_eq!(judged(name.clone(), &plain), not_ordered);
        assert_eq!(judged(name, &assigned), not_ordered);
    }
}

#[test]
fn a_hardware_module_is_an_ordered_one_octet_for_octet() {
    let not_ordered = Err(CsrRefusal::NameNotOrdered("hardware module"));
    let ordered = [identifier("hardware-module", &format!("C02A/{OID}"))];
    let permanent = [identifier("permanent-identifier", &format!("C02A/{OID}"))];
    let judged = |name, ordered: &[Identifier]| {
        let names = RequestedNames {
            hardware_modules: vec![name],
            ..nothing()
        };
        judge(&names, ordered)
    };
    assert_eq!(judged(module(OID, b"C02A"), &ordered), Ok(()));
    for (name, ordered) in [
        (module(OID, b"C02a"), &ordered),
        (module(OID, b"C02A\0"), &ordered),
        (module("1.2.3", b"C02A"), &ordered),
        (module(OID, b""), &ordered),
        (module(OID, b"C02A"), &permanent),
    ] {
        assert_eq!(judged(name.clone(), ordered), not_ordered, "{name:?}");
    }
}

/// Adds a name of one kind to a request.
type SetName = fn(&mut RequestedNames, Vec<String>);

#[test]
fn each_kind_of_other_name_is_refused_where_the_profile_says_so() {
    let text = || vec!["x".to_owned()];
    let ordered = order(&[identifier("permanent-identifier", "C02A")]);
    let kinds: [(&str, SetName); 7] = [
        ("subject", |names, _| names.subject_is_empty = false),
        ("DNS name", |names, text| names.dns = text),
        ("mail address", |names, text| names.emails = text),
        ("URI", |names, text| names.uris = text),
        ("IP address", |names, _| {
            names.ips = vec![[127, 0, 0, 1].into()]
        }),
        ("user principal name", |names, text| names.upns = text),
        ("name of another kind", |names, _| names.others = 1),
    ];
    for (what, set) in kinds {
        let mut names = nothing();
        set(&mut names, text());
        let refused = check_names(&names, &ordered, &profile(CsrNames::Refuse));
        assert_eq!(refused, Err(CsrRefusal::NamesRefused(what)));
        let ignored = check_names(&names, &ordered, &profile(CsrNames::Ignore));
        assert_eq!(ignored, Ok(()));
    }
    let clean = check_names(&nothing(), &ordered, &profile(CsrNames::Refuse));
    assert_eq!(clean, Ok(()));
}

const DEVICES: [&str; 3] = ["A", "B", "C"];

/// A name of a device: whether it is a hardware module, which device, and
/// whether it has an OID.
fn device_name() -> impl Strategy<Value = (bool, usize, bool)> {
    (any::<bool>(), 0..DEVICES.len(), any::<bool>())
}

proptest! {
    /// Device names pass exactly if each of them is ordered, whatever their
    /// number and order.
    #[test]
    fn device_names_are_a_subset_of_the_orders(
        ordered in prop::collection::hash_set(device_name(), 1..4),
        asked in prop::collection::vec(device_name(), 0..4),
    ) {
        // A hardware module always has a type.
        let whole = |(is_module, device, with_oid): (bool, usize, bool)| {
            (is_module, device, with_oid || is_module)
        };
        let ordered: Vec<_> = ordered.into_iter().map(whole).collect();
        let asked: Vec<_> = asked.into_iter().map(whole).collect();
        let identifiers: Vec<_> = ordered.iter().map(|(is_module, device, with_oid)| {
            let kind = if *is_module { "hardware-module" } else { "permanent-identifier" };
            let oid = if *with_oid { format!("/{OID}") } else { String::new() };
            identifier(kind, &format!("{}{oid}", DEVICES[*device]))
        }).collect();
        let mut names = nothing();
        for (is_module, device, with_oid) in &asked {
            let device = DEVICES[*device];
            if *is_module {
                names.hardware_modules.push(module(OID, device.as_bytes()));
            } else {
                let name = permanent(device, with_oid.then_some(OID));
                names.permanent_identifiers.push(name);
            }
        }
        let expected = asked.iter().all(|one| ordered.contains(one));
        prop_assert_eq!(judge(&names, &identifiers).is_ok(), expected);
    }
}
