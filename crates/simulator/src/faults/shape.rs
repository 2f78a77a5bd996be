//! Valid evidence or a fault, by one name.

use super::{Fault, ForgeError, Forger, Forgery, Good, Misstep, Outcome};

/// The shape of a device's evidence: valid, or with one fault.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Valid evidence.
    Good(&'static Good),
    /// One fault, in the evidence or in the requests.
    Fault(&'static Fault),
}

impl Default for Shape {
    /// The usual shape, `none`.
    fn default() -> Self {
        Self::Good(Good::usual())
    }
}

impl Shape {
    /// All shapes: first the valid ones.
    pub fn all() -> impl Iterator<Item = Self> {
        let faults = Fault::all().map(Self::Fault);
        Good::all().map(Self::Good).chain(faults)
    }

    /// The shape with this name; `none` is the usual one.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|shape| shape.name() == name)
    }

    /// The name, in kebab case. It is stable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good(good) => good.name(),
            Self::Fault(fault) => fault.name(),
        }
    }

    /// The fault, if there is one.
    #[must_use]
    pub fn fault(self) -> Option<&'static Fault> {
        match self {
            Self::Good(_) => None,
            Self::Fault(fault) => Some(fault),
        }
    }

    /// Whether it is the usual shape, `none`.
    #[must_use]
    pub fn is_usual(self) -> bool {
        self.name() == Good::usual().name()
    }

    /// Whether the evidence verifies: a policy alone can refuse it.
    #[must_use]
    pub fn verifies(self) -> bool {
        let fault = self.fault().map(Fault::outcome);
        fault.is_none_or(|outcome| matches!(outcome, Outcome::Accepted { .. }))
    }

    pub(crate) fn misstep(self) -> Option<Misstep> {
        self.fault().and_then(Fault::misstep)
    }

    /// Makes the evidence.
    ///
    /// # Errors
    /// The fault is in the requests and not in the evidence; it does not apply to the device; a key
    /// cannot sign.
    pub fn forge(self, forger: &Forger<'_>) -> Result<Forgery, ForgeError> {
        match self {
            Self::Good(good) => good.forge(forger),
            Self::Fault(fault) => fault.forge(forger),
        }
    }
}
