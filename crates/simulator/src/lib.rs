//! A simulated Apple device, a simulated attestation authority and a load generator.
//!
//! This crate is an independent implementation: it signs with josekit, certifies with rcgen and
//! parses responses as JSON, so that it does not repeat a mistake of the server's own crates. It
//! prints nothing; it reports by return values and callbacks.
//!
//! Start with [`enroll()`], which performs a complete enrolment like an Apple device.
//! [`AcmeClient`] sends the same requests one at a time, and deliberately wrong ones on demand.
//! [`load::run`] enrols many devices at once and measures the server.

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
    enroll::{
        Attested, EnrollError, EnrollProgress, Enrolled, Enrollment, Prepared, Step,
        UnexpectedAnswer, Watch, enroll,
    },
    http::{HttpClient, HttpError, TlsCause, Trust},
    jose::{AccountKey, Algorithm, JoseError, SignatureStyle, external_account_binding},
    jws::Jws,
    key::{Key, KeyType},
    response::{ProblemReport, Response},
    san::SubjectAltName,
};
