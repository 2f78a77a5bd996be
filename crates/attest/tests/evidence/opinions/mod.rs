//! Other validators judge the committed chains. They know nothing of devices
//! and freshness, and allow what RFC 5280 allows a validator to; wherever they
//! differ from this crate, a table says who is right and why.

mod openssl;
mod webpki;

use std::{collections::BTreeSet, fmt::Write as _};

use crate::committed::{Committed, x5c};

/// An object's name, or a reason that all objects of a name share; and why.
type Difference = (&'static str, &'static str);

/// Asks a validator (leaf first, the root not among them; the error is its own
/// text) about every good and every bad chain.
///
/// `accepts` lists the bad ones that it accepts, `refuses` the good ones that
/// it refuses: exactly these.
fn compare(
    judge: impl Fn(&Committed, &[&[u8]]) -> Result<(), String>,
    accepts: &[Difference],
    refuses: &[Difference],
) {
    let committed = Committed::read();
    let mut used = BTreeSet::new();
    let mut surprises = String::new();
    let mut difference = |list: &[Difference], name: &str| {
        let reason = name.split('.').next();
        let found = list
            .iter()
            .map(|difference| difference.0)
            .find(|key| *key == name || Some(*key) == reason);
        used.extend(found);
        found.is_some()
    };
    for (name, object) in Committed::objects("good") {
        let verdict = judge(&committed, &x5c(&object).unwrap());
        let refused = difference(refuses, &name);
        if verdict.is_err() != refused {
            writeln!(surprises, "{name}: {verdict:?}").unwrap();
        }
    }
    let mut asked = 0;
    for (name, object) in Committed::objects("bad") {
        // Without certificates there is nothing to ask.
        let Some(chain) = x5c(&object).filter(|chain| !chain.is_empty()) else {
            continue;
        };
        let verdict = judge(&committed, &chain);
        let accepted = difference(accepts, &name);
        if verdict.is_ok() != accepted {
            writeln!(surprises, "{name}: {verdict:?}").unwrap();
        }
        asked += 1;
    }
    assert!(surprises.is_empty(), "{surprises}");
    assert!(asked >= 70, "only {asked} chains");
    let listed: BTreeSet<&str> = accepts.iter().chain(refuses).map(|one| one.0).collect();
    assert_eq!(used, listed, "these differ no more, or never did");
    assert!(
        accepts
            .iter()
            .chain(refuses)
            .all(|one| one.1.ends_with('.'))
    );
}
