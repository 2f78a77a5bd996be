//! What a property of Apple's means to a policy.

use assay_attest::Property;

/// The meaning of a property (`None`: of the freshness code) by its value in
/// words. The sources: Apple's schema `information.device.yaml`
/// (`DevicePropertiesAttestation`), and live certificates for the encodings.
pub(super) fn meaning(property: Option<Property>, value: Option<&str>) -> &'static str {
    let Some(value) = value else {
        return "blank: Apple's servers could not verify it, as good as left out";
    };
    let Some(property) = property else {
        return "ACME: the SHA-256 of the challenge's token; DeviceInformation: the nonce as it was sent";
    };
    match property {
        Property::Serial => "the serial number; left out in user enrolment",
        Property::Udid => "the UDID, on a Mac the provisioning UDID; left out in user enrolment",
        Property::Model => "the software update device id, which tells the hardware model",
        Property::OsVersion => "the version of the operating system; compare it number by number",
        Property::SeposVersion => "the version of the Secure Enclave's operating system",
        Property::LlbVersion => "the version of the low level bootloader",
        Property::Sip => match value {
            "enabled" => "good: system files cannot be changed",
            "disabled" => "bad: system files can be changed",
            _ => "bad: no state that Apple documents",
        },
        Property::SecureBoot => match value {
            "Full Security" => "good: only systems that Apple signs for this Mac start",
            "Reduced Security" => "bad: any system that Apple ever signed starts",
            "Permissive Security" => "bad: a system that the owner signed starts",
            _ => "bad: no state that Apple documents",
        },
        Property::KernelExtensions => match value {
            "not allowed" => "good: no kernel extension of another maker is loaded",
            _ => "bad: kernel extensions of other makers may be loaded",
        },
    }
}

#[cfg(test)]
mod tests {
    use assay_attest::Property::{KernelExtensions, SecureBoot, Sip};

    use super::meaning;

    #[test]
    fn only_the_documented_good_states_are_good() {
        let good = |property, value| meaning(Some(property), value).starts_with("good");
        for property in [Sip, SecureBoot, KernelExtensions] {
            for value in [None, Some("unknown"), Some("0"), Some("full security")] {
                assert!(!good(property, value), "{property:?} {value:?}");
            }
        }
        for (property, value) in [
            (Sip, "enabled"),
            (SecureBoot, "Full Security"),
            (KernelExtensions, "not allowed"),
        ] {
            assert!(good(property, Some(value)), "{property:?} {value}");
        }
    }
}
