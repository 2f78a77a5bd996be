//! What the fuzz targets do with their bytes, one module each: `run` takes any
//! input and panics where a promise is broken.
//!
//! What is costly (keys, roots, seeds) is made once for the whole process.

pub mod apple_extensions;
pub mod attestation_object;
pub mod csr;
pub mod forms;
pub mod jws_envelope;
pub mod ledger;
pub mod order_machine;
pub mod path;
pub mod proto_json;
pub mod recording;

mod testdata;

// The engine's tests walk through the same glass.
#[path = "../../crates/engine/tests/support/mod.rs"]
mod support;
