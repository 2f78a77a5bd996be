use serde::{Deserialize, Serialize};

use super::{Refusal, Story, Summary};

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindOrders {
    /// The name or URL of an order, a certificate's serial number or a device.
    pub text: String,
    /// It is a certificate's serial number and nothing else.
    pub certificate: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The order of this name.
    pub order: Option<Box<Story>>,
    /// The order whose certificate has this serial number.
    pub certificate: Option<Box<Story>>,
    /// The orders of the device of this name, and what was refused to it.
    pub device: Option<DeviceStory>,
    /// The certificate of this serial number is one of the server's own.
    pub is_servers: bool,
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceStory {
    /// Its name, as it was asked for.
    pub device: String,
    /// Its newest orders in full, the newest first.
    pub orders: Vec<Story>,
    /// The next ones, the newest first.
    pub earlier: Vec<Summary>,
    /// How many there are.
    pub total: usize,
    /// What newOrder refused lately, oldest first. Absent where no server runs,
    /// which alone remembers that.
    pub refusals: Option<Vec<Refusal>>,
}
