//! The one place where a request's signature is checked. No route has a way
//! around it: payloads come out of here only.

use std::net::IpAddr;

use assay_jws::{Envelope, PublicKey, Signer, Verified};
use assay_proto::{Object, cut};
use serde::de::DeserializeOwned;

use crate::{
    Engine, Error,
    domain::{Account, AccountState},
    nonce::Genuine,
    ports::{Redemption, Versioned},
};

/// The request that a use-case works for. Every use-case that commits takes it
/// by reference, and its commits carry what it holds. The default is work
/// behind which there is no request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// The address that the request came from.
    pub(crate) client: Option<IpAddr>,
    /// The nonce that authentication redeemed.
    pub(crate) redemption: Option<Redemption>,
}

/// A payload whose signature, URL and nonce were right.
#[derive(Debug)]
pub struct Payload {
    context: Context,
    verified: Verified,
}

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
    ) -> Result<(Versioned<Account>, Payload), Unauthenticated> {
        match self.authenticate(body, url).await? {
            (Requester::Account(account), payload) => Ok((*account, payload)),
            (Requester::Key(_), _) => Err(Unauthenticated::with_nonce(Error::Signer(
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
    ) -> Result<(PublicKey, Payload), Unauthenticated> {
        match self.authenticate(body, url).await? {
            (Requester::Key(key), payload) => Ok((key, payload)),
            (Requester::Account(_), _) => Err(Unauthenticated::with_nonce(Error::Signer(
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
    ) -> Result<(Requester, Payload), Unauthenticated> {
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
            .verify(envelope)
            .await
            .map_err(|error| self.failed(Some(nonce), error))?;
        // RFC 8555 section 6.5: "Once a nonce value has appeared in an ACME
        // request, the server MUST consider it invalid", read as: in an
        // authenticated request.
        let redeemed = self.nonces.redeem(nonce, now);
        let redemption = Some(redeemed.map_err(Unauthenticated::without_nonce)?);
        if verified.padded_signature() {
            self.request_log.padded_signature();
        }
        if let Requester::Account(account) = &requester
            && let AccountState::Deactivated { .. } = account.value.state
        {
            return Err(Unauthenticated::with_nonce(Error::AccountDeactivated));
        }
        let context = Context {
            client: None,
            redemption,
        };
        Ok((requester, Payload { context, verified }))
    }

    /// Finds the signer of an envelope, and verifies the signature.
    async fn verify(&self, envelope: Envelope) -> Result<(Requester, Verified), Error> {
        let requester = match envelope.signer() {
            Signer::Jwk(key) => Requester::Key(key.clone()),
            Signer::Kid(kid) => Requester::Account(Box::new(self.account_of_kid(kid).await?)),
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

    async fn account_of_kid(&self, kid: &str) -> Result<Versioned<Account>, Error> {
        let unknown = Error::AccountDoesNotExist("kid");
        let Some(id) = self.urls.account_id(kid) else {
            return Err(unknown);
        };
        self.store.account(id).await?.ok_or(unknown)
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

impl Context {
    /// Work for a client behind which there is no request.
    #[must_use]
    pub fn of_client(client: IpAddr) -> Self {
        Self {
            client: Some(client),
            ..Self::default()
        }
    }
}

impl Payload {
    /// What an inner JWS of an authenticated request holds. Only the engine can
    /// make one: outside, a payload has been through [`Engine::authenticate`].
    pub(crate) fn of_inner(context: Context, verified: Verified) -> Self {
        Self { context, verified }
    }

    /// The payload of a request that came from `client`.
    #[must_use]
    pub fn from_client(self, client: IpAddr) -> Self {
        let context = Context {
            client: Some(client),
            ..self.context
        };
        Self { context, ..self }
    }

    /// The request, for the use-case that is to act on it.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context
    }

    /// Whether the request is a POST-as-GET (RFC 8555 section 6.3).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verified.is_empty()
    }

    /// The payload's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.verified.payload()
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
