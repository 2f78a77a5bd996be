//! The engine's [`Store`](assay_engine::ports::Store): sled, durable to the
//! disk, and memory for tests.
//!
//! Both are ordered maps of keys to values. What a commit reads, checks and
//! writes, and what a query reads, is one piece of code for both:
//!
//! * `keys`: where everything lies,
//! * `record`: the stored form of each value,
//! * `transaction`: from a change set to writes,
//! * `query`: from a question to reads.

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
mod keys;
mod map;
mod memory;
mod query;
mod record;
mod sled_store;
mod transaction;

pub use crate::{
    memory::MemoryStore,
    sled_store::{OpenError, OpenMode, SledStore},
};
