//! A test harness around an engine: a clock that only moves forward, a store
//! with planned failures, a real CA and a real attestation authority.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this"
)]

pub mod eventful;
pub mod faulty_store;
pub mod module;
pub mod observer;
pub mod validator;
pub mod walk;

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};

use assay_attest::TrustAnchor;
use assay_ca::{
    FileSigner, Issuer,
    authority::{self, Authority, AuthorityPlan, Host, KeyType as CaKey},
};
use assay_engine::{
    AccountContext, Context, Engine, Error, Issuers, KeyContext, Limits, RequestInfo, Setup,
    admission::{Admission, AdmissionPolicy, Inventory, InventoryUnavailable},
    directories::{Directories, DirectoryPlan},
    domain::{Account, Attribute, Authorization, Challenge, Order},
    ids::{AccountId, ChallengeId},
    names::{DirectoryName, ProfileName},
    ports::{
        Clock, NonceService, Observer, Purpose, Random, Space, Store, Validator, Version, Versioned,
    },
    profile::Profile,
    time::MAX_JUMP,
};
use assay_jws::PublicKey;
use assay_proto::{
    AttestationResponse, Base64Url, NewAccount, NewOrder, Problem, ProblemType, Timestamp,
    WireIdentifier,
};
use assay_simulator::{
    AccountKey, Algorithm, CsrRequest, Device, KeyType, authority::AttestationAuthority,
    evidence::DeviceProperties,
};
use async_trait::async_trait;
use faulty_store::FaultyStore;
use module::{Module, TestThreads};
use observer::TestObserver;
use rustls_pki_types::{CertificateDer, pem::PemObject};

pub const START: Timestamp = Timestamp(1_800_000_000);
pub const SERIAL: &str = "C02AAA";

/// A clock set by tests; clones share one time.
#[derive(Clone, Default)]
pub struct TestClock {
    now: Arc<AtomicU64>,
    uptime: Arc<AtomicU64>,
}

impl TestClock {
    pub fn starting() -> Self {
        let clock = Self::default();
        clock.set(START);
        clock
    }

    /// Advances both clocks.
    pub fn advance(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
        self.uptime.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Advances both clocks to `now`.
    pub fn move_to(&self, now: Timestamp) {
        self.advance(now.0 - self.now.load(Ordering::SeqCst));
    }

    /// Sets only the wall clock.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> u64 {
        self.uptime.load(Ordering::SeqCst)
    }
}

pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, _: Purpose, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

/// A list of devices by serial number, which can become unavailable.
#[derive(Default)]
pub struct TestInventory {
    pub serials: Mutex<HashSet<String>>,
    /// The UDID of every device.
    pub udid: Mutex<Option<String>>,
    pub down: AtomicBool,
}

struct Shared(Arc<TestInventory>);

#[async_trait]
impl Inventory for Shared {
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable> {
        if self.0.down.load(Ordering::SeqCst) {
            return Err(InventoryUnavailable("no route".to_owned()));
        }
        let serials = self
            .0
            .serials
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(serials.contains(name).then_some(Attribute::Serial))
    }

    async fn other_attribute(&self, _: &str) -> Option<(Attribute, String)> {
        let udid = self.0.udid.lock().unwrap_or_else(PoisonError::into_inner);
        Some((Attribute::Udid, udid.clone()?))
    }
}

/// An engine and everything around it.
pub struct Harness {
    pub authority: Arc<AttestationAuthority>,
    pub clock: TestClock,
    pub engine: Arc<Engine>,
    pub inventory: Arc<TestInventory>,
    pub observer: Arc<TestObserver>,
    pub store: Arc<FaultyStore>,
    pub cas: Arc<Authority>,
    pub settings: Settings,
}

/// The operator's settings.
#[derive(Clone, Default)]
pub struct Settings {
    pub exempt: Vec<&'static str>,
    pub limits: Limits,
    /// The module with the CA keys; without it they are in files.
    pub module: Option<Arc<Module>>,
    pub nonces: Option<Arc<dyn NonceService>>,
    /// Observers beside [`Harness::observer`].
    pub observers: Vec<Arc<dyn Observer>>,
    pub space: Option<Arc<dyn Space>>,
    pub threads: Arc<TestThreads>,
    pub threadless: bool,
    pub validators: Vec<Arc<dyn Validator>>,
    /// Profiles beside the default one.
    pub profiles: Vec<(&'static str, Profile)>,
    /// Directories beside the default one, and the profiles each offers, its
    /// default profile first.
    pub directories: Vec<(&'static str, Vec<&'static str>)>,
    /// CAs that issued before.
    pub former: Vec<Arc<Authority>>,
}

impl Settings {
    fn directories(&self, admission: AdmissionPolicy) -> Directories {
        let profiles = self.profiles.iter().cloned();
        let profiles = profiles.chain([("default", Profile::privacy_preserving())]);
        let default = DirectoryPlan::new(admission);
        let named = self.directories.iter().map(|(name, offered)| {
            let profiles: Vec<_> = offered.iter().map(|name| profile_name(name)).collect();
            let plan = DirectoryPlan {
                default_profile: profiles[0],
                profiles,
                ..default.clone()
            };
            (directory_name(name), plan)
        });
        let plans = named.chain([(DirectoryName::DEFAULT, default.clone())]);
        Directories::new(
            "https://localhost:8443",
            &profiles
                .map(|(name, profile)| (profile_name(name), profile))
                .collect(),
            plans.collect(),
        )
        .unwrap()
    }
}

pub fn directory_name(name: &str) -> DirectoryName {
    DirectoryName::parse(name).unwrap()
}

pub fn profile_name(name: &str) -> ProfileName {
    ProfileName::parse(name).unwrap()
}

impl Harness {
    pub fn new() -> Self {
        let authority = AttestationAuthority::create(START.0).unwrap();
        Self::around(Arc::new(authority), Arc::new(new_cas()))
    }

    pub fn with(settings: Settings) -> Self {
        let authority = AttestationAuthority::create(START.0).unwrap();
        Self::built(Arc::new(authority), Arc::new(new_cas()), settings)
    }

    /// Uses existing authorities.
    pub fn around(authority: Arc<AttestationAuthority>, cas: Arc<Authority>) -> Self {
        Self::built(authority, cas, Settings::default())
    }

    fn built(
        authority: Arc<AttestationAuthority>,
        cas: Arc<Authority>,
        settings: Settings,
    ) -> Self {
        let inventory = Arc::new(TestInventory::default());
        inventory.serials.lock().unwrap().insert(SERIAL.to_owned());
        let clock = TestClock::starting();
        let store = Arc::new(FaultyStore::default());
        let observer = Arc::new(TestObserver::default());
        let around = (&clock, &inventory, &observer, &store);
        let engine = engine(&[&authority], &cas, around, &settings).unwrap();
        Self {
            authority,
            clock,
            engine: Arc::new(engine),
            inventory,
            observer,
            store,
            cas,
            settings,
        }
    }

    /// Starts another process on the same store, possibly with other CAs or
    /// roots.
    pub fn restart(&self, roots: &[&AttestationAuthority], cas: &Authority) -> Engine {
        self.start(roots, cas).unwrap()
    }

    /// As [`restart`](Self::restart), but returns the result of the start.
    pub fn start(&self, roots: &[&AttestationAuthority], cas: &Authority) -> Result<Engine, Error> {
        let around = (&self.clock, &self.inventory, &self.observer, &self.store);
        engine(roots, cas, around, &self.settings)
    }

    pub async fn account(&self) -> Account {
        self.account_of(account_key()).await
    }

    /// newAccount from an address.
    pub async fn account_from(&self, address: &str) -> Result<Account, Error> {
        let context = Context::new(any_key(), RequestInfo::from(address.parse().unwrap()));
        let request = NewAccount::default();
        let made = self.engine.new_account(&context, &request);
        made.await.map(|(account, _)| account)
    }

    /// newOrder from an address.
    pub async fn order_from(
        &self,
        address: &str,
        account: &Account,
        serials: &[&str],
    ) -> Result<Order, Error> {
        for serial in serials {
            let mut listed = self.inventory.serials.lock().unwrap();
            listed.insert((*serial).to_owned());
        }
        let request = RequestInfo::from(address.parse().unwrap());
        let context = self.authenticated_from(account, request).await;
        self.engine.new_order(&context, &new_order(serials)).await
    }

    pub async fn account_of(&self, key: PublicKey) -> Account {
        let (account, created) = self
            .engine
            .new_account(&keyed(key), &NewAccount::default())
            .await
            .unwrap();
        assert!(created);
        account
    }

    pub async fn order(&self, account: &Account, serials: &[&str]) -> Result<Order, Error> {
        for serial in serials {
            self.inventory
                .serials
                .lock()
                .unwrap()
                .insert((*serial).to_owned());
        }
        self.engine
            .new_order(&self.authenticated(account).await, &new_order(serials))
            .await
    }

    /// An authenticated request of the account; if the account is gone, with
    /// its last state.
    pub async fn authenticated(&self, account: &Account) -> AccountContext {
        self.authenticated_from(account, RequestInfo::default())
            .await
    }

    pub async fn authenticated_from(
        &self,
        account: &Account,
        request: RequestInfo,
    ) -> AccountContext {
        let stored = self.store.account(account.id).await.unwrap();
        let account = stored.unwrap_or_else(|| Versioned {
            value: account.clone(),
            version: Version(0),
        });
        Context::new(account, request)
    }

    /// A request of the account with this ID.
    pub async fn by(&self, id: AccountId) -> AccountContext {
        let stored = self.store.account(id).await.unwrap().unwrap();
        Context::new(stored, RequestInfo::default())
    }

    /// The ID of an order's challenge.
    pub async fn challenge(&self, order: &Order, index: usize) -> ChallengeId {
        self.challenges(order, index).await[0].id()
    }

    /// The challenges of the order's authorization number `index`.
    pub async fn challenges(&self, order: &Order, index: usize) -> Vec<Challenge> {
        let id = order.authorizations[index];
        let found = self.store.authorization(id).await.unwrap().unwrap();
        found.value.challenges().to_vec()
    }

    /// Sends the device's answer to the first challenge of the order's
    /// authorization number `index`.
    pub async fn answer(
        &self,
        order: &Order,
        index: usize,
        device: &Device,
    ) -> Result<Authorization, Error> {
        let context = self.by(order.account).await;
        self.answer_as(&context, order, index, device).await
    }

    pub async fn answer_as(
        &self,
        context: &AccountContext,
        order: &Order,
        index: usize,
        device: &Device,
    ) -> Result<Authorization, Error> {
        let challenges = self.challenges(order, index).await;
        let challenge = &challenges[0];
        let token = challenge.token();
        let evidence = self
            .authority
            .attest(
                &device.properties,
                &device.spki_der(),
                &assay_engine::sha256(token.as_str().as_bytes()),
                self.engine.now().0,
            )
            .unwrap();
        self.engine
            .answer_challenge(
                context,
                challenge.id(),
                &response(&evidence.attestation_object()),
            )
            .await
    }

    pub async fn finalize(&self, order: &Order, device: &Device) -> Result<Order, Error> {
        self.engine
            .finalize(&self.by(order.account).await, order.id, &csr(device))
            .await
    }

    /// A ready order and its device.
    pub async fn ready(&self, account: &Account) -> (Order, Device) {
        let device = device(SERIAL);
        let order = self.order(account, &[SERIAL]).await.unwrap();
        self.answer(&order, 0, &device).await.unwrap();
        (order, device)
    }

    pub async fn read(&self, order: &Order) -> Order {
        self.read_by(&self.engine, order).await
    }

    /// The order as its client reads it from this engine.
    pub async fn read_by(&self, engine: &Engine, order: &Order) -> Order {
        let context = self.by(order.account).await;
        engine.order(&context, order.id).await.unwrap().value
    }
}

fn engine(
    roots: &[&AttestationAuthority],
    cas: &Authority,
    (clock, inventory, observer, store): (
        &TestClock,
        &Arc<TestInventory>,
        &Arc<TestObserver>,
        &Arc<FaultyStore>,
    ),
    settings: &Settings,
) -> Result<Engine, Error> {
    let ca = |material| match &settings.module {
        Some(module) => module.issuer(material),
        None => issuer(material),
    };
    at_once(Engine::start(Setup {
        anchors: roots.iter().map(|root| anchor(root.root_der())).collect(),
        blocking: (!settings.threadless).then(|| Arc::clone(&settings.threads) as _),
        clock: Arc::new(clock.clone()),
        directories: settings.directories(AdmissionPolicy {
            admission: Admission::Listed(Arc::new(Shared(Arc::clone(inventory)))),
            assigners: HashSet::new(),
        }),
        exempt: (settings.exempt.iter())
            .map(|network| network.parse().unwrap())
            .collect(),
        health: Arc::default(),
        issuers: {
            let former = settings.former.iter().map(|cas| issuer(&cas.issuing));
            Issuers::new(ca(&cas.issuing), former.collect()).unwrap()
        },
        limits: settings.limits,
        max_jump: MAX_JUMP,
        nonces: settings.nonces.clone(),
        observers: std::iter::once(Arc::clone(observer) as _)
            .chain(settings.observers.iter().cloned())
            .collect(),
        random: Arc::new(SystemRandom),
        server_issuer: Some(ca(&cas.tls)),
        space: settings.space.clone(),
        store: Arc::clone(store) as _,
        validators: settings.validators.clone(),
    }))
}

/// The result of a future that never waits, as those of a store in memory.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// The anchor for a root, cached because building it verifies a signature.
fn anchor(root: &[u8]) -> TrustAnchor {
    static ANCHORS: LazyLock<Mutex<HashMap<Vec<u8>, TrustAnchor>>> = LazyLock::new(Mutex::default);
    ANCHORS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(root.to_owned())
        .or_insert_with(|| TrustAnchor::laboratory(root, "laboratory").unwrap())
        .clone()
}

pub fn new_cas() -> Authority {
    authority::create(&AuthorityPlan {
        name: "Test".to_owned(),
        issuing_key: CaKey::P256,
        host: Host::Dns("localhost".to_owned()),
        laboratory: true,
        now: START.0,
    })
    .unwrap()
}

pub fn issuer(material: &authority::CaMaterial) -> Issuer {
    let der = CertificateDer::from_pem_slice(material.certificate_pem.as_bytes()).unwrap();
    let signer = FileSigner::from_pkcs8_pem(&material.key_pem).unwrap();
    Issuer::new(&der, Box::new(signer)).unwrap()
}

/// An Ed25519 key of random bytes: cheap, but it cannot sign.
pub fn any_key() -> PublicKey {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    let x = data_encoding::BASE64URL_NOPAD.encode(&bytes);
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    PublicKey::from_jwk(jwk.as_bytes()).unwrap()
}

/// A request signed by a key.
pub fn keyed(key: PublicKey) -> KeyContext {
    Context::new(key, RequestInfo::default())
}

pub fn account_key() -> PublicKey {
    public(&AccountKey::generate(Algorithm::Es256).unwrap())
}

pub fn public(key: &AccountKey) -> PublicKey {
    PublicKey::from_jwk(key.jwk().to_string().as_bytes()).unwrap()
}

pub fn device(serial: &str) -> Device {
    device_with_udid(serial, "UDID")
}

pub fn device_with_udid(serial: &str, udid: &str) -> Device {
    Device::new(DeviceProperties::mac(serial, udid), KeyType::P256).unwrap()
}

pub fn csr(device: &Device) -> Vec<u8> {
    device
        .csr(&CsrRequest {
            common_name: "whatever".to_owned(),
            names: Vec::new(),
        })
        .unwrap()
}

/// How many seconds a crowded network must wait.
pub fn wait(error: &Error) -> u64 {
    assert!(matches!(error, Error::Crowded { .. }), "{error:?}");
    let problem = Problem::from(error);
    assert_eq!(
        (problem.kind, problem.status),
        (ProblemType::RateLimited, 429)
    );
    error.retry_after().unwrap()
}

pub fn response(object: &[u8]) -> AttestationResponse {
    AttestationResponse {
        att_obj: Some(Base64Url::encode(object)),
        error: None,
    }
}

pub fn new_order(serials: &[&str]) -> NewOrder {
    NewOrder {
        identifiers: serials
            .iter()
            .map(|serial| WireIdentifier {
                kind: "permanent-identifier".to_owned(),
                value: (*serial).to_owned(),
            })
            .collect(),
        not_before: None,
        not_after: None,
    }
}
