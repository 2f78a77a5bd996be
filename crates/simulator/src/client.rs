//! A scriptable ACME client, which sends one request at a time.

use std::time::Duration;

use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};

use crate::{
    http::{HttpClient, HttpError, Trust},
    jose::{AccountKey, Algorithm, JoseError},
    jws::Jws,
    response::Response,
};

/// The media type of signed requests (RFC 8555 section 6.2).
pub const JOSE_JSON: &str = "application/jose+json";

/// How often a request is sent again after `badNonce` before the client returns the response.
const NONCE_RETRIES: u32 = 3;

/// How a client handles delays and errors.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientKind {
    /// As RFC 8555 describes: it retries after `badNonce`, waits, polls, and times out a request
    /// after 60 seconds.
    #[default]
    Standard,
    /// As Apple's client (`XPCAcmeService`, as published in 2026): it retries nothing, not even
    /// after `badNonce`, reads each result only once, and times out a request after 15 seconds.
    Apple,
}

impl ClientKind {
    /// How long it waits for a response, connecting included.
    #[must_use]
    pub fn timeout(self) -> Duration {
        Duration::from_secs(match self {
            Self::Standard => 60,
            Self::Apple => 15,
        })
    }

    /// How often it sends a request again after `badNonce`.
    fn nonce_retries(self) -> u32 {
        match self {
            Self::Standard => NONCE_RETRIES,
            Self::Apple => 0,
        }
    }
}

/// A client with one connection, one account key and a cache of one nonce.
///
/// Every method returns the server's response, including refusals; call [`Response::success`] to
/// require a 2xx status. Only a network error, a josekit error or a missing directory entry is a
/// [`ClientError`].
#[derive(Debug)]
pub struct AcmeClient {
    http: HttpClient,
    directory: Value,
    key: AccountKey,
    account: Option<String>,
    nonce: Option<String>,
    nonce_retries: u32,
    bad_nonces: u32,
}

impl AcmeClient {
    /// Reads the directory and creates a new P-256 account key.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: no response, or the response is not a directory.
    pub async fn connect(directory_url: &str, ca_bundle_pem: &str) -> Result<Self, ClientError> {
        Self::connect_over(
            HttpClient::new(Trust::from_pem(ca_bundle_pem)?),
            directory_url,
            AccountKey::generate(Algorithm::Es256)?,
        )
        .await
    }

    /// Reads the directory over a prepared HTTP client, for this account key.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: no response, or the response is not a directory.
    pub async fn connect_over(
        mut http: HttpClient,
        directory_url: &str,
        key: AccountKey,
    ) -> Result<Self, ClientError> {
        let answer = http
            .request(Method::GET, directory_url, HeaderMap::new(), Bytes::new())
            .await?;
        let directory = answer.json().unwrap_or_default();
        if answer.status != 200 || !directory.is_object() {
            return Err(ClientError::NoDirectory {
                url: directory_url.to_owned(),
                status: answer.status,
            });
        }
        Ok(Self {
            http,
            directory,
            key,
            account: None,
            nonce: None,
            nonce_retries: NONCE_RETRIES,
            bad_nonces: 0,
        })
    }

    /// The directory as the server sent it.
    #[must_use]
    pub fn directory(&self) -> &Value {
        &self.directory
    }

    /// The URL of a resource, by its name in the directory, such as `newOrder`.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoResource`] if the directory does not list it.
    pub fn resource(&self, name: &'static str) -> Result<String, ClientError> {
        self.directory[name]
            .as_str()
            .map(str::to_owned)
            .ok_or(ClientError::NoResource { name })
    }

    /// The account key.
    #[must_use]
    pub fn key(&self) -> &AccountKey {
        &self.key
    }

    /// Changes the signing key. The account does not change: see [`Self::set_account`].
    pub fn set_key(&mut self, key: AccountKey) {
        self.key = key;
    }

    /// The account URL, once [`Self::new_account`] succeeded.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Changes the account. With `None`, requests carry the `jwk`.
    pub fn set_account(&mut self, account: Option<String>) {
        self.account = account;
    }

    /// The HTTP client, to change its destination and headers.
    pub fn http(&mut self) -> &mut HttpClient {
        &mut self.http
    }

    /// Changes the kind of this client.
    pub fn set_kind(&mut self, kind: ClientKind) {
        self.nonce_retries = kind.nonce_retries();
        self.http.set_timeout(kind.timeout());
    }

    /// How many `badNonce` responses the client has received.
    #[must_use]
    pub fn bad_nonces(&self) -> u32 {
        self.bad_nonces
    }

    /// Takes the cached nonce of the last response, or fetches one from newNonce.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoNonce`] if the server returns none.
    pub async fn nonce(&mut self) -> Result<String, ClientError> {
        if self.nonce.is_none() {
            self.fetch_nonce().await?;
        }
        let url = self.resource("newNonce")?;
        self.nonce.take().ok_or(ClientError::NoNonce { url })
    }

    /// Fetches a nonce from newNonce and caches it for the next request.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. A response without a nonce is an error only when a nonce is needed.
    pub async fn fetch_nonce(&mut self) -> Result<Response, ClientError> {
        let url = self.resource("newNonce")?;
        self.plain(Method::HEAD, &url).await
    }

    /// Sends newAccount with only `termsOfServiceAgreed` in the payload, as Apple's client does. On
    /// success the client uses this account.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a refusal by the server is a [`Response`].
    pub async fn new_account(&mut self) -> Result<Response, ClientError> {
        self.new_account_with(&json!({"termsOfServiceAgreed": true}))
            .await
    }

    /// Sends newAccount with any payload.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a refusal by the server is a [`Response`].
    pub async fn new_account_with(&mut self, payload: &Value) -> Result<Response, ClientError> {
        let jws = Jws::new(&self.resource("newAccount")?, payload).with_jwk();
        let answer = self.send(&jws).await?;
        if matches!(answer.status, 200 | 201) {
            self.account = answer.location().map(str::to_owned);
        }
        Ok(answer)
    }

    /// Sends newOrder for these identifiers, each a type and a value.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a refusal by the server is a [`Response`].
    pub async fn new_order(
        &mut self,
        identifiers: &[(&str, &str)],
    ) -> Result<Response, ClientError> {
        let identifiers: Vec<_> = identifiers
            .iter()
            .map(|(kind, value)| json!({"type": kind, "value": value}))
            .collect();
        let url = self.resource("newOrder")?;
        self.post(&url, &json!({"identifiers": identifiers})).await
    }

    /// Sends a signed POST with a JSON payload.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a refusal by the server is a [`Response`].
    pub async fn post(&mut self, url: &str, payload: &Value) -> Result<Response, ClientError> {
        self.send(&Jws::new(url, payload)).await
    }

    /// Sends a signed POST with an empty payload (RFC 8555 section 6.3).
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a refusal by the server is a [`Response`].
    pub async fn post_as_get(&mut self, url: &str) -> Result<Response, ClientError> {
        self.send(&Jws::post_as_get(url)).await
    }

    /// Signs and sends a JWS. After `badNonce` it is signed and sent again with the nonce of that
    /// response, up to three times; not at all if the JWS sets its own nonce or the client is
    /// Apple's.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a refusal by the server is a [`Response`].
    pub async fn send(&mut self, jws: &Jws) -> Result<Response, ClientError> {
        let mut retries = 0;
        loop {
            let nonce = match jws.decides_nonce() {
                true => None,
                false => Some(self.nonce().await?),
            };
            let envelope = jws.sign(&self.key, self.account.as_deref(), nonce.as_deref())?;
            let answer = self
                .post_raw(jws.url(), envelope.to_string(), JOSE_JSON)
                .await?;
            // RFC 8555 section 6.5: "When a server rejects a request because its nonce value
            // was unacceptable (or not present), it MUST provide HTTP status code 400 (Bad
            // Request), and indicate the ACME error type
            // "urn:ietf:params:acme:error:badNonce"."
            if answer.status != 400 || !answer.problem().is("badNonce") {
                return Ok(answer);
            }
            self.bad_nonces += 1;
            if jws.decides_nonce() || retries == self.nonce_retries {
                return Ok(answer);
            }
            retries += 1;
        }
    }

    /// POSTs any bytes with any content type. Nothing is signed or retried.
    ///
    /// # Errors
    ///
    /// [`ClientError::Http`].
    pub async fn post_raw(
        &mut self,
        url: &str,
        body: impl Into<Bytes>,
        content_type: &str,
    ) -> Result<Response, ClientError> {
        let mut headers = HeaderMap::new();
        let content_type =
            HeaderValue::from_str(content_type).map_err(|_| ClientError::ContentType {
                content_type: content_type.to_owned(),
            })?;
        headers.insert(CONTENT_TYPE, content_type);
        self.exchange(Method::POST, url, headers, body.into()).await
    }

    /// Sends an unsigned request without a body: GET, HEAD, or a method to be refused with 405.
    ///
    /// # Errors
    ///
    /// [`ClientError::Http`].
    pub async fn plain(&mut self, method: Method, url: &str) -> Result<Response, ClientError> {
        self.exchange(method, url, HeaderMap::new(), Bytes::new())
            .await
    }

    async fn exchange(
        &mut self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, ClientError> {
        let answer = self.http.request(method, url, headers, body).await?;
        if let Some(nonce) = answer.replay_nonce() {
            self.nonce = Some(nonce.to_owned());
        }
        Ok(answer)
    }
}

/// Why a request could not be sent. A refusal by the server is a [`Response`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// The content type is not a valid header value.
    #[error("{content_type:?} is not a valid Content-Type")]
    ContentType {
        /// The text given.
        content_type: String,
    },
    /// No HTTP response.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The account key cannot sign.
    #[error(transparent)]
    Jose(#[from] JoseError),
    /// The directory URL does not return a JSON object.
    #[error("{url} is not an ACME directory: status {status}, or not a JSON object")]
    NoDirectory {
        /// The directory URL.
        url: String,
        /// The HTTP status of the response.
        status: u16,
    },
    /// newNonce returned no `Replay-Nonce`.
    #[error("{url} returned no Replay-Nonce")]
    NoNonce {
        /// The newNonce URL.
        url: String,
    },
    /// The directory does not list a resource.
    #[error("the directory has no {name}")]
    NoResource {
        /// The resource's name.
        name: &'static str,
    },
}

#[cfg(test)]
mod tests;
