//! Recorded enrolments, played to a whole server in this process.

mod client;
mod play;
mod server;

pub use self::{
    play::{End, Played, local_server, play},
    server::{Observe, ReplayServer, Settings, add_embedded_root},
};
