use std::sync::{Arc, Mutex, PoisonError};

use assay_attest::{TrustAnchor, Verifier};
use assay_ca::{Issuer, SerialNumber};
use assay_proto::{Readiness, Timestamp};
use ipnet::IpNet;

use crate::{
    Error,
    attempts::CommitCounts,
    authenticate::Request,
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
    usecase::GivingWay,
};

/// All decisions of the certificate authority. One value serves all requests.
pub struct Engine {
    pub(crate) blocking: Option<Arc<dyn Blocking>>,
    pub(crate) commit_counts: CommitCounts,
    pub(crate) displaced_accounts: Tally,
    pub(crate) directories: Directories,
    pub(crate) displaced_orders: Tally,
    pub(crate) second_looks: SecondLooks,
    pub(crate) giving_way: GivingWay,
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

/// What an engine is made of.
pub struct Setup {
    /// The roots that may vouch for devices.
    pub anchors: Vec<TrustAnchor>,
    /// Runs signers that may block. Without it there may be none.
    pub blocking: Option<Arc<dyn Blocking>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The ACME endpoints, with their profiles.
    pub directories: Directories,
    /// The networks whose accounts are not counted as provisional, nor give way
    /// to others.
    pub exempt: Vec<IpNet>,
    /// Where the parts of the server report what fails.
    pub health: Arc<Health>,
    /// The CAs of the devices.
    pub issuers: Issuers,
    /// How much clients may do.
    pub limits: Limits,
    /// The largest forward step of the wall clock that is followed without the
    /// operator's confirmation, in seconds.
    pub max_jump: u64,
    /// Nonces that several nodes share. Without them they are of this node
    /// alone, and what was redeemed is recorded in the store.
    pub nonces: Option<Arc<dyn NonceService>>,
    /// See what happens, each of them all of it.
    pub observers: Vec<Arc<dyn Observer>>,
    /// Gives chance.
    pub random: Arc<dyn Random>,
    /// The CA of this server's own TLS certificate, where it has one.
    pub server_issuer: Option<Issuer>,
    /// The room that is left for the store.
    pub space: Option<Arc<dyn Space>>,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What validates challenges in the background, one a challenge type: those
    /// types are offered beside `device-attest-01`.
    pub validators: Vec<Arc<dyn Validator>>,
}

/// How much clients may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Below so many free bytes new accounts and orders are refused; 0: never.
    pub free_space: u64,
    /// The most identifiers of one order. A device orders for one, and each
    /// costs an authorization, a challenge and an attestation. The certificate
    /// that names them all must fit [`MAX_TBS`](crate::issuance::MAX_TBS).
    pub identifiers: usize,
    /// The most orders that are open at once. Of all accounts, light networks
    /// are let in beyond it, up to twice as many.
    pub open_orders: OpenOrders,
    /// How long an order may take, in seconds.
    pub order_lifetime: u64,
    /// The most provisional accounts, those without a valid authorization.
    /// Light networks are let in beyond it, up to twice as many.
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
    /// Starts an engine from what the store recorded. Evidence is verified by
    /// aws-lc-rs.
    ///
    /// # Errors
    /// Faults of the store; [`Error::Internal`] for a signer that may block
    /// where nothing runs it.
    pub async fn start(setup: Setup) -> Result<Self, Error> {
        let may_block = setup.issuers.may_block()
            || setup.server_issuer.as_ref().is_some_and(Issuer::may_block);
        if may_block && setup.blocking.is_none() {
            let fault = "a CA's key may block, and there are no threads for it";
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
            giving_way: GivingWay::default(),
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

    /// The server's time. It never goes back, not behind what was recorded
    /// either: a clock that jumps back revives nothing.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.read_clock().now
    }

    /// The server's time, and whether the wall clock agrees with it. Somebody
    /// must ask at least once a minute, or a step of the wall clock is never
    /// seen to hold.
    #[must_use]
    pub fn read_clock(&self) -> ClockReading {
        // Read under the lock: the uptime must not go back between two
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

    /// The state of all parts of the server.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let clock = self.read_clock();
        // Not every departure is an event: of a clock that comes and goes, one a
        // minute is.
        match clock.in_doubt {
            true => self.health.degrade(Part::Clock, clock.to_string()),
            false => self.health.recover(Part::Clock),
        }
        // The others issue no more, and have nothing left to stop when they end.
        if let Err(ended) = end_of_ca("issuing", self.issuers.issuing(), clock.now) {
            self.health.fail(Part::Signer, ended);
        }
        self.health.readiness()
    }

    /// Follows the wall clock, because the operator confirms that it is
    /// `confirmed`, and records the time. Returns the server's time.
    ///
    /// # Errors
    /// [`Error::ClockRefused`] where the wall clock is more than an hour from
    /// `confirmed` or behind the server's time; faults of the store.
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

    /// Records the time, so that a server at rest does not look like a clock
    /// that jumped when it starts again. Returns what was recorded.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn record_time(&self, name: &'static str) -> Result<Timestamp, Error> {
        let now = self.now();
        self.commit(&Request::default(), name, now, Vec::new())
            .await?;
        Ok(now)
    }

    /// Measures the room that is left for the store. A caller must ask about
    /// once a second.
    pub fn check_space(&self) {
        self.space.check(|event| self.report(event));
    }

    /// Whether new accounts and orders are refused for lack of room.
    #[must_use]
    pub fn is_space_low(&self) -> bool {
        self.space.is_low()
    }

    /// Reports what gave way to newer accounts and orders, and what was refused,
    /// since the last time: one event each, where there is anything. A caller
    /// must ask once a second.
    pub fn report_displaced(&self) {
        if let Some(dropped) = self.displaced_accounts.take() {
            self.report(&Event::ProvisionalAccountsDropped(dropped));
        }
        if let Some(displaced) = self.displaced_orders.take() {
            self.report(&Event::OrdersDisplaced(displaced));
        }
    }

    /// A fresh nonce.
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

    /// The directory of a request or an account.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the configuration has it no more.
    pub(crate) fn directory(&self, name: &DirectoryName) -> Result<&Directory, Error> {
        let found = self.directories.get(name);
        (found.map(|directory| &**directory)).ok_or(Error::NotFound("directory"))
    }

    /// What bounds a certificate of this profile that is issued now.
    ///
    /// # Errors
    /// [`Error::CaEnded`] once the CA's own certificate has ended;
    /// [`Error::Clock`] instead, or where it has not begun, while the clock is
    /// in doubt.
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

    /// Ends a process that no longer serves: records the redeemed nonces that
    /// no commit carried, those of requests that changed nothing. After that
    /// the next process accepts no nonce that this one accepted. Gives back the
    /// leases that this node holds.
    ///
    /// # Errors
    /// Faults of the store.
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
        request: &Request,
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
