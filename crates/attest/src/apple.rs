//! Apple's Managed Device Attestation: what its leaf says of a device
//! ([`properties`], [`posture`]), for which question it was made
//! ([`freshness`]), and the root that vouches for it ([`root`]).
//!
//! This room reads extensions of a certificate that is taken apart already. It
//! builds no path and verifies no signature; whether a statement is believed is
//! decided above. It imports `x509`, and of the crate's top the vocabulary only;
//! `.ci/floors` checks that.

pub(crate) mod freshness;
pub(crate) mod limits;
pub(crate) mod posture;
pub(crate) mod properties;
pub(crate) mod root;
