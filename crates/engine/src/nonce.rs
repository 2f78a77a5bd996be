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

use std::{
    array,
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use assay_proto::Timestamp;
use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE64URL_NOPAD;

use crate::ports::{Purpose, Random, Redemption};

/// How long a nonce can be used, in seconds.
pub const LIFETIME: u64 = 15 * 60;

/// Bytes of the tag. It is the keystream's input as well.
const TAG_LEN: usize = 16;
/// Epoch, counter and time, 8 bytes each.
const BODY_LEN: usize = 24;
/// Nonces that a block of the memory has bits for: few enough that a sparse
/// epoch, of which only some nonces come back, stays small.
const BLOCK: u64 = 1024;
/// The most redemptions of one set: 240 kB of them.
const SET: usize = 10_000;
/// The words that hold the bits of a block.
const WORDS: usize = (BLOCK / 64) as usize;

/// Gives out nonces and redeems each once.
pub struct Nonces {
    tag_key: hmac::Key,
    stream_key: hmac::Key,
    epoch: u64,
    next: AtomicU64,
    used: Mutex<Used>,
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

/// A nonce whose tag and age are right; not yet redeemed.
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

    /// Checks that `nonce` was sealed under this key, and not too long ago.
    ///
    /// # Errors
    /// [`NonceError::Unknown`], [`NonceError::Expired`].
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
        Ok(Genuine(redemption))
    }

    /// Uses up a nonce; of any number of attempts one succeeds.
    ///
    /// # Errors
    /// [`NonceError::Used`], [`NonceError::Expired`].
    pub fn redeem(&self, nonce: Genuine, now: Timestamp) -> Result<Redemption, NonceError> {
        let Genuine(redemption) = nonce;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Notes that a commit carried these redemptions.
    pub(crate) fn recorded(&self, redeemed: &[Redemption]) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for redemption in redeemed {
            used.record(*redemption);
        }
    }

    /// The used nonces that have not expired and that no commit carried, with
    /// their times or later ones; in sets that are each small enough for one
    /// commit.
    pub(crate) fn unrecorded(&self, now: Timestamp) -> Vec<Vec<Redemption>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Used {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws bytes that say what they are for.
    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, purpose: Purpose, bytes: &mut [u8]) {
            bytes.fill(match purpose {
                Purpose::NonceEpoch => self.0 ^ 0x80,
                _ => self.0,
            });
        }
    }

    const NOW: Timestamp = Timestamp(1_800_000_000);
    const KEY: [u8; 32] = [7; 32];

    /// The nonces of a process whose store keeps no key.
    fn nonces(seed: u8) -> Nonces {
        Nonces::new(None, [], &Fixed(seed))
    }

    /// The nonces of process number `process` on a store that keeps a key.
    fn process(process: u8, redeemed: impl IntoIterator<Item = Redemption>) -> Nonces {
        Nonces::new(Some(KEY), redeemed, &Fixed(process))
    }

    fn redeem(nonces: &Nonces, nonce: &str, now: Timestamp) -> Result<Redemption, NonceError> {
        nonces.redeem(nonces.check(nonce, now)?, now)
    }

    #[test]
    fn scenario_83_a_nonce_is_used_once() {
        let nonces = nonces(1);
        let nonce = nonces.issue(NOW);
        let genuine = nonces.check(&nonce, NOW).unwrap();
        assert!(nonces.redeem(genuine, NOW).is_ok());
        assert_eq!(nonces.redeem(genuine, NOW), Err(NonceError::Used));
        let next = nonces.issue(NOW);
        assert_ne!(next, nonce);
        assert!(redeem(&nonces, &next, NOW).is_ok());
    }

    #[test]
    fn a_check_alone_uses_nothing_up() {
        let nonces = nonces(1);
        let nonce = nonces.issue(NOW);
        let _ = nonces.check(&nonce, NOW).unwrap();
        assert!(redeem(&nonces, &nonce, NOW).is_ok());
    }

    #[test]
    fn other_keys_and_flipped_bits_are_unknown() {
        let nonces = nonces(1);
        let nonce = nonces.issue(NOW);
        let other = self::nonces(2);
        assert_eq!(other.check(&nonce, NOW).unwrap_err(), NonceError::Unknown);
        let bytes = BASE64URL_NOPAD.decode(nonce.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = BASE64URL_NOPAD.encode(&forged);
            assert_eq!(nonces.check(&forged, NOW).unwrap_err(), NonceError::Unknown);
        }
        let longer = BASE64URL_NOPAD.encode(&[&bytes[..], &[0]].concat());
        let shorter = BASE64URL_NOPAD.encode(&bytes[..bytes.len() - 1]);
        for text in ["", "AA", "not base64url!", &nonce[..42], &longer, &shorter] {
            assert_eq!(
                nonces.check(text, NOW).unwrap_err(),
                NonceError::Unknown,
                "{text}"
            );
        }
    }

    #[test]
    fn a_nonce_outlives_its_process_and_is_still_used_once() {
        let first = process(1, []);
        let [used, kept] = [0; 2].map(|_| first.issue(NOW));
        let redemption = redeem(&first, &used, NOW).unwrap();
        let second = process(2, [redemption]);
        assert_eq!(redeem(&second, &used, NOW), Err(NonceError::Used));
        assert!(redeem(&second, &kept, NOW).is_ok());
        assert_eq!(redeem(&second, &kept, NOW), Err(NonceError::Used));
        // The same counter of another epoch is another nonce.
        let own = second.issue(NOW);
        assert!(redeem(&second, &own, NOW).is_ok());
        // Without a kept key the next process draws another one.
        assert_eq!(redeem(&nonces(3), &kept, NOW), Err(NonceError::Unknown));
    }

    #[test]
    fn two_processes_never_issue_the_same_nonce() {
        let [first, second] = [1, 2].map(|number| process(number, []));
        assert_ne!(first.issue(NOW), second.issue(NOW));
    }

    /// One bit of the plaintext changes about half of all bits: what is common
    /// to two nonces of one process in one second says nothing of them.
    #[test]
    fn neither_count_nor_time_nor_epoch_show_in_a_nonce() {
        let nonces = process(1, []);
        let issued: Vec<Vec<u8>> = (0..64)
            .map(|at| nonces.issue(NOW.plus(at / 32)))
            .map(|nonce| BASE64URL_NOPAD.decode(nonce.as_bytes()).unwrap())
            .collect();
        for (at, one) in issued.iter().enumerate() {
            assert_eq!(one.len(), TAG_LEN + BODY_LEN);
            for other in &issued[..at] {
                // Of 320 fair coins fewer than 96 or more than 224 show heads
                // once in 10^12 throws.
                let differing: u32 = (one.iter().zip(other))
                    .map(|(one, other)| (one ^ other).count_ones())
                    .sum();
                assert!((96..=224).contains(&differing), "{differing}");
            }
            for number in [nonces.epoch, at as u64, NOW.0, NOW.0 + 1] {
                let bytes = number.to_be_bytes();
                let mut windows = one.windows(8);
                assert!(windows.all(|window| window != bytes), "{number}");
            }
        }
    }

    #[test]
    fn what_no_commit_carried_is_listed_until_it_is_recorded_or_expires() {
        let first = process(1, []);
        let [read, written] = [0; 2].map(|_| {
            let nonce = first.issue(NOW);
            redeem(&first, &nonce, NOW).unwrap()
        });
        let _never_used = first.issue(NOW);
        first.recorded(&[written]);
        assert_eq!(first.unrecorded(NOW), [[read]]);
        // What the store knew at the start is not recorded again.
        assert!(process(2, [read]).unrecorded(NOW).is_empty());
        assert!(first.unrecorded(NOW.plus(LIFETIME)).is_empty());
        // Too late to note anything: the block is gone.
        first.recorded(&[read]);
        assert!(first.unrecorded(NOW.plus(LIFETIME)).is_empty());
    }

    #[test]
    fn what_is_listed_is_remembered_at_least_as_long_as_its_nonce_lives() {
        let first = process(1, []);
        let (early, late) = (first.issue(NOW), first.issue(NOW.plus(5)));
        for nonce in [&early, &late] {
            redeem(&first, nonce, NOW.plus(5)).unwrap();
        }
        let second = process(2, first.unrecorded(NOW.plus(5)).concat());
        for nonce in [&early, &late] {
            let last = NOW.plus(LIFETIME - 1);
            assert_eq!(redeem(&second, nonce, last), Err(NonceError::Used));
        }
    }

    #[test]
    fn what_is_listed_comes_in_sets_of_bounded_size() {
        let nonces = nonces(1);
        for _ in 0..=SET {
            redeem(&nonces, &nonces.issue(NOW), NOW).unwrap();
        }
        let sizes: Vec<usize> = nonces.unrecorded(NOW).iter().map(Vec::len).collect();
        assert_eq!(sizes, [SET, 1]);
    }

    fn blocks(nonces: &Nonces) -> usize {
        let used = nonces.used.lock().unwrap();
        used.epochs.values().map(BTreeMap::len).sum()
    }

    #[test]
    fn a_nonce_expires_and_its_memory_goes_with_it() {
        let nonces = nonces(1);
        let nonce = nonces.issue(NOW);
        let last = NOW.plus(LIFETIME - 1);
        redeem(&nonces, &nonce, last).unwrap();
        let late = NOW.plus(LIFETIME);
        assert_eq!(nonces.check(&nonce, late).unwrap_err(), NonceError::Expired);
        for _ in 0..BLOCK {
            let _ = nonces.issue(late);
        }
        let far = nonces.issue(late);
        redeem(&nonces, &far, late).unwrap();
        let used = nonces.used.lock().unwrap();
        let kept: Vec<u64> = used.epochs[&nonces.epoch].keys().copied().collect();
        assert_eq!(kept, [1]);
    }

    #[test]
    fn memory_of_earlier_processes_is_a_block_for_each_redemption_and_then_nothing() {
        let redeemed = (0..100).map(|at| Redemption {
            epoch: at % 10,
            counter: at << 40,
            time: NOW,
        });
        let nonces = process(1, redeemed);
        assert_eq!(blocks(&nonces), 100);
        let late = NOW.plus(LIFETIME);
        let own = nonces.issue(late);
        redeem(&nonces, &own, late).unwrap();
        assert_eq!(blocks(&nonces), 1);
        assert_eq!(nonces.used.lock().unwrap().epochs.len(), 1);
        assert!(size_of::<Block>() <= 264);
    }

    #[test]
    fn a_nonce_that_was_checked_in_time_is_not_forgotten_before_it_is_redeemed() {
        let nonces = nonces(1);
        let nonce = nonces.issue(NOW);
        let last = NOW.plus(LIFETIME - 1);
        let [first, replayed] = [0; 2].map(|_| nonces.check(&nonce, last).unwrap());
        assert!(nonces.redeem(first, last).is_ok());
        // While the replay waits, another redemption drops the block.
        let late = NOW.plus(LIFETIME);
        let other = nonces.issue(late);
        redeem(&nonces, &other, late).unwrap();
        assert_eq!(nonces.redeem(replayed, last), Err(NonceError::Expired));
    }

    #[test]
    fn scenario_133_a_clock_that_jumps_back_keeps_nonces_usable() {
        let nonces = nonces(1);
        let nonce = nonces.issue(NOW);
        let before = NOW.minus(3600);
        let genuine = nonces.check(&nonce, before).unwrap();
        assert!(nonces.redeem(genuine, before).is_ok());
        assert_eq!(nonces.redeem(genuine, NOW), Err(NonceError::Used));
    }
}
