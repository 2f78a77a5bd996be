//! The real binary over real TLS, driven as devices and operators drive it.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod access_log;
mod anonymise;
mod clock;
mod commands;
mod committed_recordings;
mod configuration;
mod csr;
mod devices;
mod directories;
mod documents;
mod end_to_end;
mod enrolment;
mod evidence;
mod failures;
mod faults;
mod forms;
mod handshakes;
mod identifiers;
mod inspect;
mod limits;
mod log;
mod log_events;
mod log_format;
mod operation;
mod operations;
mod permissions;
mod preflight;
mod processes;
mod profile;
mod recordings;
mod reload;
mod replay_server;
mod restart;
mod revocation;
mod service;
mod setting_up;
mod setup_faults;
mod simulated_devices;
mod status;
mod store;
mod strangers;
mod support;
mod support_desk;
mod surface;
mod tls;
