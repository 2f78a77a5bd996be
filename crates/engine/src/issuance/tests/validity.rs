use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000);
const DAY: u64 = 86_400;
const LIMITS: ValidityLimits = ValidityLimits {
    lifetime: 90 * DAY,
    issuer_not_before: Timestamp(1_799_999_900),
    issuer_not_after: Timestamp(1_800_000_000 + 100 * DAY),
};

#[test]
fn scenario_106_a_wanted_validity_is_honoured_exactly_or_refused() {
    let some = |days: u64| Some(NOW.plus(days * DAY));
    for (not_before, not_after) in [
        (None, None),
        (Some(NOW), None),
        (None, some(90)),
        (some(10), some(90)),
        (some(89), None),
        (Some(LIMITS.issuer_not_before), some(1)),
    ] {
        assert_eq!(LIMITS.check(not_before, not_after, NOW), Ok(()));
        let (start, end) = LIMITS.of(not_before, not_after, NOW).unwrap();
        assert_eq!(start, not_before.unwrap_or(LIMITS.issuer_not_before));
        assert!(not_after.is_none_or(|wanted| wanted == end));
    }
    for (not_before, not_after, limit) in [
        (
            Some(NOW.minus(101)),
            None,
            "earlier than 2027-01-15T07:58:20Z",
        ),
        (some(90), None, "not before 2027-04-15T08:00:00Z"),
        (None, some(91), "later than 2027-04-15T08:00:00Z"),
        (some(20), some(91), "later than 2027-04-15T08:00:00Z"),
        (some(2), some(1), "not after notBefore"),
        (None, Some(NOW), "not after notBefore and the present"),
    ] {
        let Err(Error::Validity(text)) = LIMITS.check(not_before, not_after, NOW) else {
            panic!("{not_before:?} {not_after:?} was accepted");
        };
        assert!(text.contains(limit), "{text}");
    }
}

#[test]
fn no_wish_outlives_a_certificate_of_now() {
    let validity = LIMITS.of(Some(NOW.plus(30 * DAY)), None, NOW);
    assert_eq!(validity, Ok((NOW.plus(30 * DAY), NOW.plus(90 * DAY))));
}

#[test]
fn a_lifetime_that_was_shortened_since_the_order_holds() {
    let shorter = ValidityLimits {
        lifetime: 30 * DAY,
        ..LIMITS
    };
    let some = |days: u64| Some(NOW.plus(days * DAY));
    for (not_before, not_after) in [(None, some(31)), (some(30), None), (some(40), some(50))] {
        assert!(LIMITS.of(not_before, not_after, NOW).is_ok());
        assert_eq!(
            shorter.of(not_before, not_after, NOW),
            Err(IssuanceRefusal::ValidityOutOfReach)
        );
    }
    // The order may also be some time old.
    assert!(shorter.of(Some(NOW.minus(3_600)), some(30), NOW).is_ok());
}

#[test]
fn only_the_default_lifetime_is_clamped() {
    let late = NOW.plus(50 * DAY);
    assert_eq!(
        LIMITS.of(None, None, late),
        Ok((late.minus(BACKDATE), LIMITS.issuer_not_after))
    );
}

#[test]
fn each_limit_is_exact() {
    let limits = ValidityLimits {
        issuer_not_before: NOW.minus(10 * DAY),
        ..LIMITS
    };
    let earliest = NOW.minus(BACKDATE);
    let latest = NOW.plus(90 * DAY);
    for (not_before, not_after, good) in [
        (Some(earliest), None, true),
        (Some(earliest.minus(1)), None, false),
        (Some(latest.minus(1)), None, true),
        (Some(latest), None, false),
        (None, Some(latest), true),
        (None, Some(latest.plus(1)), false),
        (None, Some(NOW), false),
        (None, Some(NOW.plus(1)), true),
        (Some(NOW.plus(5)), Some(NOW.plus(5)), false),
        (Some(NOW.plus(5)), Some(NOW.plus(6)), true),
    ] {
        let checked = limits.check(not_before, not_after, NOW);
        assert_eq!(checked.is_ok(), good, "{not_before:?} {not_after:?}");
    }
    // At issuance.
    let of = |not_before: u64, not_after: u64| {
        limits.of(Some(NOW.plus(not_before)), Some(NOW.plus(not_after)), NOW)
    };
    let out_of_reach = Err(IssuanceRefusal::ValidityOutOfReach);
    assert_eq!(of(5, 5), out_of_reach);
    assert_eq!(of(5, 6), Ok((NOW.plus(5), NOW.plus(6))));
    assert_eq!(of(5, 90 * DAY), Ok((NOW.plus(5), latest)));
    assert_eq!(of(5, 90 * DAY + 1), out_of_reach);
    assert_eq!(limits.of(None, None, NOW), Ok((earliest, latest)));
}

proptest::proptest! {
    /// A validity accepted at the order is issued as requested, and is within
    /// all limits.
    #[test]
    fn what_passes_is_given_exactly(
        not_before in proptest::option::of(0..100 * DAY),
        not_after in proptest::option::of(0..100 * DAY),
    ) {
        let (not_before, not_after) = (
            not_before.map(|after| NOW.minus(400).plus(after)),
            not_after.map(|after| NOW.minus(400).plus(after)),
        );
        if LIMITS.check(not_before, not_after, NOW).is_ok() {
            let (start, end) = LIMITS.of(not_before, not_after, NOW).unwrap();
            proptest::prop_assert!(start < end && NOW < end);
            proptest::prop_assert!(start >= LIMITS.issuer_not_before);
            proptest::prop_assert!(end <= LIMITS.issuer_not_after);
            proptest::prop_assert!(end <= NOW.plus(LIMITS.lifetime));
            proptest::prop_assert!(not_before.is_none_or(|wanted| wanted == start));
            proptest::prop_assert!(not_after.is_none_or(|wanted| wanted == end));
        }
    }
}
