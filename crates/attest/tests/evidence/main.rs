//! Evidence from a pretend authority, good and bad, before every back-end.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod anchors;
mod backends;
mod checks;
mod corpus;
mod device_information;
mod laboratory;
mod limits;
mod mutations;
mod recordings;
mod scenarios;
