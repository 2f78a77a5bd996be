//! First gate, at newOrder: may this identifier be ordered? Checked before the
//! device spends an attestation, and again before its certificate is signed.

pub mod form;
mod not_admitted;

use std::{collections::HashSet, sync::Arc};

use assay_proto::{DottedOid, Identifier};
use async_trait::async_trait;

pub use not_admitted::{ListHint, NotAdmitted};

use crate::{
    domain::{AdmissionRule, Admitted, Attribute},
    error::{Error, IdentifierFault},
};

/// Apple's serial number as a hardware type.
const APPLE_SERIAL: &str = "1.2.840.113635.100.8.9.1";
/// Apple's UDID as a hardware type.
const APPLE_UDID: &str = "1.2.840.113635.100.8.9.2";

/// The list of known devices.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns which attribute of a device is `name`; `None` when no device is
    /// known by it.
    ///
    /// # Errors
    /// When the inventory could not be queried: a fault, not an answer.
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable>;

    /// Returns hints for an unknown `name`: which listed device may be meant,
    /// and why it was not found.
    async fn hints(&self, name: &str) -> Vec<ListHint> {
        let _ = name;
        Vec::new()
    }

    /// Returns the other attribute of the device that is known by `name`, and
    /// its value, if known.
    async fn other_attribute(&self, name: &str) -> Option<(Attribute, String)> {
        let _ = name;
        None
    }
}

/// The inventory could not be queried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InventoryUnavailable(pub String);

/// Which devices may order certificates. No value means "no rule".
pub enum Admission {
    /// Every device with genuine evidence. Under Apple's root that is every
    /// Apple device in the world: only for laboratories.
    AnyAttested {
        /// What a permanent identifier names.
        bind: IdentifierBinding,
    },
    /// The devices of an inventory.
    Listed(Arc<dyn Inventory>),
}

/// What a permanent identifier names when no list says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierBinding {
    /// The UDID if it has the form of one, else the serial number.
    ByForm,
    /// The serial number.
    Serial,
    /// The UDID.
    Udid,
}

impl IdentifierBinding {
    /// Returns the attribute that evidence for `name` is compared with.
    #[must_use]
    pub fn attribute(self, name: &str) -> Attribute {
        match self {
            Self::ByForm if form::is_udid(name) => Attribute::Udid,
            Self::ByForm | Self::Serial => Attribute::Serial,
            Self::Udid => Attribute::Udid,
        }
    }
}

/// The admission rules.
pub struct AdmissionPolicy {
    /// The devices that may order.
    pub admission: Admission,
    /// The assigners that a permanent identifier may name (RFC 4043).
    pub assigners: HashSet<DottedOid>,
}

impl AdmissionPolicy {
    /// Decides whether `identifier` may be ordered, and which attested
    /// attribute it will be compared with.
    ///
    /// # Errors
    /// The outer error is a fault of the server; the inner one is a refusal.
    pub async fn admit(
        &self,
        identifier: &Identifier,
    ) -> Result<Result<Admitted, IdentifierFault>, Error> {
        let named_by_type = match identifier {
            Identifier::HardwareModule(module) => match module.hw_type().as_str() {
                APPLE_SERIAL => Some(Attribute::Serial),
                APPLE_UDID => Some(Attribute::Udid),
                _ => return Ok(Err(IdentifierFault::HardwareTypeNotProvable)),
            },
            Identifier::PermanentIdentifier(identifier) => {
                if let Some(assigner) = identifier.assigner()
                    && !self.assigners.contains(assigner)
                {
                    return Ok(Err(IdentifierFault::AssignerNotAllowed));
                }
                None
            }
        };
        let (rule, attribute) = match &self.admission {
            Admission::AnyAttested { bind } => (
                AdmissionRule::AnyAttested,
                named_by_type.unwrap_or_else(|| bind.attribute(identifier.device())),
            ),
            Admission::Listed(inventory) => {
                let name = identifier.device();
                let found = inventory
                    .find(name)
                    .await
                    .map_err(|fault| Error::Inventory(fault.to_string()))?;
                match (found, named_by_type) {
                    (Some(listed), None) => (AdmissionRule::Listed, listed),
                    (Some(listed), Some(named)) if listed == named => {
                        (AdmissionRule::Listed, listed)
                    }
                    _ => {
                        let not_admitted = NotAdmitted {
                            name: name.to_owned(),
                            hints: inventory.hints(name).await,
                        };
                        return Ok(Err(IdentifierFault::NotAdmitted(Box::new(not_admitted))));
                    }
                }
            }
        };
        let rule = Some(rule);
        Ok(Ok(Admitted { attribute, rule }))
    }

    /// Returns the other attribute under which the device of `identifier` is
    /// listed, and its value, if known.
    pub(crate) async fn listed_other_attribute(
        &self,
        identifier: &Identifier,
    ) -> Option<(Attribute, String)> {
        match &self.admission {
            Admission::AnyAttested { .. } => None,
            Admission::Listed(inventory) => inventory.other_attribute(identifier.device()).await,
        }
    }
}

#[cfg(test)]
mod tests;
