//! The first gate, at newOrder: is this identifier one of ours? Asked before
//! the device spends an attestation, and again before its certificate is
//! signed.

mod device_list;

use std::collections::HashSet;

use assay_proto::{DottedOid, Identifier};
use async_trait::async_trait;

pub use device_list::{DeviceList, DeviceListError, DeviceListFault, Devices};

use crate::{
    domain::Attribute,
    error::{Error, IdentifierFault},
};

/// Apple's serial number as a hardware type.
const APPLE_SERIAL: &str = "1.2.840.113635.100.8.9.1";
/// Apple's UDID as a hardware type.
const APPLE_UDID: &str = "1.2.840.113635.100.8.9.2";

/// Which devices there are.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Which attribute of a device is `name`; `None` when no device is known
    /// by it.
    ///
    /// # Errors
    /// When it could not be asked: a fault, not an answer.
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable>;
}

/// The inventory could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InventoryUnavailable(pub String);

/// Which devices may order certificates. There is no value that means "no
/// rule".
pub enum Admission {
    /// Every device that proves itself. Under Apple's root that is every Apple
    /// device on earth: for laboratories only.
    AnyAttested {
        /// What a permanent identifier names.
        bind: Attribute,
    },
    /// The devices of an inventory.
    Listed(Box<dyn Inventory>),
}

/// The rules of admission.
pub struct AdmissionPolicy {
    /// Which devices.
    pub admission: Admission,
    /// The assigners that a permanent identifier may name (RFC 4043).
    pub assigners: HashSet<DottedOid>,
}

impl AdmissionPolicy {
    /// Decides whether `identifier` may be ordered, and which attested
    /// attribute it will be compared with.
    ///
    /// # Errors
    /// The outer error is a fault of ours; the inner one a refusal.
    pub async fn admit(
        &self,
        identifier: &Identifier,
    ) -> Result<Result<Attribute, IdentifierFault>, Error> {
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
        let attribute = match &self.admission {
            Admission::AnyAttested { bind } => named_by_type.unwrap_or(*bind),
            Admission::Listed(inventory) => {
                let found = inventory
                    .find(identifier.device())
                    .await
                    .map_err(|fault| Error::Inventory(fault.to_string()))?;
                match (found, named_by_type) {
                    (Some(listed), None) => listed,
                    (Some(listed), Some(named)) if listed == named => listed,
                    _ => return Ok(Err(IdentifierFault::NotAdmitted)),
                }
            }
        };
        Ok(Ok(attribute))
    }
}
