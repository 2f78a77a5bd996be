use super::Attribute;

/// What the first gate decided about an identifier: kept, so that the later
/// gates and an operator see what it was admitted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The attested attribute that the identifier is compared with.
    pub attribute: Attribute,
    /// The rule that let it in; absent in records of a layout before 7.
    pub rule: Option<AdmissionRule>,
}

/// A rule of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionRule {
    /// Every device that proves itself may order.
    AnyAttested,
    /// The device is in the inventory.
    Listed,
}

impl AdmissionRule {
    const ALL: [Self; 2] = [Self::AnyAttested, Self::Listed];

    /// Its name, as configuration and records have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnyAttested => "any-attested",
            Self::Listed => "listed",
        }
    }

    /// The rule of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }
}
