//! A pretend Apple device, a pretend attestation authority and a load generator.
//!
//! This crate is the second opinion: it signs with josekit, certifies with rcgen and reads
//! answers as JSON, so that a mistake in the server's own crates is not repeated here. It
//! prints nothing; whoever calls it is told by return values and callbacks.
//!
//! The shortest way through is [`enroll()`], which walks a whole enrolment as an Apple device
//! does. [`AcmeClient`] takes the same way one request at a time, and sends broken requests
//! on purpose when asked to. [`load::run`] sends many devices at once and measures.

pub mod authority;
mod client;
pub mod corpus;
mod device;
mod enroll;
pub mod evidence;
pub mod faults;
mod http;
mod jose;
mod jws;
mod key;
pub mod load;
mod response;
mod san;
#[cfg(test)]
mod script;

pub use crate::{
    client::{AcmeClient, ClientError, ClientKind, JOSE_JSON},
    device::{CsrRequest, Device, DeviceError},
    enroll::{EnrollError, Enrolled, Enrollment, Prepared, Step, UnexpectedAnswer, enroll},
    http::{HttpClient, HttpError, TlsCause, Trust},
    jose::{AccountKey, Algorithm, JoseError, SignatureStyle, external_account_binding},
    jws::Jws,
    key::{Key, KeyType},
    response::{ProblemReport, Response},
    san::SubjectAltName,
};
