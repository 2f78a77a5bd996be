//! Anti-replay nonces (RFC 8555 section 6.5) that cost nothing to give out and
//! outlive the process.
//!
//! A nonce holds the epoch of the process that issued it (a random number), a
//! counter and the time: the plaintext. It is sealed under a key that the store
//! keeps, so that the next process accepts it. The construction is SIV (Rogaway
//! and Shrimpton, "Deterministic Authenticated-Encryption", 2006): the tag is a
//! PRF of the plaintext, and the keystream is a PRF, under another key, of the
//! tag. It takes no IV that could repeat: not after a restart, not on a
//! restored backup, not on a cloned machine. Two nonces share a tag if they are
//! one nonce, and otherwise with the probability of a collision in 128 bits.
//! A client reads neither counter nor time off a nonce, so it learns nothing of
//! how many requests there are or how long the process has run.
//!
//! Only nonces that came back in an authenticated request are remembered, a bit
//! each, until their time is over. The commit that belongs to a request carries
//! its [`Redemption`]; what no commit carried is committed at a graceful stop.
//! See docs/adr/0015.
//!
//! A nonce may fail [`FAILURES`] times: a request that is refused after its nonce
//! was found genuine does not spend it, since a mistake in a signature must not
//! cost a client its nonce, but one nonce must not buy any number of signature
//! checks either.

#[cfg(test)]
mod tests;

use std::{
    array,
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use assay_proto::Timestamp;
use async_trait::async_trait;
use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE64URL_NOPAD;

use crate::ports::{NonceService, NotRedeemed, Purpose, Random, Redemption};

/// How long a nonce can be used, in seconds.
pub const LIFETIME: u64 = 15 * 60;

/// Bytes of the tag. It is the keystream's input as well.
const TAG_LEN: usize = 16;
/// Epoch, counter and time, 8 bytes each.
const BODY_LEN: usize = 24;
/// How often a request with the same nonce may fail: then the nonce is spent.
pub const FAILURES: u8 = 3;
/// Nonces that one generation of the memory of failures holds, about a megabyte:
/// more than one address is given within their lifetime by the usual limits
/// (3,000 at once and 20 a second).
const FAILED: usize = 1 << 15;
/// Nonces that a block of the memory has bits for: few enough that a sparse
/// epoch, of which only some nonces come back, stays small.
const BLOCK: u64 = 1024;
/// The most redemptions of one set: 240 kB of them.
const SET: usize = 10_000;
/// The words that hold the bits of a block.
const WORDS: usize = (BLOCK / 64) as usize;

/// Gives out nonces and redeems each once, for one node: what was redeemed is
/// in memory.
pub struct Nonces {
    tag_key: hmac::Key,
    stream_key: hmac::Key,
    epoch: u64,
    next: AtomicU64,
    used: Mutex<Used>,
    failed: Mutex<Failed>,
}

/// How often requests with a nonce failed, by epoch and counter. Two generations
/// bound the memory: what is forgotten may fail again.
#[derive(Default)]
struct Failed {
    current: HashMap<(u64, u64), u8>,
    previous: HashMap<(u64, u64), u8>,
}

/// The nonces that were used and have not expired.
struct Used {
    /// By epoch: the block of each range of counters.
    epochs: HashMap<u64, BTreeMap<u64, Block>>,
    /// The latest time at which a nonce was redeemed.
    latest: Timestamp,
}

/// Which nonces of one range of counters were used.
struct Block {
    used: [u64; WORDS],
    /// Of those, the ones that the store knows.
    recorded: [u64; WORDS],
    /// The latest time within a used nonce of this block.
    newest: Timestamp,
}

/// A nonce whose tag and age are right and that was not used when it was checked;
/// not yet redeemed.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Genuine(Redemption);

/// Why a nonce cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// The nonce is too old.
    #[error("the nonce is older than 15 minutes: use the one in this reply")]
    Expired,
    /// No nonce that was sealed under this key.
    #[error("the nonce is not one of this server's: use the one in this reply")]
    Unknown,
    /// The nonce was used before.
    #[error("the nonce was used before: use the one in this reply")]
    Used,
}

impl Nonces {
    /// Nonces of a new epoch, sealed under `key`, or under a key that is drawn
    /// where the store keeps none. What `redeemed` lists is used up.
    #[must_use]
    pub fn new(
        key: Option<[u8; 32]>,
        redeemed: impl IntoIterator<Item = Redemption>,
        random: &dyn Random,
    ) -> Self {
        let key = key.unwrap_or_else(|| {
            let mut key = [0; 32];
            random.fill(Purpose::NonceKey, &mut key);
            key
        });
        let mut epoch = [0; 8];
        random.fill(Purpose::NonceEpoch, &mut epoch);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let derive =
            |label: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, label).as_ref());
        let mut used = Used {
            epochs: HashMap::new(),
            latest: Timestamp(0),
        };
        for redemption in redeemed {
            used.mark(redemption);
            used.record(redemption);
        }
        Self {
            tag_key: derive(b"assay nonce 1: tag"),
            stream_key: derive(b"assay nonce 1: keystream"),
            epoch: u64::from_be_bytes(epoch),
            next: AtomicU64::new(0),
            used: Mutex::new(used),
            failed: Mutex::default(),
        }
    }

    /// A new nonce.
    #[must_use]
    pub fn issue(&self, now: Timestamp) -> String {
        let counter = self.next.fetch_add(1, Ordering::Relaxed);
        let mut body = [0; BODY_LEN];
        body[..8].copy_from_slice(&self.epoch.to_be_bytes());
        body[8..16].copy_from_slice(&counter.to_be_bytes());
        body[16..].copy_from_slice(&now.0.to_be_bytes());
        let tag = self.tag(&body);
        let mut nonce = [0; TAG_LEN + BODY_LEN];
        nonce[..TAG_LEN].copy_from_slice(&tag);
        nonce[TAG_LEN..].copy_from_slice(&self.apply_keystream(&tag, body));
        BASE64URL_NOPAD.encode(&nonce)
    }

    /// Checks that `nonce` was sealed under this key, not too long ago, and is
    /// not used up. This uses nothing up: [`redeem`](Self::redeem) decides.
    ///
    /// # Errors
    /// [`NonceError::Unknown`], [`NonceError::Expired`], [`NonceError::Used`].
    pub fn check(&self, nonce: &str, now: Timestamp) -> Result<Genuine, NonceError> {
        let nonce = BASE64URL_NOPAD
            .decode(nonce.as_bytes())
            .map_err(|_| NonceError::Unknown)?;
        let (tag, sealed) = nonce
            .split_first_chunk::<TAG_LEN>()
            .ok_or(NonceError::Unknown)?;
        let sealed = sealed.try_into().map_err(|_| NonceError::Unknown)?;
        let body = self.apply_keystream(tag, sealed);
        // RFC 8555 section 6.5: "the ACME server MUST verify that the value of
        // the "nonce" header is a value that the server previously provided in
        // a Replay-Nonce header field."
        constant_time::verify_slices_are_equal(&self.tag(&body), tag)
            .map_err(|_| NonceError::Unknown)?;
        let number = |at: usize| {
            body[at..at + 8]
                .iter()
                .fold(0, |value: u64, byte| value << 8 | u64::from(*byte))
        };
        let redemption = Redemption {
            epoch: number(0),
            counter: number(8),
            time: Timestamp(number(16)),
        };
        if now >= redemption.time.plus(LIFETIME) {
            return Err(NonceError::Expired);
        }
        // A replay costs its MAC, not a signature.
        if self.lock_used().is_used(redemption) {
            return Err(NonceError::Used);
        }
        Ok(Genuine(redemption))
    }

    /// Notes that a request with this nonce failed. The nonce is spent by the
    /// third failure.
    pub fn fail(&self, nonce: Genuine) {
        let Genuine(redemption) = nonce;
        let spent = {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.count(redemption) >= FAILURES
        };
        if spent {
            self.lock_used().mark(redemption);
        }
    }

    /// Uses up a nonce; of any number of attempts one succeeds.
    ///
    /// # Errors
    /// [`NonceError::Used`], [`NonceError::Expired`].
    pub fn redeem(&self, nonce: Genuine, now: Timestamp) -> Result<Redemption, NonceError> {
        let Genuine(redemption) = nonce;
        let mut used = self.lock_used();
        // Others may have been redeemed since this one's age was checked, and
        // the block that remembered it be dropped.
        used.forget_expired(now);
        if used.latest >= redemption.time.plus(LIFETIME) {
            return Err(NonceError::Expired);
        }
        if used.mark(redemption) {
            Ok(redemption)
        } else {
            Err(NonceError::Used)
        }
    }

    /// As [`NonceService::recorded`].
    fn recorded(&self, redeemed: &[Redemption]) {
        let mut used = self.lock_used();
        for redemption in redeemed {
            used.record(*redemption);
        }
    }

    /// As [`NonceService::unrecorded`]: the used nonces that have not expired,
    /// with their times or later ones.
    fn unrecorded(&self, now: Timestamp) -> Vec<Vec<Redemption>> {
        let mut used = self.lock_used();
        used.forget_expired(now);
        let mut unrecorded = Vec::new();
        for (epoch, blocks) in &used.epochs {
            for (number, block) in blocks {
                unrecorded.extend(block.unrecorded().map(|place| Redemption {
                    epoch: *epoch,
                    counter: number * BLOCK + place,
                    time: block.newest,
                }));
            }
        }
        unrecorded.chunks(SET).map(<[_]>::to_vec).collect()
    }

    fn lock_used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&self, body: &[u8; BODY_LEN]) -> [u8; TAG_LEN] {
        let prf = hmac::sign(&self.tag_key, body);
        array::from_fn(|at| prf.as_ref()[at])
    }

    /// Encrypts and decrypts.
    fn apply_keystream(&self, tag: &[u8; TAG_LEN], body: [u8; BODY_LEN]) -> [u8; BODY_LEN] {
        let stream = hmac::sign(&self.stream_key, tag);
        array::from_fn(|at| body[at] ^ stream.as_ref()[at])
    }
}

#[async_trait]
impl NonceService for Nonces {
    fn issue(&self, now: Timestamp) -> String {
        self.issue(now)
    }

    fn check(&self, nonce: &str, now: Timestamp) -> Result<Genuine, NonceError> {
        self.check(nonce, now)
    }

    fn fail(&self, nonce: Genuine) {
        self.fail(nonce);
    }

    async fn redeem(&self, nonce: Genuine, now: Timestamp) -> Result<Redemption, NotRedeemed> {
        Ok(self.redeem(nonce, now)?)
    }

    fn recorded(&self, redeemed: &[Redemption]) {
        self.recorded(redeemed);
    }

    fn unrecorded(&self, now: Timestamp) -> Vec<Vec<Redemption>> {
        self.unrecorded(now)
    }
}

impl Genuine {
    /// What redeeming it records.
    #[must_use]
    pub fn redemption(&self) -> Redemption {
        self.0
    }
}

impl Failed {
    /// Counts one more failure, and returns how many there are.
    fn count(&mut self, nonce: Redemption) -> u8 {
        let key = (nonce.epoch, nonce.counter);
        let known = self.current.get(&key).or_else(|| self.previous.get(&key));
        let count = known.copied().unwrap_or(0).saturating_add(1);
        if count >= FAILURES {
            // From now on the nonce is used, which is remembered elsewhere.
            self.current.remove(&key);
            self.previous.remove(&key);
            return count;
        }
        self.current.insert(key, count);
        if self.current.len() >= FAILED {
            self.previous = std::mem::take(&mut self.current);
        }
        count
    }
}

impl Used {
    fn is_used(&self, nonce: Redemption) -> bool {
        let blocks = self.epochs.get(&nonce.epoch);
        let block = blocks.and_then(|blocks| blocks.get(&(nonce.counter / BLOCK)));
        let (word, bit) = place(nonce.counter);
        block.is_some_and(|block| block.used[word] & bit != 0)
    }

    /// Marks a nonce as used; `false` if it was.
    fn mark(&mut self, nonce: Redemption) -> bool {
        let blocks = self.epochs.entry(nonce.epoch).or_default();
        let block = blocks.entry(nonce.counter / BLOCK).or_insert(Block {
            used: [0; WORDS],
            recorded: [0; WORDS],
            newest: nonce.time,
        });
        block.newest = block.newest.max(nonce.time);
        let (word, bit) = place(nonce.counter);
        let unused = block.used[word] & bit == 0;
        block.used[word] |= bit;
        unused
    }

    /// Marks a used nonce as one that the store knows.
    fn record(&mut self, nonce: Redemption) {
        let blocks = self.epochs.get_mut(&nonce.epoch);
        // It may have expired since it was used.
        if let Some(block) = blocks.and_then(|blocks| blocks.get_mut(&(nonce.counter / BLOCK))) {
            let (word, bit) = place(nonce.counter);
            block.recorded[word] |= bit;
        }
    }

    /// Drops the blocks all of whose nonces have expired by themselves.
    fn forget_expired(&mut self, now: Timestamp) {
        if now <= self.latest {
            return;
        }
        self.latest = now;
        self.epochs.retain(|_, blocks| {
            while let Some(oldest) = blocks.first_entry() {
                if now < oldest.get().newest.plus(LIFETIME) {
                    break;
                }
                oldest.remove();
            }
            !blocks.is_empty()
        });
    }
}

impl Block {
    /// The places within the block of what was used and is not recorded.
    fn unrecorded(&self) -> impl Iterator<Item = u64> {
        (0..BLOCK).filter(|counter| {
            let (word, bit) = place(*counter);
            self.used[word] & !self.recorded[word] & bit != 0
        })
    }
}

/// The word and the bit of a counter within its block.
fn place(counter: u64) -> (usize, u64) {
    let place = counter % BLOCK;
    ((place / 64) as usize, 1 << (place % 64))
}
