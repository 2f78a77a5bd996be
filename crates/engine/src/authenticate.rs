//! The one place where a request's signature is checked. No route has a way
//! around it: payloads come out of here only.

use std::{fmt, net::IpAddr};

use assay_jws::{Envelope, PublicKey, Signer, Verified};
use assay_proto::{Object, cut};
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

/// A request, apart from its payload and its signer. The default is work behind
/// which there is no request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The address that it came from.
    pub client: Option<IpAddr>,
    /// The directory that it is for.
    pub directory: DirectoryName,
    /// Its name in the log.
    pub id: Option<RequestId>,
    /// The nonce that authentication redeemed.
    redemption: Option<Redemption>,
}

/// The name of one request, in the log and in the answer where it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

/// What a use-case works for: an authenticated request, and what authentication
/// found out about its signer. Every use-case takes it by reference, and its
/// commits carry what it holds: nothing of it is read a second time.
#[derive(Clone, Debug)]
pub struct Context<By> {
    /// Who signed the request.
    pub by: By,
    /// The request.
    pub request: Request,
}

/// A request that was signed by the holder of an account.
pub type AccountContext = Context<Versioned<Account>>;
/// A request that was signed by the holder of a key, with or without an account.
pub type KeyContext = Context<PublicKey>;

/// A payload whose signature, URL and nonce were right.
#[derive(Debug)]
pub struct Payload(Verified);

/// Why a request was not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Unauthenticated {
    /// What is wrong.
    pub error: Error,
    /// Whether the request had a nonce of this server's, not too old and not
    /// used: its sender had an answer before.
    pub genuine_nonce: bool,
}

/// Who signed a request that either kind of key may sign.
#[derive(Debug)]
pub enum Requester {
    /// The holder of an account.
    Account(Box<Versioned<Account>>),
    /// The holder of some key.
    Key(PublicKey),
}

impl Engine {
    /// Authenticates a request that an account's holder must sign: `kid`.
    ///
    /// # Errors
    /// The first of: envelope, URL, nonce's MAC, age and use, account,
    /// signature, nonce's use meanwhile, the account's deactivation.
    pub async fn authenticate_account(
        &self,
        body: &[u8],
        url: &str,
        request: Request,
    ) -> Result<(AccountContext, Payload), Unauthenticated> {
        let (context, payload) = self.authenticate(body, url, request).await?;
        match context.by {
            Requester::Account(account) => Ok((Context::new(*account, context.request), payload)),
            Requester::Key(_) => Err(Unauthenticated::with_nonce(Error::Signer(
                "this resource takes a JWS with \"kid\", the account's URL",
            ))),
        }
    }

    /// Authenticates a request that the holder of a key without an account may
    /// sign: `jwk`.
    ///
    /// # Errors
    /// As [`Engine::authenticate_account`].
    pub async fn authenticate_key(
        &self,
        body: &[u8],
        url: &str,
        request: Request,
    ) -> Result<(KeyContext, Payload), Unauthenticated> {
        let (context, payload) = self.authenticate(body, url, request).await?;
        match context.by {
            Requester::Key(key) => Ok((Context::new(key, context.request), payload)),
            Requester::Account(_) => Err(Unauthenticated::with_nonce(Error::Signer(
                "this resource takes a JWS with \"jwk\", the new account's key",
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
        request: Request,
    ) -> Result<(Context<Requester>, Payload), Unauthenticated> {
        let directory =
            (self.directory(&request.directory)).map_err(Unauthenticated::without_nonce)?;
        let now = self.now();
        let envelope = Envelope::parse(body).map_err(Unauthenticated::without_nonce)?;
        // A forged, stale or used nonce costs a MAC, not a signature.
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
        let request = Request {
            redemption,
            ..request
        };
        Ok((Context::new(requester, request), Payload(verified)))
    }

    /// Finds the signer of an envelope, and verifies the signature.
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

    /// A request that failed though its nonce, if it has one, was genuine. A
    /// fault of ours is no failure of the nonce's.
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

    /// The account that `kid` is the URL of. One of another directory is unknown
    /// here, also under a URL that is of this one.
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

    /// Whether the request failed as such. A fault of this server's is no
    /// failure of the request, and neither is a refusal of the account that it
    /// proved to be of.
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

impl Request {
    /// A request from `client`.
    #[must_use]
    pub fn from(client: IpAddr) -> Self {
        Self {
            client: Some(client),
            ..Self::default()
        }
    }

    /// The request, for this directory.
    #[must_use]
    pub fn in_directory(self, directory: DirectoryName) -> Self {
        Self { directory, ..self }
    }

    /// The request under this name in the log.
    #[must_use]
    pub fn named(self, id: Option<RequestId>) -> Self {
        Self { id, ..self }
    }

    /// The nonce that authentication redeemed.
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
    /// A request of `by`. [`Engine::authenticate`] makes those of clients.
    #[must_use]
    pub fn new(by: By, request: Request) -> Self {
        Self { by, request }
    }
}

impl AccountContext {
    /// The account's name.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.by.value.id
    }
}

impl Payload {
    /// What an inner JWS of an authenticated request holds. Only the engine can
    /// make one: outside, a payload has been through [`Engine::authenticate`].
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

    /// The payload, a JSON object, as a `T`.
    ///
    /// # Errors
    /// When it is empty or not of that shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let read = serde_json::from_slice(self.bytes());
        read.map(|Object(value)| value)
            .map_err(|error| Error::Payload(cut(&error.to_string())))
    }

    /// That there is no payload.
    ///
    /// # Errors
    /// When there is one: this resource can only be read.
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
