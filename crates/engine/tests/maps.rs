//! Several directories, profiles and issuers.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::Arc;

use assay_engine::{
    Context, Engine, Error, IssuanceRefusal, Payload, Request, Requester, SerialNumber,
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
    Glass, Knobs, START, csr, directory_name, faulty_store::CommitFault, new_cas, public,
};

/// The lifetime of the profile `short`.
const SHORT: u64 = 7200;

fn knobs(offered: &[&'static str]) -> Knobs {
    let short = Profile {
        subject: Profile::parse_subject("CN={serial},O=Short").unwrap(),
        san: Vec::new(),
        lifetime: SHORT,
        csr_names: CsrNames::Ignore,
    };
    Knobs {
        profiles: vec![("short", short)],
        directories: vec![("wifi", offered.to_vec())],
        ..Knobs::default()
    }
}

/// An engine with the directories `default` and `wifi`; `wifi` offers the
/// profile `short`.
fn glass() -> Glass {
    Glass::with(knobs(&["short"]))
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
    let request = Request::default().in_directory(directory.name());
    let authenticated = engine.authenticate(body.as_bytes(), &url, request);
    authenticated.await.map_err(Error::from)
}

/// newAccount in `directory`, with an authenticated key.
async fn new_account_of(engine: &Engine, directory: &Directory, key: PublicKey) -> (Account, bool) {
    let request = Request::default().in_directory(directory.name());
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
    let (glass, key) = (glass(), key());
    let engine = &glass.engine;
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
    let (glass, key) = (glass(), key());
    let engine = &glass.engine;
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
    let glass = glass();
    let engine = &glass.engine;
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
async fn account_in_wifi(glass: &Glass) -> Account {
    let (account, _) = new_account(&glass.engine, wifi(&glass.engine), &key()).await;
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
    let glass = glass();
    for (account, directory, profile, lifetime) in [
        (glass.account().await, "default", "default", 90 * 86_400),
        (account_in_wifi(&glass).await, "wifi", "short", SHORT),
    ] {
        let (order, device) = glass.ready(&account).await;
        assert_eq!(order.directory.to_string(), directory);
        assert_eq!(order.profile.as_str(), profile);
        let valid = glass.finalize(&order, &device).await.unwrap();
        let certificate = glass.store.certificate(certificate_of(&valid)).await;
        let certificate = certificate.unwrap().unwrap().value;
        assert_eq!(certificate.not_after, START.plus(lifetime));
        let has_name = (certificate.der.windows(5)).any(|part| part == b"Short");
        assert_eq!(has_name, profile == "short");
    }
}

#[tokio::test]
async fn no_account_key_of_any_directory_is_certified() {
    let glass = glass();
    let engine = &glass.engine;
    let (order, device) = glass.ready(&glass.account().await).await;
    let attested = PublicKey::from_spki_der(&device.spki_der()).unwrap();
    new_account_of(engine, wifi(engine), attested).await;
    let refused = glass.finalize(&order, &device).await.unwrap_err();
    assert!(matches!(&refused, Error::Csr(csr) if csr.as_str() == "csr-account-key"));
}

#[tokio::test]
async fn an_order_of_a_profile_that_is_no_longer_offered_is_not_finalized() {
    let mut glass = glass();
    let account = account_in_wifi(&glass).await;
    let (order, device) = glass.ready(&account).await;
    let (csr, context) = (csr(&device), glass.authenticated(&account).await);
    let finalize = async |engine: Engine| {
        let finalized = engine.finalize(&context, order.id, &csr);
        finalized.await.map(|order| order.status(START))
    };
    for offered in [Some(&["default"][..]), None] {
        glass.knobs = match offered {
            Some(offered) => knobs(offered),
            None => Knobs::default(),
        };
        let engine = glass.restart(&[&glass.authority], &glass.cas);
        let refused = Error::Issuance(IssuanceRefusal::ProfileNotOffered);
        assert_eq!(finalize(engine).await, Err(refused), "{offered:?}");
    }
    // Put the profile back; a changed default does not matter.
    glass.knobs = knobs(&["default", "short"]);
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    assert_eq!(finalize(engine).await, Ok(OrderStatus::Valid));
}

/// An order of `account` whose signing was interrupted.
async fn interrupted(glass: &Glass, account: &Account) -> Order {
    let (order, device) = glass.ready(account).await;
    (glass.store).fail_next("finalize-complete", CommitFault::Lost);
    glass.finalize(&order, &device).await.unwrap_err();
    order
}

/// The status of `order` after its lease, and the reason if it failed.
async fn recovered(glass: &Glass, engine: &Engine, order: &Order) -> (OrderStatus, String) {
    glass.clock.advance(Order::LEASE);
    assert_eq!(engine.recover().await.unwrap(), None);
    let value = glass.store.order(order.id).await.unwrap().unwrap().value;
    let reason = match value.state() {
        OrderState::Invalid(failure) => failure.reason.clone(),
        _ => String::new(),
    };
    (value.status(engine.now()), reason)
}

#[tokio::test]
async fn recovery_admits_no_device_of_a_directory_that_is_gone() {
    let mut glass = glass();
    let account = account_in_wifi(&glass).await;
    let order = interrupted(&glass, &account).await;
    glass.knobs = Knobs::default();
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    let expected = (OrderStatus::Invalid, "profile-not-offered".to_owned());
    assert_eq!(recovered(&glass, &engine, &order).await, expected);
}

#[tokio::test]
async fn an_issuance_ends_under_the_issuer_that_it_was_begun_under() {
    let mut glass = Glass::new();
    let account = glass.account().await;
    let order = interrupted(&glass, &account).await;
    let new = new_cas();
    glass.knobs.former = vec![Arc::clone(&glass.cas)];
    let engine = glass.restart(&[&glass.authority], &new);
    let expected = (OrderStatus::Valid, String::new());
    assert_eq!(recovered(&glass, &engine, &order).await, expected);
    let context = glass.authenticated(&account).await;
    let order = engine.order(&context, order.id).await.unwrap().value;
    let chain = engine.certificate(&context, certificate_of(&order)).await;
    let chain = chain.unwrap().pem;
    assert!(chain.contains(glass.cas.issuing.certificate_pem.trim()));
    assert!(!chain.contains(new.issuing.certificate_pem.trim()));
}

#[tokio::test]
async fn certificates_of_every_loaded_issuer_can_be_fetched() {
    let mut glass = Glass::new();
    let account = glass.account().await;
    let issue = async |glass: &Glass| {
        let (order, device) = glass.ready(&account).await;
        certificate_of(&glass.finalize(&order, &device).await.unwrap())
    };
    let former = issue(&glass).await;
    let new = Arc::new(new_cas());
    glass.knobs.former = vec![Arc::clone(&glass.cas)];
    glass.engine = Arc::new(glass.restart(&[&glass.authority], &new));
    let latest = issue(&glass).await;
    for (serial, issuer) in [(former, &glass.cas), (latest, &new)] {
        let context = glass.authenticated(&account).await;
        let chain = glass.engine.certificate(&context, serial).await.unwrap();
        assert!(chain.pem.contains(issuer.issuing.certificate_pem.trim()));
    }
}
