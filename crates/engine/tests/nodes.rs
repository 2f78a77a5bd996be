//! Several nodes on one store.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::atomic::Ordering;

use assay_engine::{Error, ports::StoreError};
use support::Glass;

/// An engine that began at another time than the recorded one would revive
/// what has expired.
#[tokio::test]
async fn no_engine_starts_without_the_recorded_time() {
    let glass = Glass::new();
    glass.store.timeless.store(true, Ordering::Relaxed);
    let refused = glass.start(&[&glass.authority], &glass.cas);
    let fault = StoreError("no route".to_owned());
    assert_eq!(refused.err(), Some(Error::Store(fault)));
    glass.store.timeless.store(false, Ordering::Relaxed);
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    assert_eq!(engine.now(), glass.engine.now());
}
