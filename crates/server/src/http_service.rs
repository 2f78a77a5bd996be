use std::{
    any::Any,
    future::poll_fn,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, UNIX_EPOCH},
};

use assay_engine::{
    Engine,
    directories::{Directory, RequestTarget},
    urls::Route,
};
use assay_proto::Timestamp;
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method, StatusCode, Version,
        header::{CACHE_CONTROL, DATE, HOST, LINK, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use ipnet::IpNet;
use tower::ServiceExt;
use tracing::{Instrument, field::Empty};

use crate::{
    access::Access,
    address::{ClientAddress, Forwarders, Peer, is_in},
    body::{Bodies, discard},
    crowd::Crowd,
    current::{CurrentRequest, RequestIds},
    health::{HEALTH, LIVE, READY},
    limits::{Limits, RateLimits},
    memory::{Memory, head_size},
    refusal::{Aftermath, Refusal},
    request_log::RequestLog,
    routes::{REPLAY_NONCE, router},
    standing::Standing,
    state::AppState,
    work::Work,
};

/// The header of a refused request's id, which is also in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole HTTP interface without sockets.
#[derive(Clone)]
pub struct HttpService {
    access_log: bool,
    app: Arc<AppState>,
    request_ids: Arc<RequestIds>,
    router: Router,
}

impl HttpService {
    /// Creates a service for replays and tests: it has a memory budget of its
    /// own, and its request ids repeat. `trusted_proxies` are the peers whose
    /// X-Forwarded-For is trusted.
    #[must_use]
    pub fn repeatable(
        engine: Arc<Engine>,
        request_log: Arc<RequestLog>,
        trusted_proxies: Vec<IpNet>,
        rate_limits: RateLimits,
    ) -> Self {
        let exempt = [&trusted_proxies[..], &rate_limits.exempt].concat();
        let service = Self::new(
            Memory::new(exempt, Crowd::new()),
            engine,
            request_log,
            trusted_proxies,
            rate_limits,
        );
        Self {
            // The answers of a replay must be the same each time.
            request_ids: Arc::new(RequestIds::repeatable()),
            ..service
        }
    }

    /// Sets whether each request gets an access log line.
    #[must_use]
    pub fn with_access_log(self, access_log: bool) -> Self {
        Self { access_log, ..self }
    }

    /// Creates a service with this memory budget for unauthenticated requests.
    pub(crate) fn new(
        memory: Arc<Memory>,
        engine: Arc<Engine>,
        request_log: Arc<RequestLog>,
        trusted_proxies: Vec<IpNet>,
        rate_limits: RateLimits,
    ) -> Self {
        let app = Arc::new(AppState {
            bodies: Bodies::new(),
            engine,
            forwarders: Forwarders::default(),
            limits: Limits::new(rate_limits),
            memory,
            request_log,
            trusted_proxies,
            work: Work::default(),
        });
        Self {
            access_log: false,
            router: router(Arc::clone(&app)),
            request_ids: Arc::new(RequestIds::random()),
            app,
        }
    }

    /// Answers a request. Its [`Peer`](crate::Peer) extension holds the peer of
    /// its connection.
    pub async fn answer(&self, request: Request) -> Response {
        if matches!(request.uri().path(), HEALTH | LIVE | READY) {
            self.handle(request).await
        } else {
            self.wrap(request).await
        }
    }

    /// Returns whether a peer is a trusted proxy, whose connections carry many
    /// clients.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        is_in(&self.app.trusted_proxies, peer)
    }

    /// Waits until no task runs that outlives its request.
    pub(crate) async fn work_ended(&self) {
        self.app.work.ended().await;
    }

    /// Does what is the same for every request but health checks: the log span,
    /// the client's address, catching panics, and the header fields, Date among
    /// them.
    async fn wrap(&self, mut request: Request) -> Response {
        let client = ClientAddress::of(
            request.extensions(),
            request.headers(),
            &self.app.trusted_proxies,
        );
        self.app.forwarders.check(
            request.extensions().get::<Peer>(),
            request.headers(),
            &self.app.trusted_proxies,
        );
        request.extensions_mut().insert(client);
        let method = request.method().clone();
        let directories = self.app.engine.directories();
        let target = directories.target(request.uri().path());
        let directory = match &target {
            Some(target) => Arc::clone(&target.directory),
            None => Arc::clone(directories.containing(request.uri().path())),
        };
        if let Some(target) = target.clone() {
            request.extensions_mut().insert(target);
        }
        let connection = request.extensions_mut().remove::<Arc<Standing>>();
        let log = Arc::clone(&self.app.request_log);
        let id = self.request_ids.next();
        let current = CurrentRequest::new(log, id, client.0, connection.clone());
        let path = request.uri().path();
        let access = (self.access_log).then(|| Access::begin(&current, &method, target.clone()));
        // At the error level, so that no filter removes the span's fields from
        // a line.
        let span = tracing::error_span!(
            "request",
            client = %client.0,
            method = %method,
            // An unknown path is logged as it is.
            path = target.as_ref().map_or(path, RequestTarget::pattern),
            request_id = %id,
            account = Empty,
            identifier = Empty,
            resource = Empty,
        );
        current.within(&span);
        let answer = self.enter(request, client, connection).instrument(span);
        let response = current.scope(answer).await;
        let mut response = finish(&self.app, &method, target.as_ref(), &directory, response);
        if (response.status().is_client_error() || response.status().is_server_error())
            && let Ok(id) = HeaderValue::try_from(id.to_string())
        {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        if let Some(access) = access {
            access.answered(&response);
        }
        response
    }

    /// Answers once the request has a place and memory.
    async fn enter(
        &self,
        mut request: Request,
        ClientAddress(client): ClientAddress,
        connection: Option<Arc<Standing>>,
    ) -> Response {
        if let Some(connection) = connection
            && let Err(not_entered) = connection.enter().await
        {
            return Refusal::from(not_entered).into_response();
        }
        let mut held = self.app.memory.hold(Some(client));
        if let Err(refusal) = held.grow(head_size(&request)).await {
            return refusal.into_response();
        }
        request.extensions_mut().insert(Arc::new(held));
        self.guard(request).await
    }

    /// Calls the handler. A panic fails only its request, not the connection.
    async fn guard(&self, request: Request) -> Response {
        // RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request)
        // status code to any HTTP/1.1 request message that lacks a Host header
        // field and to any request message that contains more than one Host
        // header field line". HTTP/2 has its host in the URI (RFC 9113 section
        // 8.3.1).
        let hosts = request.headers().get_all(HOST).iter().count();
        if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
            let client = ClientAddress::noted_in(request.extensions());
            discard(request.into_body()).await;
            let detail = "this request needs exactly one Host header field";
            let refusal = Refusal::malformed(StatusCode::BAD_REQUEST, detail);
            return self.app.fail(client, refusal, false).into_response();
        }
        let mut running = pin!(self.handle(request));
        let response = poll_fn(|context| {
            // Unwind safety: the future is not polled again after a panic, and
            // the locks around state that it shares with other requests handle
            // poisoning.
            match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
                Ok(poll) => poll,
                Err(panic) => Poll::Ready(Refusal::panicked(message(&*panic)).into_response()),
            }
        })
        .await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }

    /// Tracks whether there are many connections, or little memory.
    pub(crate) fn crowd(&self) -> &Arc<Crowd> {
        self.app.memory.crowd()
    }

    async fn handle(&self, request: Request) -> Response {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn finish(
    app: &AppState,
    method: &Method,
    target: Option<&RequestTarget>,
    directory: &Directory,
    mut response: Response,
) -> Response {
    if method == Method::HEAD {
        // RFC 9110 section 9.3.2: "the server MUST NOT send content in the
        // response". The router sees to its own.
        *response.body_mut() = Body::empty();
    }
    let engine = &app.engine;
    let is_directory = target.is_some_and(|target| target.route == Route::Directory)
        && response.status().is_success();
    let is_limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let aftermath = response.extensions().get().copied();
    let Aftermath {
        withholds_nonce, ..
    } = aftermath.unwrap_or_default();
    let headers = response.headers_mut();
    // hyper keeps an existing Date. The engine's clock decides here, too.
    if let Ok(date) = HeaderValue::try_from(date(engine.now())) {
        headers.insert(DATE, date);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if method == Method::POST {
        // RFC 8555 section 6.5: "The server MUST include a Replay-Nonce header
        // field in every successful response to a POST request and SHOULD
        // provide it in error responses as well."
        if !withholds_nonce && let Ok(nonce) = HeaderValue::try_from(engine.nonce()) {
            headers.insert(REPLAY_NONCE, nonce);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // RFC 8555 section 7.1: "The "index" link relation is present on all
    // resources other than the directory and indicates the URL of the
    // directory."
    if !is_directory {
        let link = format!("<{}>;rel=\"index\"", directory.urls().directory());
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.append(LINK, link);
        }
    }
    if is_limited && let Ok(link) = HeaderValue::try_from(help(app)) {
        headers.append(LINK, link);
    }
    response
}

/// RFC 8555 section 6.6: "the server MAY send one or multiple link relations in
/// the "Link" header field [RFC8288] pointing to documentation about the specific
/// rate limit that was hit, using the "help" link relation type."
fn help(app: &AppState) -> String {
    match app.limits.help() {
        Some(url) => format!("<{url}>;rel=\"help\""),
        None => format!("<{}>;rel=\"help\"", app.engine.urls().of(Route::Limits)),
    }
}

/// Formats `now` as in RFC 9110 section 5.6.7.
fn date(now: Timestamp) -> String {
    // The years of an HTTP date have four digits.
    let since = Duration::from_secs(now.min(Timestamp::MAX).0);
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}
