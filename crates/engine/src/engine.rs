use std::sync::{Arc, Mutex, PoisonError};

use assay_attest::{TrustAnchor, Verifier};
use assay_ca::{Issuer, SerialNumber};
use assay_proto::{Readiness, Timestamp};
use ipnet::IpNet;

use crate::{
    Error,
    attempts::CommitCounts,
    authenticate::RequestInfo,
    directories::{Directories, Directory},
    events::Event,
    health::{Health, Part},
    ids::NodeId,
    issuance::{ValidityLimits, end_of_ca},
    issuers::Issuers,
    names::DirectoryName,
    nonce::Nonces,
    notes::Noting,
    ports::{
        Blocking, Change, ChangeSet, Clock, CommitError, NonceService, Observer, OpenOrders,
        Purpose, Random, Space, Store, Validator, Version,
    },
    profile::Profile,
    provisional::Provisional,
    recent::RecentRefusals,
    space::SpaceGuard,
    stale::SecondLooks,
    tally::Tally,
    time::{ClockEvent, ClockReading, ServerTime},
    urls::Urls,
    usecase::BeingDisplaced,
};

/// All decisions of the certificate authority. One instance serves all
/// requests.
pub struct Engine {
    pub(crate) blocking: Option<Arc<dyn Blocking>>,
    pub(crate) commit_counts: CommitCounts,
    pub(crate) displaced_accounts: Tally,
    pub(crate) directories: Directories,
    pub(crate) displaced_orders: Tally,
    pub(crate) second_looks: SecondLooks,
    pub(crate) being_displaced: BeingDisplaced,
    pub(crate) health: Arc<Health>,
    pub(crate) issuers: Issuers,
    pub(crate) server_issuer: Option<Issuer>,
    pub(crate) limits: Limits,
    pub(crate) nonces: Arc<dyn NonceService>,
    pub(crate) node: NodeId,
    pub(crate) noting: Noting,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) provisional: Provisional,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) recent_refusals: RecentRefusals,
    pub(crate) space: SpaceGuard,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) validators: Vec<Arc<dyn Validator>>,
    pub(crate) verifier: Verifier,
    clock: Arc<dyn Clock>,
    time: Mutex<ServerTime>,
    trusted_roots: Vec<[u8; 32]>,
}

/// The parts of an engine.
pub struct Setup {
    /// The trusted attestation roots.
    pub anchors: Vec<TrustAnchor>,
    /// Runs blocking signers. Without it no signer may block.
    pub blocking: Option<Arc<dyn Blocking>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The ACME endpoints, with their profiles.
    pub directories: Directories,
    /// Networks whose accounts are neither counted as provisional nor
    /// displaced.
    pub exempt: Vec<IpNet>,
    /// Where parts of the server report failures.
    pub health: Arc<Health>,
    /// The CAs for device certificates.
    pub issuers: Issuers,
    /// The limits on clients.
    pub limits: Limits,
    /// The largest forward step of the wall clock, in seconds, that is followed
    /// without the operator's confirmation.
    pub max_jump: u64,
    /// A nonce service shared by several nodes. Without it nonces are local to
    /// this node, and redeemed nonces are recorded in the store.
    pub nonces: Option<Arc<dyn NonceService>>,
    /// The observers. Each receives all events.
    pub observers: Vec<Arc<dyn Observer>>,
    /// The source of random bytes.
    pub random: Arc<dyn Random>,
    /// The CA of this server's own TLS certificate, if it has one.
    pub server_issuer: Option<Issuer>,
    /// Measures the free space for the store.
    pub space: Option<Arc<dyn Space>>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The background validators, one per challenge type. Their types are
    /// offered beside `device-attest-01`.
    pub validators: Vec<Arc<dyn Validator>>,
}

/// The limits on clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Below this many free bytes new accounts and orders are refused; 0:
    /// never.
    pub free_space: u64,
    /// The most identifiers in one order. A device orders one; each costs an
    /// authorization, a challenge and an attestation. A certificate with all of
    /// them must fit [`MAX_TBS`](crate::issuance::MAX_TBS).
    pub identifiers: usize,
    /// The most orders open at once. In the limit over all accounts, orders
    /// from light networks are admitted beyond it, up to twice as many.
    pub open_orders: OpenOrders,
    /// How long an order stays open, in seconds.
    pub order_lifetime: u64,
    /// The most provisional accounts, those without a valid authorization.
    /// Accounts from light networks are admitted beyond it, up to twice as
    /// many.
    pub provisional_accounts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            free_space: 0,
            identifiers: 5,
            open_orders: OpenOrders {
                of_account: 100,
                of_identifier: 20,
                pending: 200,
            },
            order_lifetime: 8 * 3600,
            provisional_accounts: 20_000,
        }
    }
}

impl Engine {
    /// Starts an engine from the recorded state in the store. Evidence is
    /// verified with aws-lc-rs.
    ///
    /// # Errors
    /// When the store fails; [`Error::Internal`] for a blocking signer without
    /// [`Setup::blocking`].
    pub async fn start(setup: Setup) -> Result<Self, Error> {
        let may_block = setup.issuers.may_block()
            || setup.server_issuer.as_ref().is_some_and(Issuer::may_block);
        if may_block && setup.blocking.is_none() {
            let fault = "a CA's key may block, but there are no threads for blocking signers";
            return Err(Error::Internal(fault.to_owned()));
        }
        let recorded = setup.store.latest_time().await?;
        let nonces = match setup.nonces {
            Some(nonces) => nonces,
            None => Arc::new(Nonces::new(
                setup.store.nonce_key().await?,
                setup.store.redemptions().await?,
                setup.random.as_ref(),
            )),
        };
        Ok(Self {
            blocking: setup.blocking,
            commit_counts: CommitCounts::default(),
            displaced_accounts: Tally::default(),
            directories: setup.directories,
            displaced_orders: Tally::default(),
            second_looks: SecondLooks::default(),
            being_displaced: BeingDisplaced::default(),
            health: Arc::clone(&setup.health),
            issuers: setup.issuers,
            server_issuer: setup.server_issuer,
            limits: setup.limits,
            nonces,
            node: NodeId::draw(setup.random.as_ref()),
            noting: Noting::default(),
            observers: setup.observers,
            provisional: Provisional::new(setup.limits.provisional_accounts, setup.exempt),
            random: setup.random,
            recent_refusals: RecentRefusals::default(),
            space: SpaceGuard::new(setup.space, setup.limits.free_space, setup.health),
            time: Mutex::new(ServerTime::starting(
                recorded,
                setup.clock.now(),
                setup.clock.uptime(),
                setup.max_jump,
            )),
            store: setup.store,
            validators: setup.validators,
            trusted_roots: setup
                .anchors
                .iter()
                .map(|anchor| *anchor.sha256())
                .collect(),
            verifier: Verifier::new(setup.anchors, Box::new(assay_attest::AwsLc)),
            clock: setup.clock,
        })
    }

    /// Returns the server's time. It is monotonic and never behind a recorded
    /// time, so a clock that jumps back revives nothing.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.read_clock().now
    }

    /// Returns the server's time and whether the wall clock agrees with it.
    /// Call it at least once a minute: otherwise the engine cannot see that a
    /// step of the wall clock holds.
    #[must_use]
    pub fn read_clock(&self) -> ClockReading {
        // Read under the lock: the uptime must not decrease between two
        // observations.
        let (reading, event) = {
            let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
            time.observe(self.clock.now(), self.clock.uptime())
        };
        if let Some(event) = event {
            self.report_clock(event, &reading);
        }
        reading
    }

    /// Returns the state of all parts of the server.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let clock = self.read_clock();
        // Departures of a flapping clock are events only once a minute; health
        // always shows the current state.
        match clock.in_doubt {
            true => self.health.degrade(Part::Clock, clock.to_string()),
            false => self.health.recover(Part::Clock),
        }
        // Only the issuing CA: an ended CA of the others stops nothing.
        if let Err(ended) = end_of_ca("issuing", self.issuers.issuing(), clock.now) {
            self.health.fail(Part::Signer, ended);
        }
        self.health.readiness()
    }

    /// Follows the wall clock after the operator confirmed that the time is
    /// `confirmed`, and records the time. Returns the server's time.
    ///
    /// # Errors
    /// [`Error::ClockRefused`] if the wall clock is more than an hour from
    /// `confirmed` or behind the server's time; when the store fails.
    pub async fn accept_clock(&self, confirmed: Timestamp) -> Result<Timestamp, Error> {
        let event = {
            let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
            time.accept(confirmed, self.clock.now(), self.clock.uptime())?
        };
        if let Some(event) = event {
            self.report_clock(event, &self.read_clock());
        }
        self.record_time("accept-clock").await
    }

    /// Records the time. Otherwise the first start after an idle period would
    /// look like a clock jump. Returns the recorded time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_time(&self, name: &'static str) -> Result<Timestamp, Error> {
        let now = self.now();
        self.commit(&RequestInfo::default(), name, now, Vec::new())
            .await?;
        Ok(now)
    }

    /// Measures the free space for the store. Call it about once a second.
    pub fn check_space(&self) {
        self.space.check(|event| self.report(event));
    }

    /// Whether new accounts and orders are refused for lack of disk space.
    #[must_use]
    pub fn is_space_low(&self) -> bool {
        self.space.is_low()
    }

    /// Reports accounts and orders that were displaced or refused since the
    /// last call, as one event per kind if there were any. Call it once a
    /// second.
    pub fn report_displaced(&self) {
        if let Some(dropped) = self.displaced_accounts.take() {
            self.report(&Event::ProvisionalAccountsDropped(dropped));
        }
        if let Some(displaced) = self.displaced_orders.take() {
            self.report(&Event::OrdersDisplaced(displaced));
        }
    }

    /// Returns a fresh nonce.
    #[must_use]
    pub fn nonce(&self) -> String {
        self.nonces.issue(self.now())
    }

    /// The ACME endpoints.
    #[must_use]
    pub fn directories(&self) -> &Directories {
        &self.directories
    }

    /// The URLs of the default directory.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        self.directories.default_directory().urls()
    }

    /// Returns the directory of a request or an account.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the configuration no longer has it.
    pub(crate) fn directory(&self, name: &DirectoryName) -> Result<&Directory, Error> {
        let found = self.directories.get(name);
        (found.map(|directory| &**directory)).ok_or(Error::NotFound("directory"))
    }

    /// Returns the validity limits of a certificate of this profile issued now.
    ///
    /// # Errors
    /// [`Error::CaEnded`] once the CA's own certificate has expired. While the
    /// clock is in doubt, [`Error::Clock`] instead, and also if that
    /// certificate is not valid yet.
    pub(crate) fn validity_limits(
        &self,
        profile: &Profile,
        clock: &ClockReading,
    ) -> Result<ValidityLimits, Error> {
        let issuer = self.issuers.issuing();
        let issuer_not_before = Timestamp(issuer.not_before());
        if clock.issuing() < issuer_not_before {
            clock.settled()?;
        }
        let end = end_of_ca("issuing", issuer, clock.now).map_err(Error::CaEnded);
        Ok(ValidityLimits {
            lifetime: profile.lifetime,
            issuer_not_before,
            issuer_not_after: clock.settle(end)?,
        })
    }

    pub(crate) fn trusts_root(&self, sha256: &[u8; 32]) -> bool {
        self.trusted_roots.contains(sha256)
    }

    pub(crate) fn draw_serial(&self) -> SerialNumber {
        let mut bytes = [0; 16];
        self.random.fill(Purpose::SerialNumber, &mut bytes);
        SerialNumber::from_random(bytes)
    }

    /// Shuts the engine down: records redeemed nonces that no commit carried
    /// (those of requests that changed nothing), so that the next process
    /// accepts none of them, and releases the leases of this node.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close(&self) -> Result<(), Error> {
        let now = self.now();
        for redeemed in self.nonces.unrecorded(now) {
            let set = ChangeSet {
                redeemed,
                ..ChangeSet::new(now, Vec::new())
            };
            self.commit_set("redeemed", set).await?;
        }
        self.release_leases().await
    }

    fn report_clock(&self, event: ClockEvent, reading: &ClockReading) {
        match event {
            ClockEvent::Departed => self.health.degrade(Part::Clock, reading.to_string()),
            ClockEvent::Returned | ClockEvent::Followed(_) => self.health.recover(Part::Clock),
        }
        self.report(&match event {
            ClockEvent::Departed => Event::ClockDeparted { reading },
            ClockEvent::Returned => Event::ClockReturned { reading },
            ClockEvent::Followed(seconds) => Event::ClockFollowed { reading, seconds },
        });
    }

    pub(crate) async fn commit(
        &self,
        request: &RequestInfo,
        name: &'static str,
        now: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Version, CommitError> {
        let set = ChangeSet {
            redeemed: request.redemption().into_iter().collect(),
            ..ChangeSet::new(now, changes)
        };
        self.commit_set(name, set).await
    }

    async fn commit_set(&self, name: &'static str, set: ChangeSet) -> Result<Version, CommitError> {
        let redeemed = set.redeemed.clone();
        let committed = self.store.commit(name, set).await;
        self.commit_counts.add(name, &committed);
        let version = committed?;
        self.nonces.recorded(&redeemed);
        Ok(version)
    }
}
