//! A second look at evidence that answers another challenge.
//!
//! A device re-sends one attestation for days, so stale evidence is usually
//! genuine, and a forgery looks the same at the freshness check, which runs
//! before the costly signatures. The operator has to tell the two apart; the
//! client has no use for the answer.

use std::sync::{Mutex, PoisonError};

use assay_attest::{Check, Examination};
use assay_proto::Timestamp;

use crate::text::disturbs;

/// How many second looks may follow each other at once.
const BURST: u64 = 20;
/// In how many seconds one more is allowed.
const INTERVAL: u64 = 2;
/// The longest attested text that is quoted, in characters.
const MAX_QUOTE: usize = 40;

/// What is said of evidence for which the budget had no look.
pub(crate) const NOT_EXAMINED: &str =
    "whether it is genuine was not examined: too much stale evidence came at once";

/// The budget of second looks of one process: verifying a chain costs as much
/// as all the rest of a refusal, and a client may send stale evidence as fast as
/// it can order.
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
    /// Whether there may be one at `now`, which is then spent.
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

/// What evidence for another challenge is, for the operator.
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

/// Attested text, cut and without what could disturb a log.
fn quote(text: &str) -> String {
    text.chars()
        .map(|c| if disturbs(c) { '\u{fffd}' } else { c })
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
        // It does not grow beyond itself, and time never runs back.
        assert_eq!((0..100).filter(|_| at(1_000_000)).count(), 20);
        assert!(!at(0));
    }
}
