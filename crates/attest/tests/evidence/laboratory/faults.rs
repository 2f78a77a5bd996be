//! Objects with one fault each, and the reason that must be given.

mod certificate;
mod object;
mod path;
mod property;

use assay_attest::Reason;

use super::Laboratory;

const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const KEY_USAGE: &str = "2.5.29.15";
const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";

pub(crate) struct Fault {
    /// The number of the acceptance scenario, 0 where none has this fault.
    pub(crate) scenario: u8,
    pub(crate) name: &'static str,
    pub(crate) reason: Reason,
    pub(crate) object: Vec<u8>,
}

/// Every fault of this crate's concern.
pub(crate) fn faults(laboratory: &Laboratory) -> Vec<Fault> {
    let mut all = object::object_faults(laboratory);
    all.extend(property::property_faults(laboratory));
    all.extend(certificate::certificate_faults(laboratory));
    all.extend(path::path_faults(laboratory));
    all
}

fn fault(scenario: u8, name: &'static str, reason: Reason, object: Vec<u8>) -> Fault {
    Fault {
        scenario,
        name,
        reason,
        object,
    }
}
