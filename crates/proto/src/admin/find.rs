use serde::{Deserialize, Serialize};

use super::{Refusal, Story, Summary};

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindOrders {
    /// An order's ID or URL, a certificate's serial number, or a device's
    /// identifier.
    pub text: String,
    /// Whether `text` can only be a certificate's serial number.
    pub certificate: bool,
}

/// What was found: every field that matches is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The order with this ID.
    pub order: Option<Box<Story>>,
    /// The order whose certificate has this serial number.
    pub certificate: Option<Box<Story>>,
    /// The device with this identifier: its orders and refusals.
    pub device: Option<DeviceStory>,
    /// Whether the serial number is that of one of the server's own
    /// certificates.
    pub is_servers: bool,
}

/// What the server knows about a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceStory {
    /// The device's identifier, as requested.
    pub device: String,
    /// The newest orders in full, newest first.
    pub orders: Vec<Story>,
    /// The orders before those, in short, newest first.
    pub earlier: Vec<Summary>,
    /// How many orders there are.
    pub total: usize,
    /// Recent newOrder refusals, oldest first. Only a running server remembers
    /// them; absent if none runs.
    pub refusals: Option<Vec<Refusal>>,
}
