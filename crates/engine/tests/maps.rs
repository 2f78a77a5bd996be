//! Several directories, profiles and issuers.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::Arc;

use assay_engine::{
    Context, Engine, Error, IssuanceRefusal, Payload, RequestInfo, Requester, SerialNumber,
    directories::Directory,
    domain::{Account, Order, OrderState},
    ports::Store,
    profile::{CsrNames, Profile},
};
use assay_jws::PublicKey;
use assay_proto::{NewAccount, OrderStatus};
use assay_simulator::{AccountKey, Algorithm, Jws};
use serde_json::{Value, json};
use support::{
    Harness, START, Settings, csr, directory_name, faulty_store::CommitFault, new_cas, public,
};

/// The lifetime of the profile `short`.
const SHORT: u64 = 7200;

fn settings(offered: &[&'static str]) -> Settings {
    let short = Profile {
        subject: Profile::parse_subject("CN={serial},O=Short").unwrap(),
        san: Vec::new(),
        lifetime: SHORT,
        csr_names: CsrNames::Ignore,
    };
    Settings {
        profiles: vec![("short", short)],
        directories: vec![("wifi", offered.to_vec())],
        ..Settings::default()
    }
}

/// An engine with the directories `default` and `wifi`; `wifi` offers the
/// profile `short`.
fn harness() -> Harness {
    Harness::with(settings(&["short"]))
}

fn wifi(engine: &Engine) -> &Arc<Directory> {
    (engine.directories().get(&directory_name("wifi"))).unwrap()
}

/// An authenticated request for a resource of `directory`.
async fn asks(
    engine: &Engine,
    directory: &Directory,
    key: &AccountKey,
    kid: Option<&str>,
    payload: &Value,
) -> Result<(Context<Requester>, Payload), Error> {
    let url = directory.urls().directory();
    let nonce = engine.nonce();
    let signed = Jws::new(&url, payload).sign(key, kid, Some(&nonce));
    let body = signed.unwrap().to_string();
    let request = RequestInfo::default().in_directory(directory.name());
    let authenticated = engine.authenticate(body.as_bytes(), &url, request);
    authenticated.await.map_err(Error::from)
}

/// newAccount in `directory`, with an authenticated key.
async fn new_account_of(engine: &Engine, directory: &Directory, key: PublicKey) -> (Account, bool) {
    let request = RequestInfo::default().in_directory(directory.name());
    let context = Context::new(key, request);
    let made = engine.new_account(&context, &NewAccount::default()).await;
    made.unwrap()
}

async fn new_account(engine: &Engine, directory: &Directory, key: &AccountKey) -> (Account, bool) {
    new_account_of(engine, directory, public(key)).await
}

fn key() -> AccountKey {
    AccountKey::generate(Algorithm::Es256).unwrap()
}

#[tokio::test]
async fn the_same_key_in_two_directories_is_two_accounts() {
    let (harness, key) = (harness(), key());
    let engine = &harness.engine;
    let (default, wifi) = (engine.directories().default_directory(), wifi(engine));
    let (in_default, made) = new_account(engine, default, &key).await;
    assert!(made);
    let (in_wifi, made) = new_account(engine, wifi, &key).await;
    assert!(made);
    assert_ne!(in_default.id, in_wifi.id);
    for (directory, account) in [(default, &in_default), (wifi, &in_wifi)] {
        let (again, made) = new_account(engine, directory, &key).await;
        assert_eq!((again.id, made), (account.id, false));
        assert_eq!(account.directory, directory.name());
    }
}

#[tokio::test]
async fn an_account_is_good_in_its_own_directory_alone() {
    let (harness, key) = (harness(), key());
    let engine = &harness.engine;
    let (default, wifi) = (engine.directories().default_directory(), wifi(engine));
    let (account, _) = new_account(engine, default, &key).await;
    let unknown = Error::AccountDoesNotExist("kid");
    let of = |directory: &Directory| directory.urls().account(account.id);
    for (directory, kid, expected) in [
        (default, of(default), None),
        (default, of(wifi), Some(&unknown)),
        (wifi, of(default), Some(&unknown)),
        // A URL of this directory with the ID of the other one's account.
        (wifi, of(wifi), Some(&unknown)),
    ] {
        let asked = asks(engine, directory, &key, Some(&kid), &json!({})).await;
        assert_eq!(asked.err().as_ref(), expected, "{kid}");
    }
}

#[tokio::test]
async fn a_key_is_taken_in_the_directory_that_it_is_of() {
    let harness = harness();
    let engine = &harness.engine;
    let (default, wifi) = (engine.directories().default_directory(), wifi(engine));
    let [old, of_default, of_wifi] = [key(), key(), key()];
    let (account, _) = new_account(engine, wifi, &old).await;
    new_account(engine, default, &of_default).await;
    let (holder, _) = new_account(engine, wifi, &of_wifi).await;
    let kid = wifi.urls().account(account.id);
    for (new, expected) in [
        (&of_wifi, Some(Error::KeyInUse(holder.id))),
        (&of_default, None),
    ] {
        let url = wifi.urls().directory();
        let inner = json!({"account": kid, "oldKey": old.jwk()});
        let inner = Jws::new(&url, &inner).sign(new, None, None).unwrap();
        let asked = asks(engine, wifi, &old, Some(&kid), &inner).await;
        let (context, payload) = asked.unwrap();
        let Requester::Account(account) = context.by else {
            panic!("a key signed it");
        };
        let context = Context::new(*account, context.request);
        let changed = engine.change_key(&context, &payload, &url).await;
        assert_eq!(changed.err(), expected);
    }
}

/// An account of the directory `wifi`, as authentication returns it.
async fn account_in_wifi(harness: &Harness) -> Account {
    let (account, _) = new_account(&harness.engine, wifi(&harness.engine), &key()).await;
    account
}

/// The serial number of a valid order's certificate.
fn certificate_of(order: &Order) -> SerialNumber {
    match order.state() {
        OrderState::Valid { certificate } => certificate.clone(),
        state => panic!("{state:?}"),
    }
}

#[tokio::test]
async fn an_order_is_of_its_directorys_default_profile() {
    let harness = harness();
    for (account, directory, profile, lifetime) in [
        (harness.account().await, "default", "default", 90 * 86_400),
        (account_in_wifi(&harness).await, "wifi", "short", SHORT),
    ] {
        let (order, device) = harness.ready(&account).await;
        assert_eq!(order.directory.to_string(), directory);
        assert_eq!(order.profile.as_str(), profile);
        let valid = harness.finalize(&order, &device).await.unwrap();
        let certificate = harness.store.certificate(certificate_of(&valid)).await;
        let certificate = certificate.unwrap().unwrap().value;
        assert_eq!(certificate.not_after, START.plus(lifetime));
        let has_name = (certificate.der.windows(5)).any(|part| part == b"Short");
        assert_eq!(has_name, profile == "short");
    }
}

#[tokio::test]
async fn no_account_key_of_any_directory_is_certified() {
    let harness = harness();
    let engine = &harness.engine;
    let (order, device) = harness.ready(&harness.account().await).await;
    let attested = PublicKey::from_spki_der(&device.spki_der()).unwrap();
    new_account_of(engine, wifi(engine), attested).await;
    let refused = harness.finalize(&order, &device).await.unwrap_err();
    assert!(matches!(&refused, Error::Csr(csr) if csr.as_str() == "csr-account-key"));
}

#[tokio::test]
async fn an_order_of_a_profile_that_is_no_longer_offered_is_not_finalized() {
    let mut harness = harness();
    let account = account_in_wifi(&harness).await;
    let (order, device) = harness.ready(&account).await;
    let (csr, context) = (csr(&device), harness.authenticated(&account).await);
    let finalize = async |engine: Engine| {
        let finalized = engine.finalize(&context, order.id, &csr);
        finalized.await.map(|order| order.status(START))
    };
    for offered in [Some(&["default"][..]), None] {
        harness.settings = match offered {
            Some(offered) => settings(offered),
            None => Settings::default(),
        };
        let engine = harness.restart(&[&harness.authority], &harness.cas);
        let refused = Error::Issuance(IssuanceRefusal::ProfileNotOffered);
        assert_eq!(finalize(engine).await, Err(refused), "{offered:?}");
    }
    // Put the profile back; a changed default does not matter.
    harness.settings = settings(&["default", "short"]);
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    assert_eq!(finalize(engine).await, Ok(OrderStatus::Valid));
}

/// An order of `account` whose signing was interrupted.
async fn interrupted(harness: &Harness, account: &Account) -> Order {
    let (order, device) = harness.ready(account).await;
    (harness.store).fail_next("finalize-complete", CommitFault::Lost);
    harness.finalize(&order, &device).await.unwrap_err();
    order
}

/// The status of `order` after its lease, and the reason if it failed.
async fn recovered(harness: &Harness, engine: &Engine, order: &Order) -> (OrderStatus, String) {
    harness.clock.advance(Order::LEASE);
    assert_eq!(engine.recover().await.unwrap(), None);
    let value = harness.store.order(order.id).await.unwrap().unwrap().value;
    let reason = match value.state() {
        OrderState::Invalid(failure) => failure.reason.clone(),
        _ => String::new(),
    };
    (value.status(engine.now()), reason)
}

#[tokio::test]
async fn recovery_admits_no_device_of_a_directory_that_is_gone() {
    let mut harness = harness();
    let account = account_in_wifi(&harness).await;
    let order = interrupted(&harness, &account).await;
    harness.settings = Settings::default();
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    let expected = (OrderStatus::Invalid, "profile-not-offered".to_owned());
    assert_eq!(recovered(&harness, &engine, &order).await, expected);
}

#[tokio::test]
async fn an_issuance_ends_under_the_issuer_that_it_was_begun_under() {
    let mut harness = Harness::new();
    let account = harness.account().await;
    let order = interrupted(&harness, &account).await;
    let new = new_cas();
    harness.settings.former = vec![Arc::clone(&harness.cas)];
    let engine = harness.restart(&[&harness.authority], &new);
    let expected = (OrderStatus::Valid, String::new());
    assert_eq!(recovered(&harness, &engine, &order).await, expected);
    let context = harness.authenticated(&account).await;
    let order = engine.order(&context, order.id).await.unwrap().value;
    let chain = engine.certificate(&context, certificate_of(&order)).await;
    let chain = chain.unwrap().pem;
    assert!(chain.contains(harness.cas.issuing.certificate_pem.trim()));
    assert!(!chain.contains(new.issuing.certificate_pem.trim()));
}

#[tokio::test]
async fn certificates_of_every_loaded_issuer_can_be_fetched() {
    let mut harness = Harness::new();
    let account = harness.account().await;
    let issue = async |harness: &Harness| {
        let (order, device) = harness.ready(&account).await;
        certificate_of(&harness.finalize(&order, &device).await.unwrap())
    };
    let former = issue(&harness).await;
    let new = Arc::new(new_cas());
    harness.settings.former = vec![Arc::clone(&harness.cas)];
    harness.engine = Arc::new(harness.restart(&[&harness.authority], &new));
    let latest = issue(&harness).await;
    for (serial, issuer) in [(former, &harness.cas), (latest, &new)] {
        let context = harness.authenticated(&account).await;
        let chain = harness.engine.certificate(&context, serial).await.unwrap();
        assert!(chain.pem.contains(issuer.issuing.certificate_pem.trim()));
    }
}
