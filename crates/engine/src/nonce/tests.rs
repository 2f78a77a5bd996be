use super::*;

/// Fills with bytes that identify the purpose.
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

/// The nonces of a process with a store that keeps no key.
fn nonces(seed: u8) -> Nonces {
    Nonces::new(None, [], &Fixed(seed))
}

/// The nonces of process number `process`, on a store that keeps a key.
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
fn a_used_nonce_is_found_out_without_a_signature() {
    let nonces = nonces(1);
    let nonce = nonces.issue(NOW);
    redeem(&nonces, &nonce, NOW).unwrap();
    assert_eq!(nonces.check(&nonce, NOW).unwrap_err(), NonceError::Used);
}

#[test]
fn a_nonce_is_spent_by_its_third_failure() {
    let nonces = nonces(1);
    let [failing, other] = [0; 2].map(|_| nonces.issue(NOW));
    for _ in 0..FAILURES {
        nonces.fail(nonces.check(&failing, NOW).unwrap());
    }
    assert_eq!(nonces.check(&failing, NOW).unwrap_err(), NonceError::Used);
    // Two failures are allowed, and each nonce has its own count.
    for _ in 1..FAILURES {
        nonces.fail(nonces.check(&other, NOW).unwrap());
    }
    assert!(redeem(&nonces, &other, NOW).is_ok());
}

#[test]
fn the_memory_of_failures_is_bounded() {
    let nonces = nonces(1);
    for _ in 0..3 * FAILED {
        let nonce = nonces.issue(NOW);
        nonces.fail(nonces.check(&nonce, NOW).unwrap());
    }
    let failed = nonces.failed.lock().unwrap();
    assert!(failed.current.len() + failed.previous.len() <= 2 * FAILED);
    drop(failed);
    // A recent failure is remembered across a change of generations.
    let nonce = nonces.issue(NOW);
    let genuine = nonces.check(&nonce, NOW).unwrap();
    nonces.fail(genuine);
    nonces.fail(genuine);
    for _ in 0..FAILED {
        let other = nonces.issue(NOW);
        nonces.fail(nonces.check(&other, NOW).unwrap());
    }
    nonces.fail(genuine);
    assert_eq!(nonces.check(&nonce, NOW).unwrap_err(), NonceError::Used);
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
    // Without a stored key the next process draws a new one.
    assert_eq!(redeem(&nonces(3), &kept, NOW), Err(NonceError::Unknown));
}

#[test]
fn two_processes_never_issue_the_same_nonce() {
    let [first, second] = [1, 2].map(|number| process(number, []));
    assert_ne!(first.issue(NOW), second.issue(NOW));
}

/// Changing one bit of the plaintext changes about half of all bits, so bits
/// that two nonces have in common reveal nothing.
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
            // Of 320 fair coins fewer than 96 or more than 224 show heads once
            // in 10^12 throws.
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
    // Redemptions that the store had at the start are not listed again.
    assert!(process(2, [read]).unrecorded(NOW).is_empty());
    assert!(first.unrecorded(NOW.plus(LIFETIME)).is_empty());
    // Too late: the block has been dropped.
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
    // Before the replay is redeemed, another redemption drops the block.
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
