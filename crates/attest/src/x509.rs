//! X.509 without a vendor: DER, certificates, extensions, keys, signatures, and
//! the rules of RFC 5280 section 6.1 for a path that is given as a list.
//!
//! Nothing here knows who made a certificate or what it attests. Which other
//! extensions of a leaf may be critical is an argument of [`chain::check_path`];
//! what a [`Fault`] means for the evidence is decided above. This room imports
//! nothing else of the crate, and `.ci/floors` checks that.

pub(crate) mod anchor;
pub(crate) mod cache;
pub(crate) mod certificate;
pub(crate) mod chain;
pub(crate) mod extension;
mod fault;
pub(crate) mod key;
pub(crate) mod limits;
mod name;
pub(crate) mod path;
pub(crate) mod signature;
pub(crate) mod time;
pub(crate) mod tlv;

pub(crate) use self::fault::{Fault, FaultKind};
