//! The real binary with services and with what a usual machine lacks: behind
//! nginx and HAProxy, under systemd, with a full disk of its own.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod proxies;
mod small_disk;
#[path = "../e2e/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests of e2e")]
mod support;
mod unit;
