//! Evidence from a pretend authority, good and bad, before every back-end.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod anchors;
mod backends;
mod bit_flips;
mod committed;
mod corpus;
mod laboratory;
mod mutations;
mod opinions;
mod random_chains;
mod scenarios;
