//! Examination of evidence that answers another challenge.
//!
//! A device sends the same attestation for days, so stale evidence is usually
//! genuine. A forgery fails the same freshness check, which runs before the
//! costly signatures. The operator must be able to tell the two apart; the
//! client need not.

use std::sync::{Mutex, PoisonError};

use assay_attest::{Check, Examination};
use assay_proto::Timestamp;

use crate::text::is_unsafe_to_print;

/// The most examinations in a burst.
const BURST: u64 = 20;
/// Seconds until one more examination is allowed.
const INTERVAL: u64 = 2;
/// The longest attested text that is quoted, in characters.
const MAX_QUOTE: usize = 40;

/// The finding when the budget allows no examination.
pub(crate) const NOT_EXAMINED: &str =
    "whether it is genuine was not examined: too much stale evidence came at once";

/// The budget of examinations of one process. Verifying a chain costs as much
/// as the rest of a refusal, and a client may send stale evidence as fast as it
/// can order.
#[derive(Debug)]
pub(crate) struct SecondLooks(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    left: u64,
    filled: Timestamp,
}

impl Default for SecondLooks {
    fn default() -> Self {
        Self(Mutex::new(Bucket {
            left: BURST,
            filled: Timestamp(0),
        }))
    }
}

impl SecondLooks {
    /// Takes one examination from the budget at `now`, if one is left.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = now.0.saturating_sub(bucket.filled.0) / INTERVAL;
        if more > 0 {
            bucket.left = bucket.left.saturating_add(more).min(BURST);
            bucket.filled = now;
        }
        let Some(left) = bucket.left.checked_sub(1) else {
            return false;
        };
        bucket.left = left;
        true
    }
}

/// Describes evidence for another challenge, for the operator.
pub(crate) fn describe(examination: &Examination) -> String {
    let Some(statement) = examination.statement() else {
        let found = examination
            .refusal_besides(&[Check::Freshness, Check::Validity])
            .map_or_else(|| "it was not reached".to_owned(), ToString::to_string);
        return format!(
            "the freshness code belongs to another challenge, and the chain does not verify: \
             {found}"
        );
    };
    let mut attested = Vec::new();
    for (name, value) in [("serial", &statement.serial), ("UDID", &statement.udid)] {
        if let Some(value) = value {
            attested.push(format!("{name} {:?}", quote(value)));
        }
    }
    let attested = match attested.as_slice() {
        [] => "no serial and no UDID".to_owned(),
        attested => attested.join(", "),
    };
    let (from, until) = (
        Timestamp(statement.not_before),
        Timestamp(statement.not_after),
    );
    let kind = match statement.laboratory {
        true => "the laboratory root ",
        false => "",
    };
    let outdated = examination.refusal_besides(&[Check::Freshness]);
    let dates = match outdated {
        Some(refusal) => format!(" ({})", refusal.reason),
        None => String::new(),
    };
    format!(
        "stale but genuine: the chain verifies under {kind}{:?} and attests {attested}; made for \
         another challenge; leaf valid from {from} until {until}{dates}",
        statement.root_name
    )
}

/// Quotes attested text: truncated, without characters that could disturb a
/// log.
fn quote(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe_to_print(c) { '\u{fffd}' } else { c })
        .take(MAX_QUOTE)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_of_second_looks_ends_and_comes_back_with_time() {
        let looks = SecondLooks::default();
        let at = |seconds: u64| looks.take(Timestamp(1_800_000_000 + seconds));
        assert_eq!((0..100).filter(|_| at(0)).count(), 20);
        assert!(!at(1));
        assert!(at(2) && !at(3));
        assert!(at(6) && at(6) && !at(6));
        // The budget has an upper bound, and time never runs backwards.
        assert_eq!((0..100).filter(|_| at(1_000_000)).count(), 20);
        assert!(!at(0));
    }
}
