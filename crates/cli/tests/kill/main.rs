//! The real server, killed by SIGKILL under load, again and again: whatever it
//! acknowledged is there when it is started again, and no certificate ever left
//! that it does not know.
//!
//! `ASSAY_KILL_ROUNDS` says how often; 3 times where it is not set.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod enrolment;
mod fleet;
mod server;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    enrolment::{Enrolment, Status},
    fleet::{Fleet, Task},
    server::{Laboratory, random},
};

/// An order's lease of 60 seconds, and some more for a slow machine.
const LEASE: Duration = Duration::from_secs(75);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scenarios_64_and_65_what_was_acknowledged_outlives_a_kill() {
    let rounds: u32 =
        std::env::var("ASSAY_KILL_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    assert!(rounds > 0, "ASSAY_KILL_ROUNDS=0 would test nothing");
    let fleet = Arc::new(Fleet::new());
    let mut server = fleet.laboratory.start();
    let mut enrolments: Vec<Enrolment> = Vec::new();
    let mut killed = Instant::now();

    for round in 1..=rounds {
        let mut devices = fleet.set_out();
        let aim = async {
            // By then a device has its certificate, since it takes each of
            // them ten answers. The kill comes while one is about to be
            // issued, and the other devices are anywhere.
            fleet.answers(100 + u64::from(random() % 300)).await;
            fleet.next_finalize().await;
            let after = Duration::from_micros(u64::from(random() % 12_000));
            sleep(after).await;
            after
        };
        let after = tokio::select! {
            after = aim => after,
            ended = devices.join_next() => panic!(
                "a device ended before the kill: {:?}",
                ended.unwrap().err()
            ),
        };
        fleet.killing.store(true, Ordering::SeqCst);
        server.kill();
        killed = Instant::now();
        let interrupted: Vec<_> = devices.join_all().await.into_iter().flatten().collect();

        server = fleet.laboratory.start();
        let started = killed.elapsed();
        let interrupted = fleet.each(interrupted, Task::Check).await;
        let count = |status| {
            interrupted
                .iter()
                .filter(|one| one.status() == status)
                .count()
        };
        let downloaded = interrupted
            .iter()
            .filter(|one| one.has_certificate())
            .count();
        println!(
            "round {round}: killed {after:?} after a finalize was sent, back {started:?} later; {} orders: \
             {} valid, {downloaded} of them downloaded, {} processing, {} ready, {} pending",
            interrupted.len() - count(Status::None),
            count(Status::Valid),
            count(Status::Processing),
            count(Status::Ready),
            count(Status::Pending),
        );
        assert!(
            downloaded > 0,
            "no certificate was acknowledged before the kill"
        );
        // What was interrupted goes on where it was.
        enrolments.extend(fleet.each(interrupted, Task::GoOn).await);
    }

    // Orders whose signing was interrupted end with their lease, unasked.
    let deadline = killed + LEASE;
    while Instant::now() < deadline
        && fleet
            .laboratory
            .orders()
            .iter()
            .any(|order| order["status"] == "processing")
    {
        sleep(Duration::from_secs(1)).await;
    }
    let enrolments = fleet.each(enrolments, Task::Check).await;
    let enrolments = fleet.each(enrolments, Task::GoOn).await;
    let enrolments = fleet.each(enrolments, Task::Check).await;
    server.terminate();
    check_list(&fleet.laboratory, &enrolments);
}

/// Compares what the devices know with what the stopped server's database
/// lists: every order, each certificate once.
fn check_list(laboratory: &Laboratory, enrolments: &[Enrolment]) {
    let listed = laboratory.orders();
    let mut serials = HashSet::new();
    let mut by_id = HashMap::new();
    for order in &listed {
        let id = order["id"].as_str().unwrap();
        assert!(by_id.insert(id, order).is_none(), "{id} is listed twice");
        match order["status"].as_str().unwrap() {
            "valid" => {
                let serial = order["certificate"].as_str().unwrap();
                assert!(serials.insert(serial), "{serial} was issued twice");
            }
            // Its newOrder was never answered, so that nobody went on with it.
            "pending" => assert!(order["certificate"].is_null(), "{order}"),
            _ => panic!("an order neither ended nor was left alone: {order}"),
        }
    }
    for enrolment in enrolments {
        let id = enrolment.order_id();
        let order = by_id
            .get(id)
            .unwrap_or_else(|| panic!("{id} is not listed"));
        assert_eq!(order["certificate"], enrolment.serial(), "{id}");
        assert_eq!(order["identifiers"][0]["value"], *enrolment.identifier());
    }
    assert_eq!(
        serials.len(),
        enrolments.len(),
        "a certificate that no device has"
    );
}
