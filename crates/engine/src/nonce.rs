//! Anti-replay nonces (RFC 8555 section 6.5) that cost nothing to give out.
//!
//! A nonce is a counter, the time and a MAC over both, under a key that is
//! drawn at each start. Only nonces that came back in an authenticated request
//! are remembered, a bit each, until their time is over.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use assay_proto::Timestamp;
use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE64URL_NOPAD;

use crate::ports::{Purpose, Random};

/// How long a nonce can be used, in seconds.
pub const LIFETIME: u64 = 15 * 60;

/// Bytes of the MAC that a nonce carries.
const MAC_LEN: usize = 16;
/// Counter and time, 8 bytes each.
const BODY_LEN: usize = 16;
/// Nonces a block of the memory has bits for.
const BLOCK: u64 = 1 << 16;

/// Gives out nonces and redeems each once.
pub struct Nonces {
    key: hmac::Key,
    next: AtomicU64,
    used: Mutex<Used>,
}

/// The nonces that were used and have not expired, by ranges of counters.
struct Used {
    blocks: BTreeMap<u64, Block>,
    /// The latest moment at which a nonce was redeemed.
    latest: Timestamp,
}

/// Which nonces of one range of counters were used.
struct Block {
    bits: Box<[u64]>,
    /// The latest time within a used nonce of this block.
    newest: Timestamp,
}

/// A nonce whose MAC and age are right; not yet redeemed.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Genuine {
    counter: u64,
    time: Timestamp,
}

/// Why a nonce cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// The nonce is too old.
    #[error("the nonce is older than 15 minutes: use the one in this reply")]
    Expired,
    /// This server, since its last start, did not give out this nonce.
    #[error("the nonce is not one of this server's: use the one in this reply")]
    Unknown,
    /// The nonce was used before.
    #[error("the nonce was used before: use the one in this reply")]
    Used,
}

impl Nonces {
    /// Nonces under a new key.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        let mut key = [0; 32];
        random.fill(Purpose::NonceKey, &mut key);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            next: AtomicU64::new(0),
            used: Mutex::new(Used {
                blocks: BTreeMap::new(),
                latest: Timestamp(0),
            }),
        }
    }

    /// A new nonce.
    #[must_use]
    pub fn issue(&self, now: Timestamp) -> String {
        let counter = self.next.fetch_add(1, Ordering::Relaxed);
        let mut nonce = [0; BODY_LEN + MAC_LEN];
        nonce[..8].copy_from_slice(&counter.to_be_bytes());
        nonce[8..BODY_LEN].copy_from_slice(&now.0.to_be_bytes());
        let mac = hmac::sign(&self.key, &nonce[..BODY_LEN]);
        nonce[BODY_LEN..].copy_from_slice(&mac.as_ref()[..MAC_LEN]);
        BASE64URL_NOPAD.encode(&nonce)
    }

    /// Checks that this server gave out `nonce`, and not too long ago.
    ///
    /// # Errors
    /// [`NonceError::Unknown`], [`NonceError::Expired`].
    pub fn check(&self, nonce: &str, now: Timestamp) -> Result<Genuine, NonceError> {
        let nonce = BASE64URL_NOPAD
            .decode(nonce.as_bytes())
            .map_err(|_| NonceError::Unknown)?;
        let (body, mac) = nonce
            .split_first_chunk::<BODY_LEN>()
            .ok_or(NonceError::Unknown)?;
        let expected = hmac::sign(&self.key, body);
        constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC_LEN], mac)
            .map_err(|_| NonceError::Unknown)?;
        let number = |at: usize| {
            body[at..at + 8]
                .iter()
                .fold(0, |value: u64, byte| value << 8 | u64::from(*byte))
        };
        let (counter, time) = (number(0), Timestamp(number(8)));
        if now >= time.plus(LIFETIME) {
            return Err(NonceError::Expired);
        }
        Ok(Genuine { counter, time })
    }

    /// Uses up a nonce; of any number of attempts one succeeds.
    ///
    /// # Errors
    /// [`NonceError::Used`], [`NonceError::Expired`].
    pub fn redeem(&self, nonce: Genuine, now: Timestamp) -> Result<(), NonceError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Used { blocks, latest } = &mut *used;
        // Others may have been redeemed since this one's age was checked, and
        // what remembered it be dropped.
        *latest = now.max(*latest);
        if *latest >= nonce.time.plus(LIFETIME) {
            return Err(NonceError::Expired);
        }
        // Every nonce that a dropped block remembers has expired by itself.
        while let Some(oldest) = blocks.first_entry() {
            if *latest < oldest.get().newest.plus(LIFETIME) {
                break;
            }
            oldest.remove();
        }
        let block = blocks
            .entry(nonce.counter / BLOCK)
            .or_insert_with(|| Block {
                bits: vec![0; (BLOCK / 64) as usize].into_boxed_slice(),
                newest: nonce.time,
            });
        block.newest = block.newest.max(nonce.time);
        let at = nonce.counter % BLOCK;
        let (word, bit) = (&mut block.bits[(at / 64) as usize], 1 << (at % 64));
        if *word & bit != 0 {
            return Err(NonceError::Used);
        }
        *word |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, _: Purpose, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    const NOW: Timestamp = Timestamp(1_800_000_000);

    #[test]
    fn scenario_83_a_nonce_is_used_once() {
        let nonces = Nonces::new(&Fixed(1));
        let nonce = nonces.issue(NOW);
        let genuine = nonces.check(&nonce, NOW).unwrap();
        assert_eq!(nonces.redeem(genuine, NOW), Ok(()));
        assert_eq!(nonces.redeem(genuine, NOW), Err(NonceError::Used));
        let next = nonces.issue(NOW);
        assert_ne!(next, nonce);
        assert_eq!(
            nonces.redeem(nonces.check(&next, NOW).unwrap(), NOW),
            Ok(())
        );
    }

    #[test]
    fn a_check_alone_uses_nothing_up() {
        let nonces = Nonces::new(&Fixed(1));
        let nonce = nonces.issue(NOW);
        let _ = nonces.check(&nonce, NOW).unwrap();
        assert_eq!(
            nonces.redeem(nonces.check(&nonce, NOW).unwrap(), NOW),
            Ok(())
        );
    }

    #[test]
    fn other_keys_and_flipped_bits_are_unknown() {
        let nonces = Nonces::new(&Fixed(1));
        let nonce = nonces.issue(NOW);
        let other = Nonces::new(&Fixed(2));
        assert_eq!(other.check(&nonce, NOW).unwrap_err(), NonceError::Unknown);
        let bytes = BASE64URL_NOPAD.decode(nonce.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = BASE64URL_NOPAD.encode(&forged);
            assert_eq!(nonces.check(&forged, NOW).unwrap_err(), NonceError::Unknown);
        }
        for text in ["", "AA", "not base64url!", &nonce[..42]] {
            assert_eq!(
                nonces.check(text, NOW).unwrap_err(),
                NonceError::Unknown,
                "{text}"
            );
        }
    }

    #[test]
    fn a_nonce_expires_and_its_memory_goes_with_it() {
        let nonces = Nonces::new(&Fixed(1));
        let nonce = nonces.issue(NOW);
        let last = NOW.plus(LIFETIME - 1);
        nonces
            .redeem(nonces.check(&nonce, last).unwrap(), last)
            .unwrap();
        let late = NOW.plus(LIFETIME);
        assert_eq!(nonces.check(&nonce, late).unwrap_err(), NonceError::Expired);
        for _ in 0..BLOCK {
            let _ = nonces.issue(late);
        }
        let far = nonces.issue(late);
        nonces
            .redeem(nonces.check(&far, late).unwrap(), late)
            .unwrap();
        assert_eq!(
            nonces
                .used
                .lock()
                .unwrap()
                .blocks
                .keys()
                .copied()
                .collect::<Vec<_>>(),
            [1]
        );
    }

    #[test]
    fn a_nonce_that_was_checked_in_time_is_not_forgotten_before_it_is_redeemed() {
        let nonces = Nonces::new(&Fixed(1));
        let nonce = nonces.issue(NOW);
        let last = NOW.plus(LIFETIME - 1);
        let [first, replayed] = [0; 2].map(|_| nonces.check(&nonce, last).unwrap());
        assert_eq!(nonces.redeem(first, last), Ok(()));
        // While the replay waits, another redemption drops the block.
        let late = NOW.plus(LIFETIME);
        let other = nonces.issue(late);
        let other = nonces.check(&other, late).unwrap();
        assert_eq!(nonces.redeem(other, late), Ok(()));
        assert_eq!(nonces.redeem(replayed, last), Err(NonceError::Expired));
    }

    #[test]
    fn scenario_133_a_clock_that_jumps_back_keeps_nonces_usable() {
        let nonces = Nonces::new(&Fixed(1));
        let nonce = nonces.issue(NOW);
        let before = NOW.minus(3600);
        let genuine = nonces.check(&nonce, before).unwrap();
        assert_eq!(nonces.redeem(genuine, before), Ok(()));
        assert_eq!(nonces.redeem(genuine, NOW), Err(NonceError::Used));
    }
}
