use std::sync::Arc;

use assay_engine::{
    Engine, Error, Payload, PublicKey, Requester, domain::Account, ports::Versioned,
};
use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};

use crate::{address::ClientAddress, body::discard, refusal::Refusal, surface::App};

/// The media type of every POST (RFC 8555 section 6.2).
const MEDIA_TYPE: &str = "application/jose+json";

/// A request that was authenticated, the only way to a payload: media type,
/// size, then all that the engine checks.
pub(crate) struct Signed<S> {
    /// Who signed it.
    pub(crate) signer: S,
    /// What was signed.
    pub(crate) payload: Payload,
    /// The URL that it was signed for.
    pub(crate) url: String,
}

/// Who must sign a request, by the type of what is known of them.
pub(crate) trait Signer: Sized {
    /// Has the engine check the request.
    fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
    ) -> impl Future<Output = Result<(Self, Payload), Error>> + Send;
}

impl Signer for Versioned<Account> {
    async fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
    ) -> Result<(Self, Payload), Error> {
        engine.authenticate_account(body, url).await
    }
}

impl Signer for PublicKey {
    async fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
    ) -> Result<(Self, Payload), Error> {
        engine.authenticate_key(body, url).await
    }
}

impl Signer for Requester {
    async fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
    ) -> Result<(Self, Payload), Error> {
        engine.authenticate(body, url).await
    }
}

impl<S: Signer> FromRequest<Arc<App>> for Signed<S> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let client = parts
            .extensions
            .get()
            .copied()
            .map(|ClientAddress(client)| client);
        if let Err(refusal) = check_media_type(&parts.headers) {
            discard(body).await;
            return Err(refusal);
        }
        let body = app.bodies.read(body).await?;
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", axum::http::uri::PathAndQuery::as_str);
        let url = app.engine.urls().of_request(path);
        let (signer, payload) = S::authenticate(&app.engine, &body.bytes, &url).await?;
        Ok(Self {
            signer,
            payload: match client {
                Some(client) => payload.from_client(client),
                None => payload,
            },
            url,
        })
    }
}

/// RFC 8555 section 6.2: "Because client requests in ACME carry JWS objects in
/// the Flattened JSON Serialization, they must have the Content-Type header
/// field set to "application/jose+json". If a request does not meet this
/// requirement, then the server MUST return a response with status code 415".
fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let is_right = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().is_ok_and(|value| {
            let (media_type, _) = value.split_once(';').unwrap_or((value, ""));
            media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
        }),
        _ => false,
    };
    if is_right {
        Ok(())
    } else {
        Err(Refusal::malformed(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the Content-Type must be application/jose+json (RFC 8555 section 6.2)",
        ))
    }
}
