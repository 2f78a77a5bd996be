use std::{net::IpAddr, sync::Arc};

use assay_engine::{
    self as engine, Context, Engine, Payload, PublicKey, Requester, Unauthenticated,
    directories::{Directory, RequestTarget},
    domain::Account,
    ids::AccountId,
    ports::Versioned,
};
use axum::{
    extract::{FromRequest, Request},
    http::{Extensions, HeaderMap, StatusCode, header::CONTENT_TYPE},
};

use crate::{
    address::ClientAddress, body::discard, current, limits::Limit, memory::Held, refusal::Refusal,
    state::AppState,
};

/// The media type of every POST (RFC 8555 section 6.2).
const MEDIA_TYPE: &str = "application/jose+json";

/// An authenticated request, the only way to a payload: the media type, the
/// size, and everything that the engine checks have passed.
pub(crate) struct Signed<By> {
    /// The signer and the client's address.
    pub(crate) context: Context<By>,
    /// The directory that it is for.
    pub(crate) directory: Arc<Directory>,
    /// The signed payload.
    pub(crate) payload: Payload,
    /// The signed URL.
    pub(crate) url: String,
    client: IpAddr,
}

impl<By> Signed<By> {
    /// Charges the request to a limit of its sender. Only authenticated
    /// requests are charged, so that junk takes no tokens of good requests.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn charge(&self, app: &AppState, limit: Limit) -> Result<(), Refusal> {
        app.charge(limit, self.client)
    }
}

/// What is known of the signer. The type selects which signers are accepted.
pub(crate) trait Signer: Sized {
    /// Has the engine authenticate the request.
    fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
        request: engine::RequestInfo,
    ) -> impl Future<Output = Result<(Context<Self>, Payload), Unauthenticated>> + Send;

    /// The signer's account.
    fn account(&self) -> Option<AccountId>;
}

impl Signer for Versioned<Account> {
    async fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
        request: engine::RequestInfo,
    ) -> Result<(Context<Self>, Payload), Unauthenticated> {
        engine.authenticate_account(body, url, request).await
    }

    fn account(&self) -> Option<AccountId> {
        Some(self.value.id)
    }
}

impl Signer for PublicKey {
    async fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
        request: engine::RequestInfo,
    ) -> Result<(Context<Self>, Payload), Unauthenticated> {
        engine.authenticate_key(body, url, request).await
    }

    fn account(&self) -> Option<AccountId> {
        None
    }
}

impl Signer for Requester {
    async fn authenticate(
        engine: &Engine,
        body: &[u8],
        url: &str,
        request: engine::RequestInfo,
    ) -> Result<(Context<Self>, Payload), Unauthenticated> {
        engine.authenticate(body, url, request).await
    }

    fn account(&self) -> Option<AccountId> {
        match self {
            Self::Account(account) => account.account(),
            Self::Key(_) => None,
        }
    }
}

impl<By: Signer> FromRequest<Arc<AppState>> for Signed<By> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<AppState>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let client = ClientAddress::noted_in(&parts.extensions);
        if !is_media_type(&parts.headers) {
            discard(body).await;
            let detail = "the Content-Type must be application/jose+json (RFC 8555 section 6.2)";
            let refusal = Refusal::malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
            return Err(app.fail(client, refusal, false));
        }
        // Head and body are charged to the sender until the signature is
        // verified.
        let _head = parts.extensions.remove::<Arc<Held>>();
        let mut held = app.memory.hold(Some(client));
        let body = (app.bodies.read(body, &mut held).await)
            .map_err(|refusal| app.fail(client, refusal, false))?;
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", axum::http::uri::PathAndQuery::as_str);
        let url = app.engine.urls().of_request(path);
        let directory = directory_of(&parts.extensions, app);
        let turn = app.limits.turn(client).await;
        let request = (engine::RequestInfo::from(client))
            .in_directory(directory.name())
            .named(current::id());
        let authenticated = By::authenticate(&app.engine, &body.bytes, &url, request).await;
        drop(turn);
        match authenticated {
            Ok((context, payload)) => {
                current::authenticated(context.by.account());
                Ok(Self {
                    context,
                    directory,
                    payload,
                    url,
                    client,
                })
            }
            Err(refused) if refused.is_failure() => {
                Err(app.fail(client, refused.error.into(), refused.genuine_nonce))
            }
            Err(refused) => Err(refused.error.into()),
        }
    }
}

/// Returns the directory that a request is for.
pub(crate) fn directory_of(extensions: &Extensions, app: &AppState) -> Arc<Directory> {
    let directory = match extensions.get::<RequestTarget>() {
        Some(target) => &target.directory,
        None => app.engine.directories().default_directory(),
    };
    Arc::clone(directory)
}

/// RFC 8555 section 6.2: "Because client requests in ACME carry JWS objects in
/// the Flattened JSON Serialization, they must have the Content-Type header
/// field set to "application/jose+json". If a request does not meet this
/// requirement, then the server MUST return a response with status code 415".
fn is_media_type(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().is_ok_and(|value| {
            let (media_type, _) = value.split_once(';').unwrap_or((value, ""));
            media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
        }),
        _ => false,
    }
}
