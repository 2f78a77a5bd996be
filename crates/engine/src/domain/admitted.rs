use super::Attribute;

/// The decision of the first gate on an identifier, kept for the later gates
/// and the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The attested attribute that the identifier is compared with.
    pub attribute: Attribute,
    /// The rule that admitted it; absent in records of layouts before 7.
    pub rule: Option<AdmissionRule>,
}

/// An admission rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionRule {
    /// Every device with genuine evidence may order.
    AnyAttested,
    /// The device is in the inventory.
    Listed,
}

impl AdmissionRule {
    const ALL: [Self; 2] = [Self::AnyAttested, Self::Listed];

    /// Returns the name used in configuration and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnyAttested => "any-attested",
            Self::Listed => "listed",
        }
    }

    /// Parses a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }
}
