use super::*;

const NOW: u64 = 1_795_000_000;

fn nonce(nonce: &[u8], ago: u64) -> SentNonce {
    SentNonce::new(nonce, NOW - ago).unwrap()
}

fn check(code: &[u8], nonces: &[SentNonce]) -> Result<(Freshness, u64), Reason> {
    check_nonces(code, nonces, NOW).map_err(|finding| finding.reason)
}

#[test]
fn a_nonce_has_1_to_32_bytes() {
    assert_eq!(SentNonce::new(&[], 0), Err(NonceLength(0)));
    assert_eq!(SentNonce::new(&[7; 33], 0), Err(NonceLength(33)));
    assert_eq!(
        NonceLength(33).to_string(),
        "a DeviceAttestationNonce has 1 to 32 bytes, not 33"
    );
    for length in [1, 32] {
        let nonce = SentNonce::new(&vec![7; length], 9).unwrap();
        assert_eq!(
            (nonce.nonce(), nonce.sent()),
            (vec![7; length].as_slice(), 9)
        );
    }
}

#[test]
fn the_latest_nonce_is_fresh_and_earlier_ones_are_cached() {
    // In whatever order they are given.
    let mut nonces = vec![nonce(b"old", 500), nonce(b"older", 900), nonce(b"new", 10)];
    for _ in 0..nonces.len() {
        nonces.rotate_left(1);
        assert_eq!(check(b"new", &nonces), Ok((Freshness::Fresh, NOW - 10)));
        assert_eq!(check(b"old", &nonces), Ok((Freshness::Cached, NOW - 500)));
        assert_eq!(check(b"older", &nonces), Ok((Freshness::Cached, NOW - 900)));
    }
}

#[test]
fn foreign_codes_are_refused() {
    let nonces = [nonce(b"nonce", 500), nonce(&[7; 32], 10)];
    for code in [
        b"nonc".as_slice(),
        b"nonce\0",
        b"noncE",
        &[7; 31],
        &[7; 33],
        &[0x04, 0x05, b'n', b'o', b'n', b'c', b'e'],
    ] {
        assert_eq!(check(code, &nonces), Err(Reason::FreshnessMismatch));
        assert_eq!(check(code, &[]), Err(Reason::FreshnessMismatch));
    }
}

#[test]
fn a_nonce_counts_for_less_than_7_days() {
    for (ago, expected) in [
        (0, Ok((Freshness::Fresh, NOW))),
        (
            MAX_NONCE_AGE - 1,
            Ok((Freshness::Fresh, NOW - MAX_NONCE_AGE + 1)),
        ),
        (MAX_NONCE_AGE, Err(Reason::FreshnessExpired)),
        (NOW, Err(Reason::FreshnessExpired)),
    ] {
        assert_eq!(check(b"nonce", &[nonce(b"nonce", ago)]), expected, "{ago}");
    }
}

#[test]
fn a_nonce_that_is_sent_again_is_as_old_as_before() {
    let again = [nonce(b"nonce", 500), nonce(b"nonce", 10)];
    assert_eq!(check(b"nonce", &again), Ok((Freshness::Cached, NOW - 500)));
    let late = [nonce(b"nonce", MAX_NONCE_AGE), nonce(b"nonce", 10)];
    assert_eq!(check(b"nonce", &late), Err(Reason::FreshnessExpired));
}

#[test]
fn what_is_yet_to_be_sent_was_not_sent() {
    let future = SentNonce::new(b"future", NOW + 1).unwrap();
    let nonces = [future, nonce(b"nonce", 10)];
    assert_eq!(check(b"future", &nonces), Err(Reason::FreshnessMismatch));
    assert_eq!(check(b"nonce", &nonces), Ok((Freshness::Fresh, NOW - 10)));
}
