use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use assay_attest::{TrustAnchor, Verifier};
use assay_ca::{Issuer, SerialNumber};
use assay_proto::Timestamp;

use crate::{
    Error,
    admission::AdmissionPolicy,
    issuance::{ValidityLimits, end_of_ca},
    nonce::Nonces,
    ports::{
        Change, ChangeSet, Clock, CommitError, OpenOrders, Purpose, Random, Recorder, Store,
        Version,
    },
    profile::Profile,
    urls::Urls,
};

/// The most attempts at a decision that others keep overtaking.
pub(crate) const ATTEMPTS: usize = 8;

/// All decisions of the certificate authority. One value serves all requests.
pub struct Engine {
    pub(crate) admission: AdmissionPolicy,
    pub(crate) issuer: Issuer,
    pub(crate) server_issuer: Option<Issuer>,
    pub(crate) limits: Limits,
    pub(crate) nonces: Nonces,
    pub(crate) profile: Profile,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) terms_of_service: Option<String>,
    pub(crate) urls: Urls,
    pub(crate) verifier: Verifier,
    clock: Arc<dyn Clock>,
    /// The moment at which the clock's uptime was 0, the latest that was ever
    /// seen.
    origin: AtomicU64,
    trusted_roots: Vec<[u8; 32]>,
}

/// What an engine is made of.
pub struct Setup {
    /// Who may order.
    pub admission: AdmissionPolicy,
    /// The roots that may vouch for devices.
    pub anchors: Vec<TrustAnchor>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The CA of the devices.
    pub issuer: Issuer,
    /// How much one account may do.
    pub limits: Limits,
    /// What certificates look like.
    pub profile: Profile,
    /// Gives chance.
    pub random: Arc<dyn Random>,
    /// Is told what was judged.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// The CA of this server's own TLS certificate, where it has one.
    pub server_issuer: Option<Issuer>,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The URL of the terms of service that an account must agree to.
    pub terms_of_service: Option<String>,
    /// The URLs.
    pub urls: Urls,
}

/// How much one account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most identifiers of one order. A device orders for one; a record
    /// with a few of the longest, and the certificate that names them all, must
    /// fit into 4 KiB.
    pub identifiers: usize,
    /// The most orders of one account that are open at once.
    pub open_orders: OpenOrders,
    /// How long an order may take, in seconds.
    pub order_lifetime: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identifiers: 5,
            open_orders: OpenOrders {
                of_account: 100,
                of_identifier: 20,
            },
            order_lifetime: 8 * 3600,
        }
    }
}

impl Engine {
    /// An engine. Evidence is verified by aws-lc-rs.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            admission: setup.admission,
            issuer: setup.issuer,
            server_issuer: setup.server_issuer,
            limits: setup.limits,
            nonces: Nonces::new(setup.random.as_ref()),
            profile: setup.profile,
            random: setup.random,
            recorder: setup.recorder,
            origin: AtomicU64::new(
                (setup.store.latest_time().0).saturating_sub(setup.clock.uptime()),
            ),
            store: setup.store,
            terms_of_service: setup.terms_of_service,
            urls: setup.urls,
            trusted_roots: setup
                .anchors
                .iter()
                .map(|anchor| *anchor.sha256())
                .collect(),
            verifier: Verifier::new(setup.anchors, Box::new(assay_attest::AwsLc)),
            clock: setup.clock,
        }
    }

    /// The present moment, which never runs behind one that was acted on
    /// before: a clock that jumps back revives nothing. It does not stand still
    /// either, until the clock has caught up: leases end and orders expire.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let uptime = self.clock.uptime();
        let origin = self.clock.now().0.saturating_sub(uptime);
        let latest = self.origin.fetch_max(origin, Ordering::Relaxed);
        Timestamp(latest.max(origin)).plus(uptime)
    }

    /// A fresh nonce.
    #[must_use]
    pub fn nonce(&self) -> String {
        self.nonces.issue(self.now())
    }

    /// The URLs of all resources.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The URL of the terms of service.
    #[must_use]
    pub fn terms_of_service(&self) -> Option<&str> {
        self.terms_of_service.as_deref()
    }

    /// What bounds a certificate that is issued at `now`.
    ///
    /// # Errors
    /// [`Error::Internal`] once the CA's own certificate has ended.
    pub(crate) fn validity_limits(&self, now: Timestamp) -> Result<ValidityLimits, Error> {
        Ok(ValidityLimits {
            lifetime: self.profile.lifetime,
            issuer_not_before: Timestamp(self.issuer.not_before()),
            issuer_not_after: end_of_ca("issuing", &self.issuer, now).map_err(Error::Internal)?,
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

    pub(crate) async fn commit(
        &self,
        name: &'static str,
        now: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Version, CommitError> {
        self.store.commit(name, ChangeSet::new(now, changes)).await
    }
}
