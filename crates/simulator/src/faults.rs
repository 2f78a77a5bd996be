//! Everything that a device or an attacker can do wrong on the way to a certificate, by name,
//! and the reason that a right server gives.
//!
//! [`Fault::find`] gives one, [`Fault::all`] the whole table. [`Fault::forge`] makes the broken
//! evidence; what is wrong with a request and not with the evidence is done by an
//! [`Enrollment`](crate::Enrollment) with that fault. [`Good`] are the shapes that verify.

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
mod signature;

pub use forger::{ForgeError, Forger, Forgery};
pub use good::Good;

pub(crate) use request::Misstep;

use crate::evidence::{CertificateTemplate, DeviceProperties};

/// One thing that can be wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    name: &'static str,
    scenarios: &'static [u16],
    meaning: &'static str,
    outcome: Outcome,
    way: Way,
}

/// What a right server makes of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The evidence itself is refused, whatever was ordered: `badAttestationStatement`.
    Evidence {
        /// The validator's reason.
        reason: &'static str,
    },
    /// The evidence verifies, but is not about the device whose serial number was ordered:
    /// `badAttestationStatement`.
    Identity {
        /// The reason.
        reason: &'static str,
    },
    /// A request is refused.
    Request {
        /// The problem's type, without `urn:ietf:params:acme:error:`.
        problem: &'static str,
        /// The operator's reason; `None` where the server only answers.
        reason: Option<&'static str>,
    },
    /// Accepted, unless there is a rule against it.
    Accepted {
        /// The rule that would refuse it.
        unless: &'static str,
    },
}

/// How a fault comes about.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The authority says something else about the device.
    Properties(fn(&mut DeviceProperties)),
    /// The leaf is another before it is signed.
    Leaf(fn(&mut CertificateTemplate, &Forger<'_>)),
    /// The intermediate is another before it is signed.
    Intermediate(fn(&mut CertificateTemplate)),
    /// The chain is another.
    Chain(fn(&Forger<'_>) -> Result<Vec<Vec<u8>>, ForgeError>),
    /// The object around the chain is another.
    Object(fn(&Forger<'_>) -> Result<Vec<u8>, ForgeError>),
    /// The evidence is good: the requests are not.
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

    /// Every fault there is.
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

    /// The fault of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().find(|fault| fault.name == name)
    }

    /// The name, in kebab case. It does not change.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The numbers of the acceptance scenarios that it belongs to; none for what only the
    /// validator's own rules are about.
    #[must_use]
    pub fn scenarios(&self) -> &'static [u16] {
        self.scenarios
    }

    /// What is wrong, in one sentence.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.meaning
    }

    /// What a right server makes of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether [`forge`](Self::forge) can show it: else it is in the requests.
    #[must_use]
    pub fn is_forgeable(&self) -> bool {
        !matches!(self.way, Way::Request(_))
    }

    /// What is done wrong while enrolling, if it is not the evidence.
    pub(crate) fn misstep(&self) -> Option<Misstep> {
        match self.way {
            Way::Request(misstep) => Some(misstep),
            _ => None,
        }
    }

    /// Makes the broken evidence. All else about it is right.
    ///
    /// # Errors
    /// The fault is in the requests and not in the evidence; the device cannot have it; a key
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
    /// The reason that the operator is told.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Evidence { reason } | Self::Identity { reason } => Some(reason),
            Self::Request { reason, .. } => reason,
            Self::Accepted { .. } => None,
        }
    }

    /// The type of the problem that the client is told, without `urn:ietf:params:acme:error:`.
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
