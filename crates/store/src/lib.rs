//! The implementations of the engine's [`Store`](assay_engine::ports::Store): a
//! durable one on disk, and one in memory for tests.
//!
//! Both are ordered maps of keys to values. One piece of code decides for both
//! what a commit reads, checks and writes, and what a query reads:
//!
//! * `keys`: the key of every value,
//! * `record`: the stored form of each value,
//! * `transaction`: from a change set to writes,
//! * `query`: from a query to reads,
//! * `backend`: what distinguishes one store from another.
//!
//! On disk, `ledger` is the record of every commit, and `ledger_store` keeps a
//! sled index beside it, which can be rebuilt from the ledger. `view` reads a
//! database without the index.

mod backend;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod ledger;
mod ledger_store;
pub mod maintenance;
mod map;
mod memory;
mod query;
mod record;
mod transaction;
mod view;

pub use crate::{
    ledger::fault::Damage,
    ledger_store::{
        LedgerStore, MigrationCheck, OlderDatabase, OpenError, OpenMode, Options, Sizes,
    },
    memory::MemoryStore,
    view::LedgerView,
};
