//! Anti-replay nonces (RFC 8555 section 6.5). Issuing one stores nothing, and
//! they stay valid after a restart.
//!
//! The plaintext of a nonce is the epoch of the process that issued it (a
//! random number), a counter and the time. It is encrypted under a key in the
//! store, so the next process accepts it. The construction is SIV (Rogaway and
//! Shrimpton, "Deterministic Authenticated-Encryption", 2006): the tag is a PRF
//! of the plaintext, and the keystream is a PRF, under another key, of the tag.
//! There is no IV that could repeat after a restart, on a restored backup or on
//! a cloned machine. Two different nonces share a tag only with the probability
//! of a collision in 128 bits. Counter and time are encrypted, so a client
//! learns neither the number of requests nor the uptime.
//!
//! Only nonces from authenticated requests are remembered, one bit each, until
//! they expire. The commit of a request carries its [`Redemption`]; a graceful
//! shutdown commits the rest. See docs/adr/0015.
//!
//! A request that fails after its nonce was found genuine does not spend the
//! nonce, so a wrong signature costs the client nothing. A nonce may fail
//! [`FAILURES`] times: otherwise one nonce would allow unlimited signature
//! checks.

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

/// How long a nonce is valid, in seconds.
pub const LIFETIME: u64 = 15 * 60;

/// Length of the tag in bytes. The tag is also the keystream's input.
const TAG_LEN: usize = 16;
/// Epoch, counter and time, 8 bytes each.
const BODY_LEN: usize = 24;
/// How many requests with the same nonce may fail before the nonce is spent.
pub const FAILURES: u8 = 3;
/// Nonces per generation of the failure memory, about a megabyte. One address
/// gets fewer within a nonce's lifetime under the default limits (3,000 at once
/// and 20 a second).
const FAILED: usize = 1 << 15;
/// Nonces per block of bits. Small, so that a sparse epoch, of which few nonces
/// come back, stays small.
const BLOCK: u64 = 1024;
/// The most redemptions in one set: 240 kB.
const SET: usize = 10_000;
/// Words per block.
const WORDS: usize = (BLOCK / 64) as usize;

/// Issues nonces and redeems each once, for one node: redeemed nonces are kept
/// in memory.
pub struct Nonces {
    tag_key: hmac::Key,
    stream_key: hmac::Key,
    epoch: u64,
    next: AtomicU64,
    used: Mutex<Used>,
    failed: Mutex<Failed>,
}

/// Failed requests per nonce, by epoch and counter. Two generations bound the
/// memory; a forgotten nonce may fail again.
#[derive(Default)]
struct Failed {
    current: HashMap<(u64, u64), u8>,
    previous: HashMap<(u64, u64), u8>,
}

/// The used nonces that have not expired.
struct Used {
    /// The blocks of each epoch, by counter range.
    epochs: HashMap<u64, BTreeMap<u64, Block>>,
    /// The latest time at which a nonce was redeemed.
    latest: Timestamp,
}

/// Which nonces of a counter range are used.
struct Block {
    used: [u64; WORDS],
    /// Those of them that are in the store.
    recorded: [u64; WORDS],
    /// The latest issue time among the used nonces of this block.
    newest: Timestamp,
}

/// A nonce whose tag and age were checked, and that was not used at the time of
/// the check; not redeemed yet.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Genuine(Redemption);

/// Why a nonce is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// The nonce has expired.
    #[error("the nonce is older than 15 minutes: use the one in this reply")]
    Expired,
    /// The nonce was not sealed under this key.
    #[error("the nonce is not one of this server's: use the one in this reply")]
    Unknown,
    /// The nonce was used before.
    #[error("the nonce was used before: use the one in this reply")]
    Used,
}

impl Nonces {
    /// Starts a new epoch, sealed under `key`, or under a random key if the
    /// store has none. The nonces in `redeemed` are marked as used.
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

    /// Returns a new nonce.
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

    /// Checks that `nonce` was sealed under this key, is not expired and is not
    /// used. Does not use it: see [`redeem`](Self::redeem).
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
        // Rejecting a replay costs one MAC, no signature check.
        if self.lock_used().is_used(redemption) {
            return Err(NonceError::Used);
        }
        Ok(Genuine(redemption))
    }

    /// Counts a failed request with this nonce. The third failure spends the
    /// nonce.
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

    /// Redeems a nonce. Of concurrent calls exactly one succeeds.
    ///
    /// # Errors
    /// [`NonceError::Used`], [`NonceError::Expired`].
    pub fn redeem(&self, nonce: Genuine, now: Timestamp) -> Result<Redemption, NonceError> {
        let Genuine(redemption) = nonce;
        let mut used = self.lock_used();
        // Since the check of this nonce's age, others may have been redeemed
        // and its block dropped.
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
    /// with their issue times or later ones.
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
    /// Returns what to record when the nonce is redeemed.
    #[must_use]
    pub fn redemption(&self) -> Redemption {
        self.0
    }
}

impl Failed {
    /// Counts one more failure and returns the total.
    fn count(&mut self, nonce: Redemption) -> u8 {
        let key = (nonce.epoch, nonce.counter);
        let known = self.current.get(&key).or_else(|| self.previous.get(&key));
        let count = known.copied().unwrap_or(0).saturating_add(1);
        if count >= FAILURES {
            // The caller marks the nonce as used, so this entry is not needed
            // any more.
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

    /// Marks a nonce as used; returns `false` if it was already.
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

    /// Marks a used nonce as stored.
    fn record(&mut self, nonce: Redemption) {
        let blocks = self.epochs.get_mut(&nonce.epoch);
        // The block may have expired since.
        if let Some(block) = blocks.and_then(|blocks| blocks.get_mut(&(nonce.counter / BLOCK))) {
            let (word, bit) = place(nonce.counter);
            block.recorded[word] |= bit;
        }
    }

    /// Drops the blocks whose nonces have all expired.
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
    /// Returns the offsets within the block of used nonces that are not stored.
    fn unrecorded(&self) -> impl Iterator<Item = u64> {
        (0..BLOCK).filter(|counter| {
            let (word, bit) = place(*counter);
            self.used[word] & !self.recorded[word] & bit != 0
        })
    }
}

/// Returns the word and bit of a counter within its block.
fn place(counter: u64) -> (usize, u64) {
    let place = counter % BLOCK;
    ((place / 64) as usize, 1 << (place % 64))
}
