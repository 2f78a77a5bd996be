//! Recorded enrolments, played to a whole server in this process.

mod client;
mod play;
mod profile;
mod server;

pub use self::{
    play::{End, Played, local_server, play},
    profile::recorded_profile,
    server::{Observe, ReplayServer, Settings, add_embedded_root},
};
