//! True evidence about a device in bad state: it verifies, and policy decides whether it is
//! accepted.

use super::{Fault, Outcome, Way::Properties};
use crate::evidence::DeviceProperties;

const SIP: &str = "the policy requires System Integrity Protection";
const SECURE_BOOT: &str = "the policy requires full secure boot";
const KERNEL_EXTENSIONS: &str = "the policy forbids third-party kernel extensions";

pub(super) const FAULTS: &[Fault] = &[
    posture(
        "sip-disabled",
        &[26],
        SIP,
        "System Integrity Protection is off.",
        |properties| properties.sip = Some(1),
    ),
    posture(
        "kernel-extensions-allowed",
        &[27],
        KERNEL_EXTENSIONS,
        "Third-party kernel extensions are allowed.",
        |properties| properties.kernel_extensions = Some(1),
    ),
    posture(
        "secure-boot-reduced",
        &[28],
        SECURE_BOOT,
        "Secure boot is at Reduced Security.",
        |properties| properties.secure_boot = Some("Reduced Security".to_owned()),
    ),
    posture(
        "secure-boot-permissive",
        &[28],
        SECURE_BOOT,
        "Secure boot is at Permissive Security.",
        |properties| properties.secure_boot = Some("Permissive Security".to_owned()),
    ),
    posture(
        "secure-boot-unknown",
        &[28],
        SECURE_BOOT,
        "Secure boot has a value that Apple does not document.",
        |properties| properties.secure_boot = Some("Some Security".to_owned()),
    ),
    posture(
        "os-15-4",
        &[29],
        "the policy requires a later version of the operating system",
        "The operating system is of version 15.4.",
        |properties| {
            properties.os_version = Some("15.4".to_owned());
            properties.sepos_version = Some("15.4".to_owned());
        },
    ),
    posture(
        "os-15-10",
        &[29],
        "the policy requires a later version than 15.10 (15.9 is an earlier one)",
        "The operating system is of version 15.10, which is later than 15.9.",
        |properties| {
            properties.os_version = Some("15.10".to_owned());
            properties.sepos_version = Some("15.10".to_owned());
        },
    ),
    posture(
        "os-blank",
        &[30],
        "the policy requires a version of the operating system",
        "The version of the operating system is empty.",
        |properties| properties.os_version = Some(String::new()),
    ),
    posture(
        "sip-absent",
        &[30],
        SIP,
        "The authority does not attest System Integrity Protection.",
        |properties| properties.sip = None,
    ),
    posture(
        "secure-boot-blank",
        &[30],
        SECURE_BOOT,
        "Secure boot is empty.",
        |properties| properties.secure_boot = Some(String::new()),
    ),
];

const fn posture(
    name: &'static str,
    scenarios: &'static [u16],
    unless: &'static str,
    meaning: &'static str,
    change: fn(&mut DeviceProperties),
) -> Fault {
    Fault {
        name,
        scenarios,
        meaning,
        outcome: Outcome::Accepted { unless },
        way: Properties(change),
    }
}
