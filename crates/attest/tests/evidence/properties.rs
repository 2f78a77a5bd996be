//! What a policy may ask of an attested property.

use assay_attest::{Attested, AttestedDevice, Attribute, IdentityFault, SecureBoot};
use assay_simulator::evidence::DeviceProperties;

use crate::laboratory::{Laboratory, SERIAL, UDID, object};

fn attested(properties: &DeviceProperties) -> AttestedDevice {
    let laboratory = Laboratory::new();
    let leaf = laboratory.leaf_of(properties);
    let leaf = leaf.sign(laboratory.authority.sub_key()).unwrap();
    let chain = vec![leaf, laboratory.authority.sub_der().to_vec()];
    laboratory.judge(&object(chain)).unwrap()
}

#[test]
fn a_version_without_numbers_is_attested_and_bad() {
    let device = attested(&DeviceProperties {
        os_version: Some("Sequoia".to_owned()),
        sepos_version: Some("15.5 (24F74)".to_owned()),
        llb_version: Some(" ".to_owned()),
        ..DeviceProperties::mac(SERIAL, UDID)
    });
    assert!(matches!(&device.os_version, Attested::Bad(version) if version.as_str() == "Sequoia"));
    let sepos = device.sepos_version.good().unwrap();
    assert_eq!(sepos.as_str(), "15.5 (24F74)");
    assert!(sepos.at_least(&"15.5".parse().unwrap()));
    assert_eq!(device.llb_version, Attested::NotAttested);
}

#[test]
fn only_full_security_is_good() {
    for (text, expected) in [
        ("Full Security", Attested::Good(SecureBoot::Full)),
        ("Reduced Security", Attested::Bad(SecureBoot::Reduced)),
        ("Permissive Security", Attested::Bad(SecureBoot::Permissive)),
        (
            "full security",
            Attested::Bad(SecureBoot::Other("full security".to_owned())),
        ),
        (" ", Attested::NotAttested),
    ] {
        let device = attested(&DeviceProperties {
            secure_boot: Some(text.to_owned()),
            ..DeviceProperties::mac(SERIAL, UDID)
        });
        assert_eq!(device.secure_boot, expected);
    }
}

#[test]
fn an_identity_is_one_attribute_octet_for_octet() {
    let device = attested(&DeviceProperties::mac(SERIAL, UDID));
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
    let nobody = attested(&DeviceProperties {
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
