//! Responses to operators.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "../support/mod.rs"]
mod support;

mod orders;
mod paging;
mod requests;
