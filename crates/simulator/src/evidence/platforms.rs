//! Attested properties of devices by platform.
//!
//! The set of properties follows Apple's schema (`information.device.yaml`, key
//! `DevicePropertiesAttestation`):
//!
//! * from iOS 16, iPadOS 16, tvOS 16, watchOS 10, visionOS 1.0, macOS 14.0 on: serial number,
//!   UDID, sepOS version, freshness code;
//! * from iOS 17.2, iPadOS 17.2, tvOS 17.2, watchOS 10.2, visionOS 1.1, macOS 14.2 on: also model,
//!   OS version, LLB version;
//! * on macOS 14.2 and later: also SIP, secure boot, kernel extensions;
//! * in user enrolment: neither serial number nor UDID.
//!
//! Models, versions and bootloader versions look like real ones but belong to no existing device,
//! and the three need not fit together.

use super::DeviceProperties;

impl DeviceProperties {
    /// A Mac with all nine properties in good state: a MacBook Air (M2) with macOS 15.5.
    #[must_use]
    pub fn mac(serial: &str, udid: &str) -> Self {
        Self {
            sip: Some(0),
            secure_boot: Some("Full Security".to_owned()),
            kernel_extensions: Some(0),
            ..Self::present_day(serial, udid, "J413AP", "15.5", "11881.121.1")
        }
    }

    /// A Mac with all nine properties in good state: a MacBook Air (M4) with macOS 26.0.
    #[must_use]
    pub fn mac_macos26(serial: &str, udid: &str) -> Self {
        Self {
            sip: Some(0),
            secure_boot: Some("Full Security".to_owned()),
            kernel_extensions: Some(0),
            ..Self::present_day(serial, udid, "J713AP", "26.0", "13822.1.2")
        }
    }

    /// A Mac with macOS 14.0: serial number, UDID and sepOS only.
    #[must_use]
    pub fn mac_macos14(serial: &str, udid: &str) -> Self {
        Self::early(serial, udid, "14.0")
    }

    /// A current iPhone (14 Pro Max): versions and model, no macOS posture.
    #[must_use]
    pub fn iphone(serial: &str, udid: &str) -> Self {
        Self::present_day(serial, udid, "D74AP", "18.5", "11881.121.1")
    }

    /// An iPhone with iOS 16: serial number, UDID and sepOS only.
    #[must_use]
    pub fn iphone_ios16(serial: &str, udid: &str) -> Self {
        Self::early(serial, udid, "16.4")
    }

    /// An iPad Pro (M4) with iPadOS 18.5.
    #[must_use]
    pub fn ipad(serial: &str, udid: &str) -> Self {
        Self::present_day(serial, udid, "J717AP", "18.5", "11881.121.1")
    }

    /// An Apple TV 4K (third generation) with tvOS 18.5.
    #[must_use]
    pub fn apple_tv(serial: &str, udid: &str) -> Self {
        Self::present_day(serial, udid, "J255AP", "18.5", "11881.121.1")
    }

    /// An Apple Watch Ultra 2 with watchOS 11.5.
    #[must_use]
    pub fn watch(serial: &str, udid: &str) -> Self {
        Self::present_day(serial, udid, "N210AP", "11.5", "11881.121.1")
    }

    /// An Apple Vision Pro with visionOS 2.5.
    #[must_use]
    pub fn vision(serial: &str, udid: &str) -> Self {
        Self::present_day(serial, udid, "N301AP", "2.5", "11881.121.1")
    }

    /// A current iPhone in user enrolment: no identifying properties.
    #[must_use]
    pub fn user_enrolment() -> Self {
        Self {
            serial: None,
            udid: None,
            ..Self::iphone("", "")
        }
    }

    /// All property sets of this file, with their names in kebab case.
    #[must_use]
    pub fn platforms(serial: &str, udid: &str) -> [(&'static str, Self); 10] {
        [
            ("apple-tv", Self::apple_tv(serial, udid)),
            ("ipad", Self::ipad(serial, udid)),
            ("iphone", Self::iphone(serial, udid)),
            ("iphone-ios16", Self::iphone_ios16(serial, udid)),
            ("mac", Self::mac(serial, udid)),
            ("mac-macos14", Self::mac_macos14(serial, udid)),
            ("mac-macos26", Self::mac_macos26(serial, udid)),
            ("user-enrolment", Self::user_enrolment()),
            ("vision", Self::vision(serial, udid)),
            ("watch", Self::watch(serial, udid)),
        ]
    }

    fn early(serial: &str, udid: &str, version: &str) -> Self {
        Self {
            serial: Some(serial.to_owned()),
            udid: Some(udid.to_owned()),
            sepos_version: Some(version.to_owned()),
            ..Self::default()
        }
    }

    fn present_day(serial: &str, udid: &str, model: &str, version: &str, llb: &str) -> Self {
        Self {
            model: Some(model.to_owned()),
            os_version: Some(version.to_owned()),
            llb_version: Some(llb.to_owned()),
            ..Self::early(serial, udid, version)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::oids, DeviceProperties};

    #[test]
    fn each_platform_has_the_properties_of_its_time() {
        let four = [
            oids::SERIAL,
            oids::UDID,
            oids::SEPOS_VERSION,
            oids::FRESHNESS,
        ];
        let later = [oids::MODEL, oids::OS_VERSION, oids::LLB_VERSION];
        let posture = [oids::SIP, oids::SECURE_BOOT, oids::KERNEL_EXTENSIONS];
        for (name, properties) in DeviceProperties::platforms("SERIAL", "UDID") {
            let expected: Vec<&str> = match name {
                "iphone-ios16" | "mac-macos14" => four.to_vec(),
                "mac" | "mac-macos26" => [&four[..], &later, &posture].concat(),
                "user-enrolment" => [&four[2..], &later].concat(),
                _ => [&four[..], &later].concat(),
            };
            let extensions = properties.extensions(&[7; 32]);
            let mut found: Vec<&str> = extensions.iter().map(|one| one.oid.as_str()).collect();
            let mut expected = expected;
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{name}");
            assert!(extensions.iter().all(|one| !one.value.is_empty()), "{name}");
        }
    }
}
