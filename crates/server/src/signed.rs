use std::{sync::Arc, time::Duration};

use assay_engine::{
    Engine, Error, Payload, PublicKey, Requester, domain::Account, ports::Versioned,
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use http_body_util::BodyExt;

use crate::{refusal::Refusal, surface::App};

/// The media type of every POST (RFC 8555 section 6.2).
const MEDIA_TYPE: &str = "application/jose+json";

/// The largest body, in bytes. The largest payload that is of use, an
/// attestation object of 64 KiB twice in base64url, has less than half of it.
const BODY_LIMIT: usize = 256 * 1024;

/// How much of a body beyond that is thrown away before the answer, in bytes:
/// a client that is still sending when its connection is closed may never read
/// why.
const DISCARD_LIMIT: usize = 16 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

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
        check_media_type(&parts.headers)?;
        let body = match tokio::time::timeout(BODY_TIMEOUT, read(body)).await {
            Ok(body) => body?,
            Err(_) => {
                return Err(Refusal::malformed(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not arrive within 30 seconds",
                ));
            }
        };
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", axum::http::uri::PathAndQuery::as_str);
        let url = app.engine.urls().of_request(path);
        let (signer, payload) = S::authenticate(&app.engine, &body, &url).await?;
        Ok(Self {
            signer,
            payload,
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

async fn read(mut body: Body) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let detail = format!("the body could not be read: {error}");
            Refusal::malformed(StatusCode::BAD_REQUEST, &detail)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length <= BODY_LIMIT {
            bytes.extend_from_slice(&data);
        } else if length <= DISCARD_LIMIT {
            bytes = Vec::new();
        } else {
            break;
        }
    }
    if length <= BODY_LIMIT {
        Ok(bytes)
    } else {
        Err(Refusal::malformed(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 256 KiB",
        ))
    }
}
