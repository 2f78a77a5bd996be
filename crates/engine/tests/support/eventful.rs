//! Walks that cause every event of the engine at least once.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use assay_engine::{
    AccountContext, Context, Limits, RequestInfo, Requester,
    domain::{Account, Order, OrderState, ServerIntent},
    ports::{OpenOrders, Space, Store},
    time::MAX_JUMP,
};
use assay_jws::PublicKey;
use assay_proto::{AccountUpdate, AuthorizationUpdate, Base64Url, RevokeCert, WireIdentifier};
use assay_simulator::{AccountKey, Algorithm, Jws, SignatureStyle};
use serde_json::json;

use super::{
    Harness, SERIAL, Settings, csr, device, device_with_udid, faulty_store::CommitFault, new_cas,
    new_order,
};

/// The client address of the requests.
const CLIENT: &str = "192.0.2.7";

/// A disk with a free space set by the test.
pub struct Disk(pub AtomicU64);

impl Space for Disk {
    fn free(&self) -> io::Result<u64> {
        match self.0.load(Ordering::SeqCst) {
            u64::MAX => Err(io::ErrorKind::Other.into()),
            free => Ok(free),
        }
    }
}

/// Runs all walks. Each starts with a new server, built from `settings`.
pub async fn everything(settings: &Settings) {
    accounts(&Harness::with(settings.clone())).await;
    key_change(&Harness::with(settings.clone())).await;
    short_signature(&Harness::with(settings.clone())).await;
    authorizations(&Harness::with(settings.clone())).await;
    refusals(&Harness::with(settings.clone())).await;
    issuance(&Harness::with(settings.clone())).await;
    failed_issuance(&Harness::with(settings.clone())).await;
    postponed_issuance(settings).await;
    server_certificate(&Harness::with(settings.clone())).await;
    other_devices(&Harness::with(settings.clone())).await;
    clock(&Harness::with(settings.clone()));
    free_space(settings);
    displaced(settings).await;
}

async fn from_client(harness: &Harness, account: &Account) -> AccountContext {
    let request = RequestInfo::from(CLIENT.parse().unwrap());
    harness.authenticated_from(account, request).await
}

/// Creates, changes and deactivates an account.
pub async fn accounts(harness: &Harness) {
    let account = harness.account_from(CLIENT).await.unwrap();
    harness.order(&account, &[SERIAL]).await.unwrap();
    let update = |contact: Option<Vec<String>>, status: Option<&str>| AccountUpdate {
        contact,
        status: status.map(str::to_owned),
    };
    let contacts = update(Some(vec!["mailto:a@example.org".to_owned()]), None);
    let ended = update(None, Some("deactivated"));
    for update in [contacts, ended] {
        let context = from_client(harness, &account).await;
        let updated = harness.engine.update_account(&context, &update);
        updated.await.unwrap();
    }
}

/// Changes an account's key.
pub async fn key_change(harness: &Harness) {
    let [old, new] = [0; 2].map(|_| AccountKey::generate(Algorithm::Es256).unwrap());
    let account = harness.account_of(public(&old)).await;
    let url = "https://localhost:8443/acme/key-change";
    let kid = harness.engine.urls().account(account.id);
    let inner = json!({"account": kid, "oldKey": old.jwk()});
    let inner = Jws::new(url, &inner).sign(&new, None, None).unwrap();
    let nonce = harness.engine.nonce();
    let outer = Jws::new(url, &inner).sign(&old, Some(&kid), Some(&nonce));
    let body = outer.unwrap().to_string();
    let request = RequestInfo::from(CLIENT.parse().unwrap());
    let authenticated = harness
        .engine
        .authenticate_account(body.as_bytes(), url, request);
    let (context, payload) = authenticated.await.unwrap();
    let changed = harness.engine.change_key(&context, &payload, url);
    changed.await.unwrap();
}

fn public(key: &AccountKey) -> PublicKey {
    PublicKey::from_jwk(key.jwk().to_string().as_bytes()).unwrap()
}

/// Sends a signature without its leading zero byte.
pub async fn short_signature(harness: &Harness) {
    let key = AccountKey::generate(Algorithm::Es256).unwrap();
    let key = key.with_style(SignatureStyle::AppleShort);
    let url = "https://localhost:8443/acme/new-account";
    let nonce = harness.engine.nonce();
    let body = Jws::new(url, &json!({})).sign(&key, None, Some(&nonce));
    let body = body.unwrap().to_string();
    let request = RequestInfo::from(CLIENT.parse().unwrap());
    let authenticated = harness
        .engine
        .authenticate_key(body.as_bytes(), url, request);
    authenticated.await.unwrap();
}

/// Deactivates an authorization.
pub async fn authorizations(harness: &Harness) {
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    let update = AuthorizationUpdate {
        status: "deactivated".to_owned(),
    };
    let context = from_client(harness, &account).await;
    let deactivated =
        harness
            .engine
            .update_authorization(&context, order.authorizations[0], &update);
    deactivated.await.unwrap();
}

/// Refusals by each gate, and by a limit.
pub async fn refusals(harness: &Harness) {
    let account = harness.account().await;
    let context = from_client(harness, &account).await;
    let unknown = new_order(&["C02UNKNOWN"]);
    let refused = harness.engine.new_order(&context, &unknown);
    refused.await.unwrap_err();
    let identifiers: Vec<WireIdentifier> = new_order(&[SERIAL]).identifiers;
    let limit = "too many orders".to_owned();
    harness
        .engine
        .order_rate_limited(&context, &identifiers, limit);
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    let other = device("C02OTHER");
    harness.answer(&order, 0, &other).await.unwrap_err();
    let (order, _) = harness.ready(&account).await;
    harness.finalize(&order, &other).await.unwrap_err();
}

/// Issues a certificate and revokes it.
pub async fn issuance(harness: &Harness) {
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    let context = from_client(harness, &account).await;
    let csr = csr(&device);
    let issued = harness.engine.finalize(&context, order.id, &csr);
    let issued = issued.await.unwrap();
    let OrderState::Valid { certificate } = issued.state() else {
        panic!("{issued:?}");
    };
    let stored = harness
        .store
        .certificate(certificate.clone())
        .await
        .unwrap();
    let revocation = RevokeCert {
        certificate: Base64Url(stored.unwrap().value.der),
        reason: Some(1),
    };
    let requester = Requester::Account(Box::new(context.by));
    let context = Context::new(requester, context.request);
    let revoked = harness.engine.revoke(&context, &revocation);
    revoked.await.unwrap();
}

/// The CA is gone before it signs.
pub async fn failed_issuance(harness: &Harness) {
    interrupted(harness).await;
    recovered_by_another_ca(harness).await;
}

/// Interrupts an order before its certificate is recorded.
pub async fn interrupted(harness: &Harness) {
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    harness
        .store
        .fail_next("finalize-complete", CommitFault::Lost);
    harness.finalize(&order, &device).await.unwrap_err();
}

/// Recovers interrupted orders in another process, with another CA.
pub async fn recovered_by_another_ca(harness: &Harness) {
    harness.clock.advance(Order::LEASE);
    let engine = harness.restart(&[&harness.authority], &new_cas());
    engine.recover().await.unwrap();
}

/// A signature by the module times out.
pub async fn postponed_issuance(settings: &Settings) {
    let harness = Harness::with(Settings {
        module: Some(Arc::default()),
        threads: Arc::default(),
        ..settings.clone()
    });
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    harness
        .settings
        .threads
        .impatient
        .store(true, Ordering::SeqCst);
    harness.finalize(&order, &device).await.unwrap();
}

/// A process dies before its TLS certificate is complete.
pub async fn server_certificate(harness: &Harness) {
    let spki = device(SERIAL).spki_der();
    let died = ("server-certificate", CommitFault::Lost);
    harness.store.fail_next(died.0, died.1);
    let issued = harness.engine.issue_server_certificate(&spki, "localhost");
    issued.await.unwrap_err();
    harness.clock.advance(ServerIntent::LEASE);
    let dropped = harness.engine.drop_unfinished_server_intents();
    dropped.await.unwrap();
}

/// Evidence that contradicts the list and earlier evidence, and that cannot be
/// compared.
pub async fn other_devices(harness: &Harness) {
    let account = harness.account().await;
    for (udid, listed, reads) in [
        ("UDID-A", None, true),
        ("UDID-B", Some("UDID-LISTED"), true),
        ("UDID-B", None, false),
    ] {
        *harness.inventory.udid.lock().unwrap() = listed.map(str::to_owned);
        if !reads {
            harness.store.fail_next_read_of_device_orders();
        }
        let order = harness.order(&account, &[SERIAL]).await.unwrap();
        let device = device_with_udid(SERIAL, udid);
        harness.answer(&order, 0, &device).await.unwrap();
    }
}

/// The wall clock departs, returns, and is followed.
pub fn clock(harness: &Harness) {
    let step = |by: i64| {
        use assay_engine::ports::Clock;
        let wall = harness.clock.now().0.saturating_add_signed(by);
        harness.clock.set(assay_proto::Timestamp(wall));
        for _ in 0..60 {
            harness.clock.advance(10);
            let _ = harness.engine.read_clock();
        }
    };
    let far = 2 * MAX_JUMP as i64;
    for by in [far, -far, 600] {
        step(by);
    }
}

/// The disk becomes full, unreadable, and has room again.
pub fn free_space(settings: &Settings) {
    let disk = Arc::new(Disk(AtomicU64::new(1_000)));
    let harness = Harness::with(Settings {
        limits: Limits {
            free_space: 800,
            ..Limits::default()
        },
        space: Some(Arc::clone(&disk) as _),
        ..settings.clone()
    });
    for free in [799, u64::MAX, u64::MAX, 899, 900, 900] {
        disk.0.store(free, Ordering::SeqCst);
        harness.engine.check_space();
    }
}

/// Newer accounts and orders displace others.
pub async fn displaced(settings: &Settings) {
    let harness = Harness::with(Settings {
        limits: Limits {
            provisional_accounts: 2,
            open_orders: OpenOrders {
                of_account: 1_000,
                of_identifier: 1_000,
                pending: 2,
            },
            ..Limits::default()
        },
        ..settings.clone()
    });
    for _ in 0..3 {
        harness.account_from("198.51.100.1").await.unwrap();
        harness.clock.advance(600);
    }
    harness.engine.report_displaced();
    let account = harness.account_from("198.51.100.1").await.unwrap();
    for _ in 0..3 {
        let ordered = harness.order_from("198.51.100.1", &account, &[SERIAL]);
        ordered.await.unwrap();
        harness.clock.advance(600);
    }
    harness.engine.report_displaced();
    // Nothing happened since.
    harness.engine.report_displaced();
}

/// More accounts than the log's rate per address allows.
pub async fn many_accounts(harness: &Harness) {
    for _ in 0..60 {
        harness.account_from("203.0.113.5").await.unwrap();
    }
}
