//! What a property of Apple's means to a policy.

/// The meaning of a property, by the identifier's suffix in Apple's arc and
/// the value in words. The sources: Apple's schema `information.device.yaml`
/// (`DevicePropertiesAttestation`), and live certificates for the encodings.
pub(super) fn meaning(suffix: &str, value: Option<&str>) -> Option<&'static str> {
    let Some(value) = value else {
        return Some("blank: Apple's servers could not verify it, as good as left out");
    };
    Some(match (suffix, value) {
        ("9.1", _) => "the serial number; left out in user enrolment",
        ("9.2", _) => "the UDID, on a Mac the provisioning UDID; left out in user enrolment",
        ("9.4", _) => "the software update device id, which tells the hardware model",
        ("10.1", _) => "the version of the operating system; compare it number by number",
        ("10.2", _) => "the version of the Secure Enclave's operating system",
        ("10.3", _) => "the version of the low level bootloader",
        ("11.1", _) => {
            "ACME: the SHA-256 of the challenge's token; DeviceInformation: the nonce as it was sent"
        }
        ("13.1", "enabled") => "good: system files cannot be changed",
        ("13.1", "disabled") => "bad: system files can be changed",
        ("13.2", "Full Security") => "good: only systems that Apple signs for this Mac start",
        ("13.2", "Reduced Security") => "bad: any system that Apple ever signed starts",
        ("13.2", "Permissive Security") => "bad: a system that the owner signed starts",
        ("13.3", "not allowed") => "good: no kernel extension of another maker is loaded",
        ("13.3", _) => "bad: kernel extensions of other makers may be loaded",
        ("13.1" | "13.2", _) => "bad: no state that Apple documents",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::meaning;

    #[test]
    fn only_the_documented_good_states_are_good() {
        let good = |suffix, value| {
            meaning(suffix, value).is_some_and(|meaning| meaning.starts_with("good"))
        };
        for suffix in ["13.1", "13.2", "13.3"] {
            for value in [None, Some("unknown"), Some("0"), Some("full security")] {
                assert!(!good(suffix, value), "{suffix} {value:?}");
            }
        }
        for (suffix, value) in [
            ("13.1", "enabled"),
            ("13.2", "Full Security"),
            ("13.3", "not allowed"),
        ] {
            assert!(good(suffix, Some(value)), "{suffix} {value}");
        }
    }
}
