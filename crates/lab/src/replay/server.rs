//! The replay server: an engine whose clock, token and list of devices are those
//! of a recording, whose other random bytes are derived from the token, whose
//! store is in memory, and whose CA is the same in every process. Its keys are public: what it issues proves nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use assay_attest::TrustAnchor;
use assay_ca::authority;
use assay_engine::{
    Engine, Issuers, Limits, Setup,
    admission::{Admission, AdmissionPolicy, Inventory, InventoryUnavailable},
    directories::{Directories, DirectoryPlan, Profiles},
    domain::Attribute,
    ports::{Clock, Observer, Purpose, Random},
    profile::Profile,
    sha256,
    time::MAX_JUMP,
};
use assay_proto::{Identifier, Timestamp, WireIdentifier};
use assay_recording::{Acme, Recording, Time};
use assay_server::RequestLog;
use assay_store::MemoryStore;
use async_trait::async_trait;
use data_encoding::BASE64URL_NOPAD;

/// An engine with the recording's clock and random bytes, and its store.
pub struct ReplayServer {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Counts what is not logged.
    pub request_log: Arc<RequestLog>,
    /// The engine's store.
    pub store: Arc<MemoryStore>,
}

/// Makes the observer of a replay server, which counts by its request log.
pub type Observe = fn(Arc<RequestLog>) -> Arc<dyn Observer>;

/// What a replay server needs and a recording does not say.
pub struct Settings {
    /// The trusted attestation roots.
    pub anchors: Vec<TrustAnchor>,
    /// The origin of all URLs.
    pub base_url: String,
    /// Makes the observer of its events.
    pub observe: Observe,
    /// The profile of its certificates.
    pub profile: Profile,
}

impl ReplayServer {
    /// Starts an engine whose clock stands still at `time` and whose every
    /// challenge has the recorded token.
    ///
    /// # Errors
    /// The recording holds what no server can have: a token of another form, an
    /// identifier that cannot be ordered.
    pub async fn start(time: Time, acme: &Acme, settings: Settings) -> anyhow::Result<Self> {
        let token = token_bytes(&acme.token)?;
        let now = time.seconds();
        let store = Arc::new(MemoryStore::new());
        let issuer = authority::repeatable(now).context("there is no CA for the recorded time")?;
        let clock = Arc::new(StandingClock(Timestamp(now)));
        let request_log = Arc::new(RequestLog::new(clock.clone()));
        let engine = Engine::start(Setup {
            anchors: settings.anchors,
            blocking: None,
            clock,
            directories: Directories::single(
                &settings.base_url,
                &Profiles::single(settings.profile),
                DirectoryPlan::new(admission(acme)?),
            )?,
            exempt: Vec::new(),
            health: Arc::default(),
            issuers: Issuers::single(issuer),
            limits: Limits::default(),
            max_jump: MAX_JUMP,
            nonces: None,
            observers: vec![(settings.observe)(Arc::clone(&request_log))],
            random: Arc::new(ScriptedRandom {
                token,
                drawn: Mutex::default(),
            }),
            server_issuer: None,
            space: None,
            store: Arc::clone(&store) as _,
            validators: Vec::new(),
        })
        .await?;
        Ok(Self {
            engine: Arc::new(engine),
            request_log,
            store,
        })
    }
}

/// Adds the root that the recording brings to `anchors`, if that root is
/// `trusted` and not among them; returns whether it did.
///
/// # Errors
/// The root is no root certificate.
pub fn add_embedded_root(
    anchors: &mut Vec<TrustAnchor>,
    recording: &Recording,
    trusted: bool,
) -> anyhow::Result<bool> {
    let Some(root) = recording.embedded_root().filter(|_| trusted) else {
        return Ok(false);
    };
    if anchors.iter().any(|anchor| anchor.der() == root) {
        return Ok(false);
    }
    let anchor = TrustAnchor::laboratory(root, "embedded root");
    anchors.push(anchor.context("\"embedded_root\" cannot be trusted")?);
    Ok(true)
}

/// The 32 bytes that a token encodes in base64url.
fn token_bytes(token: &str) -> anyhow::Result<[u8; 32]> {
    BASE64URL_NOPAD
        .decode(token.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .context(
            "this server cannot issue its token (not the base64url of 32 bytes): only `assay replay` without --end-to-end can judge it",
        )
}

/// Admits what was admitted then.
fn admission(acme: &Acme) -> anyhow::Result<AdmissionPolicy> {
    let identifier = Identifier::parse(&WireIdentifier {
        kind: acme.identifier.kind.clone(),
        value: acme.identifier.value.clone(),
    })
    .context("the recorded identifier cannot be ordered")?;
    let assigners = match &identifier {
        Identifier::PermanentIdentifier(identifier) => identifier.assigner().cloned(),
        Identifier::HardwareModule(_) => None,
    };
    ensure!(
        identifier.device() == acme.admission.value,
        "its admission is of another device than the identifier that it orders: the order cannot be placed"
    );
    Ok(AdmissionPolicy {
        // Whether the rule was `listed` or `any-attested`: no other device is served.
        admission: Admission::Listed(Arc::new(OneDevice {
            name: acme.admission.value.clone(),
            attribute: acme.admission.attribute,
        })),
        assigners: HashSet::from_iter(assigners),
    })
}

/// A list of the one device that the recording is about.
struct OneDevice {
    name: String,
    attribute: Attribute,
}

#[async_trait]
impl Inventory for OneDevice {
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable> {
        Ok((name == self.name).then_some(self.attribute))
    }
}

/// A clock that stands still: the evidence stays as old as it was, and nothing
/// expires, however long the replay takes.
struct StandingClock(Timestamp);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn uptime(&self) -> u64 {
        0
    }
}

/// Scripted random bytes: the recorded token for each challenge, and for each
/// other purpose a stream that is derived from token and purpose alone.
struct ScriptedRandom {
    token: [u8; 32],
    /// How often each purpose has drawn.
    drawn: Mutex<HashMap<Purpose, u64>>,
}

impl Random for ScriptedRandom {
    fn fill(&self, purpose: Purpose, bytes: &mut [u8]) {
        if purpose == Purpose::Token {
            for (byte, token) in bytes.iter_mut().zip(self.token) {
                *byte = token;
            }
            return;
        }
        let draw = {
            let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let count = drawn.entry(purpose).or_default();
            *count += 1;
            *count
        };
        for (index, chunk) in bytes.chunks_mut(32).enumerate() {
            let block = sha256(
                &[
                    &self.token[..],
                    &draw.to_be_bytes(),
                    &(index as u64).to_be_bytes(),
                    purpose.as_str().as_bytes(),
                ]
                .concat(),
            );
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_engine::{domain::Token, ids::OrderId};

    use super::*;

    const TOKEN: &str = "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw";

    fn random() -> ScriptedRandom {
        ScriptedRandom {
            token: token_bytes(TOKEN).unwrap(),
            drawn: Mutex::default(),
        }
    }

    #[test]
    fn every_token_is_the_recorded_one() {
        let random = random();
        assert_eq!(Token::draw(&random).as_str(), TOKEN);
        assert_eq!(Token::draw(&random).as_str(), TOKEN);
    }

    #[test]
    fn what_one_purpose_draws_shifts_no_other_and_nothing_comes_twice() {
        let (one, other) = (random(), random());
        let mut key = [0; 80];
        one.fill(Purpose::NonceKey, &mut key);
        assert_ne!(key[..32], key[32..64]);
        let first = OrderId::draw(&one);
        assert_eq!(first, OrderId::draw(&other));
        assert_ne!(first, OrderId::draw(&one));
    }

    #[test]
    fn a_token_of_another_form_cannot_be_given_out() {
        for token in ["", "abc", &TOKEN[..42], &TOKEN.replace("zzw", "zzx")] {
            assert!(token_bytes(token).is_err(), "{token}");
        }
    }
}
