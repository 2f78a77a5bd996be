//! A server without sockets, and a client whose requests are correct or wrong
//! on purpose.

#![allow(dead_code, reason = "no test file uses all of it")]

pub(crate) mod pieces;
pub(crate) mod running;
#[allow(unreachable_pub, reason = "the engine's tests have it too")]
#[path = "../../../engine/tests/support/validator.rs"]
pub(crate) mod validator;

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use assay_attest::TrustAnchor;
use assay_ca::{
    FileSigner, Issuer,
    authority::{self, AuthorityPlan, Host, KeyType},
};
use assay_engine::{
    Engine, Issuers, Limits, Setup,
    admission::{Admission, AdmissionPolicy, Inventory, InventoryUnavailable},
    directories::{Directories, DirectoryPlan, Profiles},
    domain::{Attribute, Basis, DeviceFacts, EvidenceRecord, KeyKind, Order},
    health::Health,
    ids::OrderId,
    ports::{Change, ChangeSet, Clock, OpenOrders, Purpose, Random, Store, Validator},
    profile::Profile,
    sha256,
    time::MAX_JUMP,
};
use assay_proto::Timestamp;
use assay_server::{HttpService, Peer, Rate, RateLimits, RequestLog};
use assay_simulator::{AccountKey, Algorithm, JOSE_JSON, Jws, Response};
use assay_store::MemoryStore;
use async_trait::async_trait;
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Method, Request,
        header::{CONTENT_TYPE, HOST},
    },
};
use http_body_util::BodyExt;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

pub(crate) const BASE: &str = "https://ca.example.org";
pub(crate) const TERMS: &str = "https://ca.example.org/terms";
pub(crate) const NOW: u64 = 1_800_000_000;

/// A server and its parts.
pub(crate) struct World {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) health: Arc<Health>,
    pub(crate) issuer_der: Vec<u8>,
    pub(crate) request_log: Arc<RequestLog>,
    pub(crate) service: HttpService,
    pub(crate) store: Arc<MemoryStore>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(None, RateLimits::off())
    }

    pub(crate) fn with(terms_of_service: Option<&str>, rate_limits: RateLimits) -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::on(store, Vec::new(), terms_of_service, rate_limits)
    }

    /// Creates a server on this store, with its own CA, that trusts these
    /// roots.
    pub(crate) fn on(
        store: Arc<MemoryStore>,
        anchors: Vec<TrustAnchor>,
        terms_of_service: Option<&str>,
        rate_limits: RateLimits,
    ) -> Self {
        Self::built(store, anchors, terms_of_service, rate_limits, Vec::new())
    }

    /// Creates a server that also offers the challenges of these validators.
    pub(crate) fn with_validators(validators: Vec<Arc<dyn Validator>>) -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::built(store, Vec::new(), None, RateLimits::off(), validators)
    }

    fn built(
        store: Arc<MemoryStore>,
        anchors: Vec<TrustAnchor>,
        terms_of_service: Option<&str>,
        rate_limits: RateLimits,
        validators: Vec<Arc<dyn Validator>>,
    ) -> Self {
        let authority = authority::create(&AuthorityPlan {
            name: "Test".to_owned(),
            issuing_key: KeyType::P256,
            host: Host::Dns("ca.example.org".to_owned()),
            laboratory: true,
            now: NOW,
        })
        .unwrap();
        let issuer_der =
            CertificateDer::from_pem_slice(authority.issuing.certificate_pem.as_bytes())
                .unwrap()
                .to_vec();
        let signer = FileSigner::from_pkcs8_pem(&authority.issuing.key_pem).unwrap();
        let clock = Arc::new(TestClock(AtomicU64::new(NOW)));
        let health = Arc::new(Health::default());
        let plan = DirectoryPlan {
            terms_of_service: terms_of_service.map(str::to_owned),
            website: Some("https://example.org".to_owned()),
            ..DirectoryPlan::new(AdmissionPolicy {
                admission: Admission::Listed(Arc::new(TestInventory)),
                assigners: Default::default(),
            })
        };
        let profiles = Profiles::single(Profile::privacy_preserving());
        let directories = Directories::single(BASE, &profiles, plan).unwrap();
        let engine = at_once(Engine::start(Setup {
            anchors,
            blocking: None,
            clock: clock.clone(),
            directories,
            exempt: Vec::new(),
            health: Arc::clone(&health),
            issuers: Issuers::single(Issuer::new(&issuer_der, Box::new(signer)).unwrap()),
            limits: Limits {
                open_orders: OpenOrders {
                    of_account: 100,
                    of_identifier: 100,
                    pending: 100,
                },
                ..Limits::default()
            },
            max_jump: MAX_JUMP,
            nonces: None,
            observers: Vec::new(),
            random: Arc::new(Counter::of_next_process()),
            server_issuer: None,
            space: None,
            store: store.clone(),
            validators,
        }));
        let engine = Arc::new(engine.unwrap());
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        let request_log = Arc::new(RequestLog::new(clock.clone()));
        let log = Arc::clone(&request_log);
        Self {
            service: HttpService::repeatable(engine.clone(), log, trusted, rate_limits),
            clock,
            engine,
            health,
            issuer_der,
            request_log,
            store,
        }
    }

    /// Returns a client with a key but without an account.
    pub(crate) fn unregistered(&self) -> Client {
        Client {
            service: self.service.clone(),
            key: AccountKey::generate(Algorithm::Es256).unwrap(),
            account: None,
            peer: None,
        }
    }

    /// Returns a client without an account that connects from this address.
    pub(crate) fn unregistered_from(&self, address: &str) -> Client {
        Client {
            peer: Some(Peer(address.parse().unwrap())),
            ..self.unregistered()
        }
    }

    /// Returns a client with an account.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.unregistered();
        let answer = client.new_account(&json!({})).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        client
    }
}

/// Returns the result of a future that never waits, like those of a store in
/// memory.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the future is pending"),
    }
}

pub(crate) fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    Some(Rate {
        per_second: NonZeroU32::new(per_second).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    })
}

pub(crate) fn url(path: &str) -> String {
    format!("{BASE}{path}")
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) service: HttpService,
    pub(crate) key: AccountKey,
    pub(crate) account: Option<String>,
    pub(crate) peer: Option<Peer>,
}

impl Client {
    pub(crate) async fn nonce(&self) -> String {
        let answer = self.plain(Method::HEAD, "/acme/new-nonce").await;
        answer.replay_nonce().unwrap().to_owned()
    }

    pub(crate) async fn plain(&self, method: Method, path: &str) -> Response {
        self.request(
            Request::builder()
                .method(method)
                .uri(path)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn request(&self, mut request: Request<Body>) -> Response {
        let host = HeaderValue::from_static("ca.example.org");
        request.headers_mut().insert(HOST, host);
        self.bare(request).await
    }

    /// Sends a request without a Host header.
    pub(crate) async fn bare(&self, mut request: Request<Body>) -> Response {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let answer = self.service.answer(request).await;
        let (parts, body) = answer.into_parts();
        Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Signs the JWS, with a fresh nonce if it has none, and sends it to the
    /// path of its URL.
    pub(crate) async fn send(&self, jws: &Jws) -> Response {
        let path = jws.url().strip_prefix(BASE).unwrap().to_owned();
        self.send_to(&path, jws).await
    }

    pub(crate) async fn send_to(&self, path: &str, jws: &Jws) -> Response {
        let nonce = self.nonce().await;
        let body = jws
            .sign(&self.key, self.account.as_deref(), Some(&nonce))
            .unwrap();
        self.post_raw(path, body.to_string(), JOSE_JSON).await
    }

    pub(crate) async fn post_raw(
        &self,
        path: &str,
        body: impl Into<Body>,
        content_type: &str,
    ) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        self.post_with(path, body, headers).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: impl Into<Body>,
        headers: HeaderMap,
    ) -> Response {
        let mut request = Request::post(path).body(body.into()).unwrap();
        *request.headers_mut() = headers;
        self.request(request).await
    }

    pub(crate) async fn post(&self, url: &str, payload: &Value) -> Response {
        self.send(&Jws::new(url, payload)).await
    }

    pub(crate) async fn read(&self, url: &str) -> Response {
        self.send(&Jws::post_as_get(url)).await
    }

    pub(crate) async fn new_account(&mut self, payload: &Value) -> Response {
        let jws = Jws::new(&url("/acme/new-account"), payload).with_jwk();
        let answer = self.send(&jws).await;
        if matches!(answer.status, 200 | 201) {
            self.account = answer.location().map(str::to_owned);
        }
        answer
    }

    /// Orders for a serial number and asserts success.
    pub(crate) async fn order(&self, serial: &str) -> (String, Value) {
        let answer = self.new_order(&[("permanent-identifier", serial)]).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let location = answer.location().unwrap().to_owned();
        (location, answer.json().unwrap())
    }

    pub(crate) async fn new_order(&self, identifiers: &[(&str, &str)]) -> Response {
        let identifiers: Vec<_> = identifiers
            .iter()
            .map(|(kind, value)| json!({"type": kind, "value": value}))
            .collect();
        let payload = json!({"identifiers": identifiers});
        self.post(&url("/acme/new-order"), &payload).await
    }
}

/// Fulfils the only challenge of an order with evidence for this key.
pub(crate) async fn fulfil(world: &World, order_url: &str, spki_der: &[u8]) -> Order {
    let id = OrderId::parse(order_url.rsplit('/').next().unwrap()).unwrap();
    let order = world.store.order(id).await.unwrap().unwrap();
    let id = order.value.authorizations[0];
    let authorization = world.store.authorization(id).await.unwrap().unwrap();
    let evidence = EvidenceRecord {
        spki_sha256: sha256(spki_der),
        key: KeyKind::P256,
        facts: DeviceFacts::default(),
        root_sha256: [7; 32],
        object_sha256: [8; 32],
        at: Timestamp(NOW),
    };
    let challenge = authorization.value.challenges()[0].id();
    let basis = Basis::Evidence(evidence);
    let fulfilled = authorization.value.fulfil(challenge, basis).unwrap();
    let ready = order.value.authorize().unwrap();
    let changes = vec![
        Change::UpdateAuthorization(fulfilled, authorization.version),
        Change::UpdateOrder(ready.clone(), order.version),
    ];
    let now = Timestamp(NOW);
    let changes = ChangeSet::new(now, changes);
    world.store.commit("test", changes).await.unwrap();
    ready
}

/// Asserts that an answer is this problem: its status, type, media type, and
/// the header fields that every answer has.
#[track_caller]
pub(crate) fn assert_problem(answer: &Response, status: u16, name: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert!(answer.problem().is(name), "{name}: {text}");
    assert_eq!(answer.json().unwrap()["status"], status, "{text}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.links("index"), [url("/acme/directory")]);
}

/// The same for the answer to a POST.
#[track_caller]
pub(crate) fn assert_refused(answer: &Response, status: u16, name: &str) {
    assert_problem(answer, status, name);
    assert!(answer.replay_nonce().is_some());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// A wall clock that tests set, with a constant uptime.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn set(&self, now: u64) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn uptime(&self) -> u64 {
        0
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct Counter(AtomicU64);

impl Counter {
    /// Two servers of a test never generate the same bytes.
    fn of_next_process() -> Self {
        static PROCESSES: AtomicU64 = AtomicU64::new(0);
        Self(AtomicU64::new(
            PROCESSES.fetch_add(1, Ordering::Relaxed) << 32,
        ))
    }
}

impl Random for Counter {
    fn fill(&self, _: Purpose, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            let block = sha256(&count.to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

/// Knows the serial numbers that begin with C02. Those that begin with C02SLOW
/// are found after the milliseconds that follow.
struct TestInventory;

/// The slow look-ups that completed.
pub(crate) static SLOW_LOOKUPS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[async_trait]
impl Inventory for TestInventory {
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable> {
        if let Some(milliseconds) = name.strip_prefix("C02SLOW") {
            let milliseconds = milliseconds.parse().unwrap();
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            SLOW_LOOKUPS.lock().unwrap().push(name.to_owned());
        }
        match name {
            "DOWN" => Err(InventoryUnavailable("secret of the operator".to_owned())),
            "PANIC" => panic!("secret of the operator"),
            _ => Ok(name.starts_with("C02").then_some(Attribute::Serial)),
        }
    }
}
