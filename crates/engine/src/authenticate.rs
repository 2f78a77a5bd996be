//! Request authentication, in one place. Payloads are only available from here,
//! so no route can skip the check.

use std::{fmt, net::IpAddr};

use assay_jws::{Envelope, PublicKey, Signer, Verified};
use assay_proto::{Object, truncate_quote};
use serde::de::DeserializeOwned;

use crate::{
    Engine, Error,
    directories::Directory,
    domain::{Account, AccountState},
    events::Event,
    ids::AccountId,
    names::DirectoryName,
    nonce::Genuine,
    ports::{Redemption, Versioned},
};

/// A request without its payload and signer. The default value stands for work
/// that no request caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The directory of the request.
    pub directory: DirectoryName,
    /// The request's ID in the log.
    pub id: Option<RequestId>,
    /// The nonce that authentication redeemed.
    redemption: Option<Redemption>,
}

/// The ID of one request, in the log and in the error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

/// An authenticated request and what authentication learned about its signer.
/// Every use-case takes it by reference and reads none of it a second time; its
/// commits carry the redeemed nonce.
#[derive(Clone, Debug)]
pub struct Context<By> {
    /// Who signed the request.
    pub by: By,
    /// The request.
    pub request: RequestInfo,
}

/// A request signed by an account's key.
pub type AccountContext = Context<Versioned<Account>>;
/// A request signed by any key, with or without an account.
pub type KeyContext = Context<PublicKey>;

/// A payload whose signature, URL and nonce were checked.
#[derive(Debug)]
pub struct Payload(Verified);

/// Why a request was not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Unauthenticated {
    /// The error.
    pub error: Error,
    /// Whether the nonce was issued by this server, not expired and not used:
    /// the sender has received a response before.
    pub genuine_nonce: bool,
}

/// The signer of a request that either kind of key may sign.
#[derive(Debug)]
pub enum Requester {
    /// An account.
    Account(Box<Versioned<Account>>),
    /// A key.
    Key(PublicKey),
}

impl Engine {
    /// Authenticates a request that must be signed by an account (`kid`).
    ///
    /// # Errors
    /// The first that fails of: envelope, URL, nonce (MAC, age, use), account,
    /// signature, redeeming the nonce, account status.
    pub async fn authenticate_account(
        &self,
        body: &[u8],
        url: &str,
        request: RequestInfo,
    ) -> Result<(AccountContext, Payload), Unauthenticated> {
        let (context, payload) = self.authenticate(body, url, request).await?;
        match context.by {
            Requester::Account(account) => Ok((Context::new(*account, context.request), payload)),
            Requester::Key(_) => Err(Unauthenticated::with_nonce(Error::Signer(
                "this resource needs a JWS with \"kid\", the account's URL",
            ))),
        }
    }

    /// Authenticates a request that may be signed by a key without an account
    /// (`jwk`).
    ///
    /// # Errors
    /// As [`Engine::authenticate_account`].
    pub async fn authenticate_key(
        &self,
        body: &[u8],
        url: &str,
        request: RequestInfo,
    ) -> Result<(KeyContext, Payload), Unauthenticated> {
        let (context, payload) = self.authenticate(body, url, request).await?;
        match context.by {
            Requester::Key(key) => Ok((Context::new(key, context.request), payload)),
            Requester::Account(_) => Err(Unauthenticated::with_nonce(Error::Signer(
                "this resource needs a JWS with \"jwk\", the new account's key",
            ))),
        }
    }

    /// Authenticates a request that may be signed either way.
    ///
    /// # Errors
    /// As [`Engine::authenticate_account`].
    pub async fn authenticate(
        &self,
        body: &[u8],
        url: &str,
        request: RequestInfo,
    ) -> Result<(Context<Requester>, Payload), Unauthenticated> {
        let directory =
            (self.directory(&request.directory)).map_err(Unauthenticated::without_nonce)?;
        let now = self.now();
        let envelope = Envelope::parse(body).map_err(Unauthenticated::without_nonce)?;
        // Rejecting a forged, stale or used nonce costs one MAC, no signature
        // check.
        let nonce = self.nonces.check(envelope.nonce(), now);
        // RFC 8555 section 6.4: "If the two do not match, then the server MUST
        // reject the request as unauthorized."
        if envelope.url() != url {
            return Err(self.failed(nonce.ok(), Error::Url));
        }
        let nonce = nonce.map_err(Unauthenticated::without_nonce)?;
        let (requester, verified) = self
            .verify(directory, envelope)
            .await
            .map_err(|error| self.failed(Some(nonce), error))?;
        // RFC 8555 section 6.5: "Once a nonce value has appeared in an ACME
        // request, the server MUST consider it invalid", read as: in an
        // authenticated request.
        let redeemed = self.nonces.redeem(nonce, now).await;
        let redemption = Some(redeemed.map_err(Unauthenticated::without_nonce)?);
        if verified.padded_signature() {
            self.report(&Event::PaddedSignature { request: &request });
        }
        if let Requester::Account(account) = &requester
            && let AccountState::Deactivated { .. } = account.value.state
        {
            return Err(Unauthenticated::with_nonce(Error::AccountDeactivated));
        }
        let request = RequestInfo {
            redemption,
            ..request
        };
        Ok((Context::new(requester, request), Payload(verified)))
    }

    /// Finds the signer of an envelope and verifies the signature.
    async fn verify(
        &self,
        directory: &Directory,
        envelope: Envelope,
    ) -> Result<(Requester, Verified), Error> {
        let requester = match envelope.signer() {
            Signer::Jwk(key) => Requester::Key(key.clone()),
            Signer::Kid(kid) => {
                Requester::Account(Box::new(self.account_of_kid(directory, kid).await?))
            }
        };
        let verified = match &requester {
            Requester::Account(account) => envelope.verify(&account.value.key)?,
            Requester::Key(key) => envelope.verify(key)?,
        };
        Ok((requester, verified))
    }

    /// Counts the failure of a request against its nonce, if the nonce is
    /// genuine. A fault of the server is not counted.
    fn failed(&self, nonce: Option<Genuine>, error: Error) -> Unauthenticated {
        if let Some(nonce) = nonce
            && !error.is_fault()
        {
            self.nonces.fail(nonce);
        }
        Unauthenticated {
            error,
            genuine_nonce: nonce.is_some(),
        }
    }

    /// Returns the account at the URL `kid`. An account of another directory is
    /// unknown here, even under a URL of this one.
    async fn account_of_kid(
        &self,
        directory: &Directory,
        kid: &str,
    ) -> Result<Versioned<Account>, Error> {
        let unknown = Error::AccountDoesNotExist("kid");
        let Some(id) = directory.urls().account_id(kid) else {
            return Err(unknown);
        };
        let account = self.store.account(id).await?;
        let of_directory = account.filter(|one| one.value.directory == directory.name());
        of_directory.ok_or(unknown)
    }
}

impl Unauthenticated {
    fn with_nonce(error: Error) -> Self {
        Self {
            error,
            genuine_nonce: true,
        }
    }

    fn without_nonce(error: impl Into<Error>) -> Self {
        Self {
            error: error.into(),
            genuine_nonce: false,
        }
    }

    /// Whether the client's request failed. False for faults of the server, and
    /// for refusals of an account whose signature was verified.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !self.error.is_fault() && self.error != Error::AccountDeactivated
    }
}

impl From<Unauthenticated> for Error {
    fn from(unauthenticated: Unauthenticated) -> Self {
        unauthenticated.error
    }
}

impl RequestInfo {
    /// Returns a request from `client`.
    #[must_use]
    pub fn from(client: IpAddr) -> Self {
        Self {
            client: Some(client),
            ..Self::default()
        }
    }

    /// Sets the directory.
    #[must_use]
    pub fn in_directory(self, directory: DirectoryName) -> Self {
        Self { directory, ..self }
    }

    /// Sets the request's ID in the log.
    #[must_use]
    pub fn named(self, id: Option<RequestId>) -> Self {
        Self { id, ..self }
    }

    /// Returns the nonce that authentication redeemed.
    pub(crate) fn redemption(&self) -> Option<Redemption> {
        self.redemption
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl<By> Context<By> {
    /// Builds the context of a request by `by`. Requests of clients get theirs
    /// from [`Engine::authenticate`].
    #[must_use]
    pub fn new(by: By, request: RequestInfo) -> Self {
        Self { by, request }
    }
}

impl AccountContext {
    /// The account's ID.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.by.value.id
    }
}

impl Payload {
    /// The payload of an inner JWS of an authenticated request. Only the engine
    /// can build one: outside it, every payload has passed
    /// [`Engine::authenticate`].
    pub(crate) fn of_inner(verified: Verified) -> Self {
        Self(verified)
    }

    /// Whether the request is a POST-as-GET (RFC 8555 section 6.3).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The payload's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.payload()
    }

    /// Parses the payload, a JSON object, as a `T`.
    ///
    /// # Errors
    /// When it is empty or does not have that shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let read = serde_json::from_slice(self.bytes());
        read.map(|Object(value)| value)
            .map_err(|error| Error::Payload(truncate_quote(&error.to_string())))
    }

    /// Checks that the payload is empty.
    ///
    /// # Errors
    /// When it is not: this resource can only be read.
    pub fn expect_empty(&self) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Payload(
                "this resource can only be read: send an empty payload".to_owned(),
            ))
        }
    }
}
