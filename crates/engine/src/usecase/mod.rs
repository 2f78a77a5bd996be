//! What clients can request, one file per resource.

mod account;
mod authorization;
mod certificate;
mod challenge;
mod end;
mod finalize;
mod key_change;
mod lease;
mod order;
mod order_room;
mod other_device;
mod recover;
mod reset_clock;
mod server_certificate;
mod validate;

pub(crate) use order_room::BeingDisplaced;

pub use certificate::Chain;
pub use order::OrdersPage;
pub use reset_clock::{ClockReset, Expiring, reset_clock};
pub use server_certificate::{SERVER_CERTIFICATE_LIFETIME, ServerCertificate};
