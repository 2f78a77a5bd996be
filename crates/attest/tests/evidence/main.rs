//! Evidence from a pretend authority, good and bad, before every back-end.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod anchors;
mod backends;
mod bit_flips;
mod boundaries;
mod checks;
mod committed;
mod corpus;
mod device_information;
mod examine;
mod field;
mod laboratory;
mod limits;
mod mutations;
mod opinions;
mod properties;
mod random_chains;
mod scenarios;
