//! The laboratory: tools that make evidence, recordings and servers for tests.
//!
//! * [`forge`]: evidence of a simulated device, good or with one fault;
//! * [`anonymise`]: a recording of an invented device that is judged as the
//!   original was;
//! * [`replay`]: a server whose clock, token and list of devices are those of a
//!   recording, and a client that plays the recording to it;
//! * [`demo`]: the two devices of `assay demo`.
//!
//! Nothing here decides about a certificate that anyone relies on. A production
//! build of the binary (`--no-default-features`) does not contain this crate,
//! nor the simulator below it.

pub mod anonymise;
pub mod demo;
pub mod forge;
pub mod replay;
