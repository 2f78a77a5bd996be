//! A complete enrolment, with the steps in the order of an Apple device.

mod answer;
mod chain;
mod error;
mod walk;

use std::{net::IpAddr, time::Duration};

use assay_proto::WireIdentifier;
use serde::Serialize;

pub use error::{EnrollError, UnexpectedAnswer};

use crate::{
    authority::AttestationAuthority,
    client::{ClientError, ClientKind},
    device::{CsrRequest, Device},
    evidence::DeviceProperties,
    faults::{Misstep, Shape},
    http::Trust,
    jose::{AccountKey, Algorithm, SignatureStyle},
    key::KeyType,
};

/// The parameters of an enrolment: the ACME payload of a configuration profile, and the device that
/// receives it.
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// The directory URL (`DirectoryURL`).
    pub directory: String,
    /// The CA certificates that the device trusts for the server's TLS, in PEM.
    pub ca_bundle_pem: String,
    /// The only identifier of the order. For Apple its type is `permanent-identifier` and its value
    /// is the `ClientIdentifier`.
    pub identifier: WireIdentifier,
    /// The properties that the device's evidence states.
    pub properties: DeviceProperties,
    /// The device's key (`KeyType`, `KeySize`).
    pub key: KeyType,
    /// What the CSR requests (`Subject`, `SubjectAltName`).
    pub request: CsrRequest,
    /// The shape of the evidence, or what goes wrong in the requests; by default nothing is unusual.
    pub shape: Shape,
    /// How the client handles delays and errors.
    pub client: ClientKind,
    /// The local address to connect from. If absent, the system chooses it.
    pub source: Option<IpAddr>,
    /// How long to poll for the result of the challenge, and again for that of the order.
    pub patience: Duration,
}

impl Enrollment {
    /// An enrolment with a P-256 key whose `ClientIdentifier` is this text.
    #[must_use]
    pub fn new(
        directory: &str,
        ca_bundle_pem: &str,
        client_identifier: &str,
        properties: DeviceProperties,
    ) -> Self {
        Self {
            directory: directory.to_owned(),
            ca_bundle_pem: ca_bundle_pem.to_owned(),
            identifier: WireIdentifier {
                kind: "permanent-identifier".to_owned(),
                value: client_identifier.to_owned(),
            },
            properties,
            key: KeyType::P256,
            request: CsrRequest {
                common_name: "Simulated device".to_owned(),
                names: Vec::new(),
            },
            shape: Shape::default(),
            client: ClientKind::default(),
            source: None,
            patience: Duration::from_secs(60),
        }
    }
}

/// The steps of an enrolment. All but [`Step::Attest`] wait for the server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// TCP connection and TLS handshake.
    Connect,
    /// GET the directory.
    Directory,
    /// HEAD newNonce.
    NewNonce,
    /// POST newAccount.
    NewAccount,
    /// POST newOrder.
    NewOrder,
    /// POST-as-GET the authorization, which contains the challenge's token.
    Authorization,
    /// Get the device attested by the authority. This costs the client time, not the server.
    Attest,
    /// POST the evidence to the challenge.
    Challenge,
    /// POST-as-GET the authorization until it is final.
    PollAuthorization,
    /// POST the CSR to finalize.
    Finalize,
    /// POST-as-GET the order until it is final.
    PollOrder,
    /// POST-as-GET the certificate.
    Certificate,
}

impl Step {
    /// The step in plain words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Connect => "connecting over TLS",
            Self::Directory => "reading the directory",
            Self::NewNonce => "fetching a nonce",
            Self::NewAccount => "making an account",
            Self::NewOrder => "ordering a certificate",
            Self::Authorization => "reading the challenge",
            Self::Attest => "having the key attested, with the challenge's token as freshness",
            Self::Challenge => "sending the evidence",
            Self::PollAuthorization => "asking what came of it",
            Self::Finalize => "sending the CSR, signed with the attested key",
            Self::PollOrder => "asking for the order",
            Self::Certificate => "downloading the certificate",
        }
    }
}

/// A report on an enrolment in progress.
#[derive(Clone, Copy, Debug)]
pub enum EnrollProgress<'a> {
    /// A step begins. After an error, the last step reported is the one that failed.
    Step(Step),
    /// The device has its evidence and sends it next.
    Attested(Attested<'a>),
}

/// What a device sends to the server, accepted or not.
#[derive(Clone, Copy, Debug)]
pub struct Attested<'a> {
    /// The challenge's token.
    pub token: &'a str,
    /// The attestation object (CBOR).
    pub attestation_object: &'a [u8],
    /// The certification request, DER. A server that refuses the evidence never receives it.
    pub csr_der: &'a [u8],
}

/// The result of a successful enrolment.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The account's URL.
    pub account_url: String,
    /// The order's URL.
    pub order_url: String,
    /// The certificate's URL.
    pub certificate_url: String,
    /// The certified private key, PKCS#8 in PEM.
    pub key_pem: String,
    /// The device's certificate alone, PEM.
    pub certificate_pem: String,
    /// The download as received: leaf first, then its issuers.
    pub chain_pem: String,
    /// The attestation object (CBOR) that was sent.
    pub attestation_object: Vec<u8>,
    /// The challenge's token, which the evidence is for.
    pub token: String,
    /// The certification request that was sent, DER.
    pub csr_der: Vec<u8>,
}

/// Receives the reports on an enrolment.
pub type Watch<'a> = &'a mut (dyn FnMut(EnrollProgress<'_>) + Send);

/// The parts of an enrolment that can be made before any request: keys and CSR. The load generator
/// makes them in advance, so that the client's work does not slow the server down.
#[derive(Debug)]
pub struct Prepared {
    account_key: AccountKey,
    device: Device,
    csr_der: Vec<u8>,
    trust: Trust,
}

impl Prepared {
    /// Generates the account key (P-256, in Apple's signature style), the device's key and the CSR.
    /// `trust` replaces the enrolment's CA bundle, so that it is parsed once for many devices.
    ///
    /// # Errors
    ///
    /// [`EnrollError::Local`].
    pub fn new(enrollment: &Enrollment, trust: &Trust) -> Result<Self, EnrollError> {
        let make = || Device::new(enrollment.properties.clone(), enrollment.key);
        let device = make().map_err(EnrollError::local)?;
        let mut signer = None;
        let misstep = enrollment.shape.misstep();
        if misstep == Some(Misstep::CsrOfAnotherKey) {
            signer = Some(make().map_err(EnrollError::local)?);
        }
        let csr = signer.as_ref().unwrap_or(&device).csr(&enrollment.request);
        let mut csr_der = csr.map_err(EnrollError::local)?;
        if let (Some(Misstep::CsrSignature), Some(last)) = (misstep, csr_der.last_mut()) {
            *last ^= 1;
        }
        let account_key = match misstep {
            Some(Misstep::AccountKeyIsDeviceKey) => device.account_key(),
            _ => AccountKey::generate(Algorithm::Es256),
        }
        .map_err(EnrollError::local)?
        .with_style(SignatureStyle::Apple);
        Ok(Self {
            account_key,
            device,
            csr_der,
            trust: trust.clone(),
        })
    }

    /// Performs the steps and reports each to `watch`.
    ///
    /// # Errors
    ///
    /// [`EnrollError`], which distinguishes a refusal from a fault.
    pub async fn enroll(
        self,
        enrollment: &Enrollment,
        authority: &AttestationAuthority,
        watch: Watch<'_>,
    ) -> Result<Enrolled, EnrollError> {
        walk::walk(self, enrollment, authority, watch).await
    }
}

/// Enrols one device: directory, newNonce, newAccount, newOrder, authorization, evidence over
/// SHA-256 of the token, challenge, polling, finalize, polling, download. The downloaded
/// certificate is checked: it must be for the device's key, in a chain in which each certificate is
/// issued by the next and which does not contain the root.
///
/// # Errors
///
/// [`EnrollError`], which distinguishes a refusal from a fault.
pub async fn enroll(
    enrollment: &Enrollment,
    authority: &AttestationAuthority,
    watch: Watch<'_>,
) -> Result<Enrolled, EnrollError> {
    let trust = Trust::from_pem(&enrollment.ca_bundle_pem)
        .map_err(|error| EnrollError::client(Step::Connect, ClientError::Http(error)))?;
    Prepared::new(enrollment, &trust)?
        .enroll(enrollment, authority, watch)
        .await
}

#[cfg(test)]
mod tests;
