use std::sync::Mutex;

use super::*;
use crate::domain::samples::identifier;

const ASSIGNER: &str = "1.2.840.113635";
const UDID: &str = "00008112-001A2B3C4D5E6F70";

/// A list with one name that remembers which names it was asked for.
struct Known {
    name: &'static str,
    attribute: Attribute,
    asked: Mutex<Vec<String>>,
}

struct Down;

#[async_trait]
impl Inventory for &'static Known {
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable> {
        self.asked.lock().unwrap().push(name.to_owned());
        Ok((name == self.name).then_some(self.attribute))
    }

    async fn other_attribute(&self, name: &str) -> Option<(Attribute, String)> {
        (name == self.name).then(|| (Attribute::Udid, UDID.to_owned()))
    }
}

#[async_trait]
impl Inventory for Down {
    async fn find(&self, _: &str) -> Result<Option<Attribute>, InventoryUnavailable> {
        Err(InventoryUnavailable("no route".to_owned()))
    }
}

fn policy(admission: Admission, assigners: &[&str]) -> AdmissionPolicy {
    AdmissionPolicy {
        admission,
        assigners: (assigners.iter().copied())
            .map(|oid| DottedOid::parse(oid).unwrap())
            .collect(),
    }
}

fn any_attested(bind: IdentifierBinding) -> AdmissionPolicy {
    policy(Admission::AnyAttested { bind }, &[])
}

fn known(attribute: Attribute) -> &'static Known {
    Box::leak(Box::new(Known {
        name: "C02A",
        attribute,
        asked: Mutex::default(),
    }))
}

fn listed(attribute: Attribute) -> AdmissionPolicy {
    policy(Admission::Listed(Arc::new(known(attribute))), &[])
}

fn permanent(value: &str) -> Identifier {
    identifier("permanent-identifier", value)
}

fn hardware(value: &str, hw_type: &str) -> Identifier {
    identifier("hardware-module", &format!("{value}/{hw_type}"))
}

async fn admit(
    policy: &AdmissionPolicy,
    identifier: &Identifier,
) -> Result<Admitted, IdentifierFault> {
    policy.admit(identifier).await.unwrap()
}

#[tokio::test]
async fn without_a_list_a_name_is_bound_as_the_operator_says() {
    use Attribute::{Serial, Udid};
    for (bind, name, attribute) in [
        (IdentifierBinding::ByForm, "C02A", Serial),
        (IdentifierBinding::ByForm, UDID, Udid),
        (IdentifierBinding::Serial, "C02A", Serial),
        (IdentifierBinding::Serial, UDID, Serial),
        (IdentifierBinding::Udid, "C02A", Udid),
        (IdentifierBinding::Udid, UDID, Udid),
    ] {
        assert_eq!(bind.attribute(name), attribute);
        let policy = any_attested(bind);
        let admitted = |attribute| {
            Ok(Admitted {
                attribute,
                rule: Some(AdmissionRule::AnyAttested),
            })
        };
        let found = admit(&policy, &permanent(name)).await;
        assert_eq!(found, admitted(attribute), "{bind:?} {name}");
        // A hardware type names the attribute itself.
        for (hw_type, attribute) in [(APPLE_SERIAL, Serial), (APPLE_UDID, Udid)] {
            let found = admit(&policy, &hardware(name, hw_type)).await;
            assert_eq!(found, admitted(attribute), "{bind:?} {name}");
        }
        assert_eq!(policy.listed_other_attribute(&permanent(name)).await, None);
    }
}

#[tokio::test]
async fn a_list_says_which_attribute_a_name_is() {
    for attribute in [Attribute::Serial, Attribute::Udid] {
        let policy = listed(attribute);
        let admitted = Ok(Admitted {
            attribute,
            rule: Some(AdmissionRule::Listed),
        });
        assert_eq!(admit(&policy, &permanent("C02A")).await, admitted);
        for (hw_type, named) in [
            (APPLE_SERIAL, Attribute::Serial),
            (APPLE_UDID, Attribute::Udid),
        ] {
            let found = admit(&policy, &hardware("C02A", hw_type)).await;
            match named == attribute {
                true => assert_eq!(found, admitted),
                // Listed, but as the other attribute.
                false => assert!(matches!(found, Err(IdentifierFault::NotAdmitted(_)))),
            }
        }
        let beside = policy.listed_other_attribute(&permanent("C02A")).await;
        assert_eq!(beside, Some((Attribute::Udid, UDID.to_owned())));
        assert_eq!(
            policy.listed_other_attribute(&permanent("C02B")).await,
            None
        );
    }
}

#[tokio::test]
async fn what_is_not_listed_is_refused_by_its_name() {
    let policy = listed(Attribute::Serial);
    for (identifier, name) in [
        (permanent("C02B"), "C02B"),
        (permanent("c02a"), "c02a"),
        (hardware("C02B", APPLE_SERIAL), "C02B"),
    ] {
        let expected = NotAdmitted {
            name: name.to_owned(),
            hints: Vec::new(),
        };
        let refused = admit(&policy, &identifier).await;
        let expected = IdentifierFault::NotAdmitted(Box::new(expected));
        assert_eq!(refused, Err(expected));
    }
}

#[tokio::test]
async fn other_hardware_types_cannot_be_proven() {
    for policy in [
        any_attested(IdentifierBinding::ByForm),
        listed(Attribute::Serial),
    ] {
        for hw_type in [
            "1.2.3",
            "1.2.840.113635.100.8.9",
            "1.2.840.113635.100.8.9.3",
        ] {
            let refused = admit(&policy, &hardware("C02A", hw_type)).await;
            assert_eq!(refused, Err(IdentifierFault::HardwareTypeNotProvable));
        }
    }
}

#[tokio::test]
async fn only_a_configured_assigner_may_be_named() {
    let list = known(Attribute::Serial);
    for (assigners, name, admitted) in [
        (&[][..], "C02A", true),
        (&[ASSIGNER], "C02A", true),
        (&[ASSIGNER], "C02A/1.2.840.113635", true),
        (&["1.2.3", ASSIGNER], "C02A/1.2.840.113635", true),
        (&[], "C02A/1.2.840.113635", false),
        (&["1.2.3"], "C02A/1.2.840.113635", false),
        (&[ASSIGNER], "C02A/1.2.3", false),
    ] {
        list.asked.lock().unwrap().clear();
        let policy = policy(Admission::Listed(Arc::new(list)), assigners);
        let found = admit(&policy, &permanent(name)).await;
        match admitted {
            true => assert!(found.is_ok(), "{name}"),
            false => assert_eq!(found, Err(IdentifierFault::AssignerNotAllowed)),
        }
        // The list is only asked for the device, not for refused identifiers.
        let asked = list.asked.lock().unwrap().clone();
        let expected: &[&str] = if admitted { &["C02A"] } else { &[] };
        assert_eq!(asked, expected);
    }
}

#[tokio::test]
async fn a_list_out_of_reach_is_a_fault_and_no_refusal() {
    let policy = policy(Admission::Listed(Arc::new(Down)), &[]);
    let fault = policy.admit(&permanent("C02A")).await.unwrap_err();
    assert_eq!(fault, Error::Inventory("no route".to_owned()));
    assert_eq!(
        policy.listed_other_attribute(&permanent("C02A")).await,
        None
    );
}
