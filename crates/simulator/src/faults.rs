//! Every fault of a device or an attacker in an enrolment, by name, with the reason that a correct
//! server gives.
//!
//! [`Fault::find`] returns one fault, [`Fault::all`] all of them. [`Fault::forge`] makes the broken
//! evidence. Faults in requests rather than in the evidence happen in an
//! [`Enrollment`](crate::Enrollment) with that fault. [`Good`] lists the shapes that verify, [`Shape`]
//! is one of either.

mod certificate;
mod encoding;
mod forger;
mod freshness;
mod good;
mod object;
mod path;
mod posture;
mod property;
mod request;
mod shape;
mod signature;

pub use forger::{ForgeError, Forger, Forgery};
pub use good::Good;
pub use shape::Shape;

pub(crate) use request::Misstep;

use crate::evidence::{CertificateTemplate, DeviceProperties};

/// A single fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    name: &'static str,
    scenarios: &'static [u16],
    meaning: &'static str,
    outcome: Outcome,
    way: Way,
}

/// The response of a correct server to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The evidence is refused, whatever was ordered: `badAttestationStatement`.
    Evidence {
        /// The validator's reason.
        reason: &'static str,
    },
    /// The evidence verifies, but is for another device than the ordered serial number:
    /// `badAttestationStatement`.
    Identity {
        /// The reason.
        reason: &'static str,
    },
    /// A request is refused.
    Request {
        /// The problem's type, without `urn:ietf:params:acme:error:`.
        problem: &'static str,
        /// The reason for the operator; `None` if the server only responds.
        reason: Option<&'static str>,
    },
    /// Accepted, unless a rule forbids it.
    Accepted {
        /// The rule that would refuse it.
        unless: &'static str,
    },
}

/// How a fault is produced.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Other device properties.
    Properties(fn(&mut DeviceProperties)),
    /// A modified leaf, signed after the modification.
    Leaf(fn(&mut CertificateTemplate, &Forger<'_>)),
    /// A modified intermediate, signed after the modification.
    Intermediate(fn(&mut CertificateTemplate)),
    /// Another chain.
    Chain(fn(&Forger<'_>) -> Result<Vec<Vec<u8>>, ForgeError>),
    /// Another object around the chain.
    Object(fn(&Forger<'_>) -> Result<Vec<u8>, ForgeError>),
    /// Valid evidence, wrong requests.
    Request(Misstep),
}

impl Fault {
    const fn evidence(
        name: &'static str,
        scenarios: &'static [u16],
        reason: &'static str,
        meaning: &'static str,
        way: Way,
    ) -> Self {
        Self {
            name,
            scenarios,
            meaning,
            outcome: Outcome::Evidence { reason },
            way,
        }
    }

    /// All faults.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        [
            freshness::FAULTS,
            property::FAULTS,
            posture::FAULTS,
            object::FAULTS,
            certificate::FAULTS,
            encoding::FAULTS,
            path::FAULTS,
            signature::FAULTS,
            request::FAULTS,
        ]
        .into_iter()
        .flatten()
    }

    /// The fault with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().find(|fault| fault.name == name)
    }

    /// The name, in kebab case. It is stable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The numbers of its acceptance scenarios; none if only the validator's own rules cover it.
    #[must_use]
    pub fn scenarios(&self) -> &'static [u16] {
        self.scenarios
    }

    /// What is wrong, in one sentence.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.meaning
    }

    /// The response of a correct server.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether [`forge`](Self::forge) can produce it. If not, it is in the requests.
    #[must_use]
    pub fn is_forgeable(&self) -> bool {
        !matches!(self.way, Way::Request(_))
    }

    /// The wrong step during enrolment, if the fault is not in the evidence.
    pub(crate) fn misstep(&self) -> Option<Misstep> {
        match self.way {
            Way::Request(misstep) => Some(misstep),
            _ => None,
        }
    }

    /// Makes the broken evidence. Everything else in it is correct.
    ///
    /// # Errors
    /// The fault is in the requests and not in the evidence; it does not apply to the device; a key
    /// cannot sign.
    pub fn forge(&self, forger: &Forger<'_>) -> Result<Forgery, ForgeError> {
        self.way.forge(self.name, forger)
    }
}

impl Way {
    fn forge(self, name: &'static str, forger: &Forger<'_>) -> Result<Forgery, ForgeError> {
        match self {
            Self::Properties(change) => {
                let mut properties = forger.device.properties.clone();
                change(&mut properties);
                if properties == forger.device.properties {
                    return Err(ForgeError::NoDifference { name });
                }
                let leaf = forger.leaf_of(&properties);
                forger.chain_of(&leaf).map(Forgery::Chain)
            }
            Self::Leaf(change) => {
                let mut leaf = forger.leaf();
                change(&mut leaf, forger);
                forger.chain_of(&leaf).map(Forgery::Chain)
            }
            Self::Intermediate(change) => {
                let mut sub = forger.authority.sub_template(forger.now);
                change(&mut sub);
                let sub = sub.sign(forger.authority.root_key())?;
                Ok(Forgery::Chain(vec![forger.good_leaf()?, sub]))
            }
            Self::Chain(make) => make(forger).map(Forgery::Chain),
            Self::Object(make) => make(forger).map(Forgery::Object),
            Self::Request(_) => Err(ForgeError::InTheRequests { name }),
        }
    }
}

impl Outcome {
    /// The reason that the operator sees.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Evidence { reason } | Self::Identity { reason } => Some(reason),
            Self::Request { reason, .. } => reason,
            Self::Accepted { .. } => None,
        }
    }

    /// The problem type that the client receives, without `urn:ietf:params:acme:error:`.
    #[must_use]
    pub fn problem(self) -> Option<&'static str> {
        match self {
            Self::Evidence { .. } | Self::Identity { .. } => Some("badAttestationStatement"),
            Self::Request { problem, .. } => Some(problem),
            Self::Accepted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
