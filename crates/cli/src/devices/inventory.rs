use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use assay_engine::{
    admission::{Inventory, InventoryUnavailable, ListHint, form},
    domain::Attribute,
};
use assay_proto::Timestamp;
use async_trait::async_trait;

use super::DeviceList;

/// The most characters quoted of a name in a fault, which is logged.
const MAX_NAME: usize = 64;

/// An inventory whose list can be replaced while it is in use.
///
/// While a newer list is a [`PendingList`], the devices of the list in force are
/// admitted, and it is undecided whether any other device is listed.
#[derive(Debug, Default)]
pub struct Devices {
    in_force: RwLock<InForce>,
}

#[derive(Clone, Debug, Default)]
struct InForce {
    list: Arc<DeviceList>,
    pending: Option<PendingList>,
}

/// Why a list newer than the one in force is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingList {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub cause: PendingCause,
}

/// Why a list is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingCause {
    /// The file is being written.
    Changing,
    /// It lacks too many devices of the list in force; the text says how many.
    KeptBack(String),
    /// It is invalid; the text says why.
    Unusable(String),
}

impl fmt::Display for PendingList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since;
        match &self.cause {
            PendingCause::Changing => write!(f, "the list is being written since {since}"),
            PendingCause::KeptBack(text) => {
                write!(
                    f,
                    "the list is kept back since {since} and not in use: {text}"
                )
            }
            PendingCause::Unusable(text) => {
                write!(
                    f,
                    "the list is at fault since {since} and not in use: {text}"
                )
            }
        }
    }
}

impl Devices {
    /// An inventory of this list.
    #[must_use]
    pub fn new(list: DeviceList) -> Self {
        Self::with_pending(list, None)
    }

    /// An inventory of this list, with a newer list that is not in use.
    #[must_use]
    pub fn with_pending(list: DeviceList, pending: Option<PendingList>) -> Self {
        let list = Arc::new(list);
        Self {
            in_force: RwLock::new(InForce { list, pending }),
        }
    }

    /// Replaces the list in force.
    pub fn replace(&self, list: DeviceList) {
        let list = Arc::new(list);
        self.set(|_| InForce {
            list,
            pending: None,
        });
    }

    /// Keeps the list in force and sets or clears a newer one that is not used.
    pub fn set_pending(&self, pending: Option<PendingList>) {
        self.set(|present| InForce {
            list: Arc::clone(&present.list),
            pending,
        });
    }

    /// The list in force.
    #[must_use]
    pub fn list(&self) -> Arc<DeviceList> {
        self.in_force().list
    }

    /// Why a newer list is not used, if there is one.
    #[must_use]
    pub fn pending(&self) -> Option<PendingList> {
        self.in_force().pending
    }

    fn in_force(&self) -> InForce {
        self.in_force
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, change: impl FnOnce(&InForce) -> InForce) {
        let mut in_force = self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *in_force = change(&in_force);
    }
}

#[async_trait]
impl Inventory for Devices {
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable> {
        let in_force = self.in_force();
        match (in_force.list.find(name), in_force.pending) {
            (Some(attribute), _) => Ok(Some(attribute)),
            (None, None) => Ok(None),
            // In no list at all.
            (None, Some(_)) if !DeviceList::can_hold(name) => Ok(None),
            // A refusal is final for a device, and the newer list may contain
            // it.
            (None, Some(pending)) => {
                let hint = if form::is_variable(name) {
                    " (it looks like a variable that the MDM did not fill in)"
                } else {
                    ""
                };
                let name: String = name.chars().take(MAX_NAME).collect();
                Err(InventoryUnavailable(format!(
                    "{name:?}{hint} is not in the list in force, and {pending}"
                )))
            }
        }
    }

    async fn hints(&self, name: &str) -> Vec<ListHint> {
        self.list().hints(name)
    }

    async fn other_attribute(&self, name: &str) -> Option<(Attribute, String)> {
        let list = self.list();
        let (attribute, other) = list.other_attribute(name)?;
        Some((attribute, other.to_owned()))
    }
}
