//! A server whose database was written at another time than the clock shows.

use assay_engine::ports::{ChangeSet, Store};
use assay_proto::Timestamp;
use assay_simulator::CsrRequest;
use assay_store::{LedgerStore, OpenMode};

use crate::support::{Server, Setup, assert_exit, mac, message, now};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn open_store(server: &Server) -> LedgerStore {
    LedgerStore::open(&server.dir().join("db"), OpenMode::Laboratory).unwrap()
}

/// A server whose last commit was at `time`.
async fn recorded_at(time: u64) -> Server {
    let server = Server::init(Setup::default());
    let changes = ChangeSet::new(Timestamp(time), Vec::new());
    open_store(&server).commit("test", changes).await.unwrap();
    server
}

#[tokio::test]
async fn scenario_145_a_mark_years_ahead_is_named_with_what_to_do() {
    let mark = now() + 5 * 365 * 86_400;
    let server = recorded_at(mark).await;
    let message = message(&server.assay(SERVE), 2);
    let recorded = Timestamp(mark).to_string();
    for part in [recorded.as_str(), "`assay store reset-clock`"] {
        assert!(message.contains(part), "{message}");
    }
    // Nothing changed.
    assert_eq!(open_store(&server).recorded_time(), Timestamp(mark));
}

#[tokio::test]
async fn a_clock_far_ahead_of_the_last_commit_is_refused_unless_it_may_rest_so_long() {
    let mark = now() - 31 * 86_400;
    let mut server = recorded_at(mark).await;
    let message = message(&server.assay(SERVE), 2);
    let recorded = Timestamp(mark).to_string();
    for part in [
        recorded.as_str(),
        "time.max_rest",
        "`assay store accept-clock TIME`",
    ] {
        assert!(message.contains(part), "{message}");
    }
    server.configure("time.max_rest = \"32d\"");
    server.restart();
}

#[tokio::test]
async fn a_server_that_starts_records_the_time() {
    let before = now();
    let mut server = recorded_at(before - 86_400).await;
    server.configure("server.tls = \"off\"\nserver.base_url = \"https://localhost\"");
    server.restart();
    server.kill();
    assert!(open_store(&server).recorded_time() >= Timestamp(before));
}

#[tokio::test]
async fn accept_clock_lets_a_server_start_that_rested_too_long() {
    let mark = now() - 31 * 86_400;
    let mut server = recorded_at(mark).await;
    let accept = |time: u64| server.assay(["store", "accept-clock", &time.to_string()]);
    // Not without knowing what time it is.
    let message = message(&accept(now() - 3700), 2);
    assert!(message.contains("more than an hour"), "{message}");
    assert_eq!(open_store(&server).recorded_time(), Timestamp(mark));
    let before = now();
    assert_exit(&accept(now() + 3500), 0);
    assert!(open_store(&server).recorded_time() >= Timestamp(before));
    assert!(open_store(&server).recorded_time() <= Timestamp(now()));
    server.restart();
}

#[tokio::test]
async fn accept_clock_accepts_no_clock_that_is_behind() {
    let mark = now() + 86_400;
    let server = recorded_at(mark).await;
    let time = now().to_string();
    let message = message(&server.assay(["store", "accept-clock", &time]), 2);
    assert!(message.contains("`assay store reset-clock`"), "{message}");
    assert_eq!(open_store(&server).recorded_time(), Timestamp(mark));
}

#[test]
fn accept_clock_asks_a_running_server() {
    let server = Server::start(Setup::default());
    let accept = |time: u64| server.assay(["store", "accept-clock", &time.to_string()]);
    let output = accept(now());
    assert_exit(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with("The running server follows"), "{told}");
    let message = message(&accept(now() - 3700), 2);
    assert!(message.contains("more than an hour"), "{message}");
}

#[tokio::test]
async fn scenario_145_reset_clock_takes_a_wrong_mark_back_and_loses_nothing() {
    let mut server = Server::start(Setup {
        devices: &["C02CLOCK001,,"],
        ..Setup::default()
    });
    let device = mac("C02CLOCK001");
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, "C02CLOCK001").await;
    let open = client.order("C02CLOCK001").await;
    client.certificate(&placed, &csr).await;
    // Not while it runs.
    message(&server.assay(["store", "reset-clock"]), 2);
    server.kill();

    let mark = now() + 5 * 365 * 86_400;
    let wrong = ChangeSet::new(Timestamp(mark), Vec::new());
    let key = {
        let store = open_store(&server);
        store.commit("test", wrong).await.unwrap();
        store.nonce_key().await.unwrap()
    };
    message(&server.assay(SERVE), 2);
    let output = server.assay(["store", "reset-clock"]);
    assert_exit(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&Timestamp(mark).to_string()), "{told}");
    assert!(told.contains("Orders that became invalid: 1."), "{told}");
    // Once is enough.
    let again = message(&server.assay(["store", "reset-clock"]), 2);
    assert!(again.contains("nothing to reset"), "{again}");
    {
        let store = open_store(&server);
        assert!(store.recorded_time() <= Timestamp(now()));
        assert_ne!(store.nonce_key().await.unwrap(), key);
    }

    server.restart();
    assert_eq!(server.story(&placed.order)["status"], "valid");
    let ended = server.story(&open.order);
    assert_eq!(ended["status"], "invalid");
    assert!(ended.to_string().contains("clock-reset"), "{ended}");
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, "C02CLOCK001").await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    client.certificate(&placed, &csr).await;
}
