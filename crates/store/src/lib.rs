//! The engine's [`Store`](assay_engine::ports::Store): durable to the disk, and
//! memory for tests.
//!
//! Both are ordered maps of keys to values. What a commit reads, checks and
//! writes, and what a query reads, is one piece of code for both:
//!
//! * `keys`: where everything lies,
//! * `record`: the stored form of each value,
//! * `transaction`: from a change set to writes,
//! * `query`: from a question to reads,
//! * `backend`: what one store differs in from another.
//!
//! On the disk, `ledger` is the record of every commit, and `ledger_store` keeps
//! an index (sled) beside it, which can be rebuilt from the ledger. `view` reads
//! a database without the index.

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
