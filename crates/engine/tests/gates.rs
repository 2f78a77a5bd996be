//! Which client may read, revoke, deactivate and finalize what: decisions of
//! the use-cases, without a network.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_engine::{
    AccountContext, Context, CsrRefusal, Error, RequestInfo, Requester, SerialNumber,
    domain::{AuthorizationStatus, Certificate, NotReady, Order, OrderState, Revocation, Revoker},
    ports::{Change, ChangeSet, Store, Version, Versioned},
};
use assay_proto::{
    AuthorizationUpdate, Base64Url, OrderStatus, RevocationReason, RevokeCert, Timestamp,
};
use assay_simulator::{CsrRequest, Device, SubjectAltName};
use support::{Harness, SERIAL, START, account_key, device, faulty_store::CommitFault, new_cas};

/// A certificate, with its order and device.
struct Issued {
    harness: Harness,
    device: Device,
    order: Order,
    serial: SerialNumber,
    der: Vec<u8>,
}

impl Issued {
    async fn new() -> Self {
        let harness = Harness::new();
        let (order, device) = harness.ready(&harness.account().await).await;
        let order = harness.finalize(&order, &device).await.unwrap();
        let OrderState::Valid { certificate } = order.state() else {
            panic!("{:?}", order.state());
        };
        let serial = certificate.clone();
        let der = stored(&harness, &serial).await.value.der;
        Self {
            harness,
            device,
            order,
            serial,
            der,
        }
    }

    async fn owner(&self) -> AccountContext {
        self.harness.by(self.order.account).await
    }

    async fn revoke(&self, by: Requester, der: &[u8], reason: Option<i64>) -> Result<(), Error> {
        let asked = RevokeCert {
            certificate: Base64Url(der.to_vec()),
            reason,
        };
        let context = Context::new(by, RequestInfo::default());
        self.harness.engine.revoke(&context, &asked).await
    }

    async fn revocation(&self) -> Option<Revocation> {
        stored(&self.harness, &self.serial).await.value.revocation
    }
}

async fn stored(harness: &Harness, serial: &SerialNumber) -> Versioned<Certificate> {
    let found = harness.store.certificate(serial.clone()).await;
    found.unwrap().unwrap()
}

fn by_account(context: AccountContext) -> Requester {
    Requester::Account(Box::new(context.by))
}

fn by_key_of(device: &Device) -> Requester {
    Requester::Key(assay_jws::PublicKey::from_spki_der(&device.spki_der()).unwrap())
}

#[tokio::test]
async fn a_certificate_is_read_by_its_account_alone() {
    let issued = Issued::new().await;
    let engine = &issued.harness.engine;
    let owner = issued.owner().await;
    let chain = engine.certificate(&owner, issued.serial.clone());
    let pem = chain.await.unwrap().pem;
    assert_eq!(pem.matches("-----BEGIN CERTIFICATE-----").count(), 2);
    let leaf = assay_ca::certificate_pem(&issued.der).unwrap();
    let issuer = support::issuer(&issued.harness.cas.issuing);
    assert_eq!(pem, leaf + issuer.certificate_pem());

    let other = issued.harness.by(issued.harness.account().await.id).await;
    let refused = engine.certificate(&other, issued.serial.clone()).await;
    assert_eq!(refused.unwrap_err(), Error::NotFound("certificate"));
    let unknown = SerialNumber::from_random([9; 16]);
    let refused = engine.certificate(&issued.owner().await, unknown).await;
    assert_eq!(refused.unwrap_err(), Error::NotFound("certificate"));
    // A server's own certificate belongs to no account.
    let spki = device(SERIAL).spki_der();
    let own = engine
        .issue_server_certificate(&spki, "localhost")
        .await
        .unwrap();
    let own = assay_ca::serial_number_of(&own.chain[0]).unwrap();
    let refused = engine.certificate(&issued.owner().await, own).await;
    assert_eq!(refused.unwrap_err(), Error::NotFound("certificate"));
    // The chain needs the issuing CA.
    let harness = &issued.harness;
    let elsewhere = harness.restart(&[&harness.authority], &new_cas());
    let fault = elsewhere.certificate(&owner, issued.serial.clone());
    assert!(matches!(fault.await, Err(Error::Internal(text)) if text.contains("no longer loaded")));
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_account_or_its_key_and_once() {
    let (compromise, unspecified) = (Some(1), None);
    for reason in [compromise, unspecified] {
        let issued = Issued::new().await;
        let owner = issued.owner().await;
        let account = owner.account();
        issued.harness.clock.advance(5);
        issued
            .revoke(by_account(owner), &issued.der, reason)
            .await
            .unwrap();
        let expected = Revocation {
            at: START.plus(5),
            reason: reason.and_then(RevocationReason::from_code),
            by: Revoker::Account(account),
        };
        assert_eq!(issued.revocation().await, Some(expected));
        let again = by_key_of(&issued.device);
        let refused = issued.revoke(again, &issued.der, compromise).await;
        assert_eq!(refused.unwrap_err(), Error::AlreadyRevoked);
        assert_eq!(issued.revocation().await, Some(expected));
    }
    let issued = Issued::new().await;
    let key = by_key_of(&issued.device);
    issued.revoke(key, &issued.der, None).await.unwrap();
    let revocation = issued.revocation().await.unwrap();
    assert_eq!(revocation.by, Revoker::CertificateKey);
}

#[tokio::test]
async fn no_other_account_key_or_bytes_revoke() {
    let issued = Issued::new().await;
    let other = issued.harness.by(issued.harness.account().await.id).await;
    let own_key = Requester::Key(issued.owner().await.by.value.key);
    let mut altered = issued.der.clone();
    *altered.last_mut().unwrap() ^= 1;
    let unknown = Issued::new().await.der;
    let owner = by_account(issued.owner().await);
    for (by, der) in [
        (by_account(other), &issued.der),
        (Requester::Key(account_key()), &issued.der),
        // The account's key is not the certificate's key.
        (own_key, &issued.der),
        (owner, &altered),
        (by_key_of(&issued.device), &altered),
        (by_key_of(&issued.device), &unknown),
        (by_key_of(&issued.device), &b"junk".to_vec()),
    ] {
        let refused = issued.revoke(by, der, None).await;
        assert_eq!(refused.unwrap_err(), Error::RevocationUnauthorized);
    }
    let owner = by_account(issued.owner().await);
    let refused = issued.revoke(owner, &issued.der, Some(7)).await;
    assert_eq!(refused.unwrap_err(), Error::RevocationReason(7));
    assert_eq!(issued.revocation().await, None);
}

#[tokio::test]
async fn an_authorization_is_given_up_by_its_account_and_only_while_it_counts() {
    let harness = Harness::new();
    let (order, _) = harness.ready(&harness.account().await).await;
    let id = order.authorizations[0];
    let owner = harness.by(order.account).await;
    let update = async |by: &AccountContext, id, status: &str| {
        let update = AuthorizationUpdate {
            status: status.to_owned(),
        };
        harness.engine.update_authorization(by, id, &update).await
    };
    for status in ["valid", "", "Deactivated"] {
        let refused = update(&owner, id, status).await.unwrap_err();
        assert_eq!(refused, Error::StatusNotSettable(status.to_owned()));
    }
    let other = harness.by(harness.account().await.id).await;
    let refused = update(&other, id, "deactivated").await;
    assert_eq!(refused.unwrap_err(), Error::NotFound("authorization"));
    let refused = harness.engine.authorization(&other, id).await;
    assert_eq!(refused.unwrap_err(), Error::NotFound("authorization"));
    let found = harness.engine.authorization(&owner, id).await.unwrap();
    assert_eq!(found.value.status(START), AuthorizationStatus::Valid);
    // Invalid and expired ones cannot be deactivated.
    let dead = harness.order(&owner.by.value, &[SERIAL]).await.unwrap();
    let challenge = harness.challenge(&dead, 0).await;
    let junk = support::response(b"junk");
    let answered = harness
        .engine
        .answer_challenge(&owner, challenge, &junk)
        .await;
    assert!(matches!(answered, Err(Error::Attestation(_))));
    let late = harness.order(&owner.by.value, &[SERIAL]).await.unwrap();
    harness.clock.move_to(late.expires);
    for order in [dead, late] {
        let id = order.authorizations[0];
        let refused = update(&owner, id, "deactivated").await;
        assert_eq!(refused.unwrap_err(), Error::AuthorizationFinal);
    }
}

#[tokio::test]
async fn a_challenge_is_answered_in_its_orders_time_and_not_after() {
    let harness = Harness::new();
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    harness.clock.move_to(order.expires);
    let late = harness.answer(&order, 0, &device(SERIAL)).await;
    assert_eq!(late.unwrap_err(), Error::OrderOver);
    // An order with a refused authorization has ended for all its
    // authorizations.
    let order = harness
        .order(&account, &["C02AAA", "C02BBB"])
        .await
        .unwrap();
    let context = harness.by(account.id).await;
    let challenge = harness.challenge(&order, 0).await;
    let junk = support::response(b"junk");
    let refused = harness
        .engine
        .answer_challenge(&context, challenge, &junk)
        .await;
    assert!(matches!(refused, Err(Error::Attestation(_))));
    let over = harness.answer(&order, 1, &device("C02BBB")).await;
    assert_eq!(over.unwrap_err(), Error::OrderOver);
}

#[tokio::test]
async fn an_account_is_established_by_its_first_evidence() {
    let harness = Harness::new();
    let account = harness.account().await;
    assert_eq!(account.established, None);
    harness.clock.advance(3);
    harness.ready(&account).await;
    let first = harness.by(account.id).await.by;
    assert_eq!(first.value.established, Some(START.plus(3)));
    harness.clock.advance(3);
    harness.ready(&account).await;
    let second = harness.by(account.id).await.by;
    assert_eq!(second.version, first.version);
}

async fn finalize_with(harness: &Harness, order: &Order, csr: &[u8]) -> Result<Order, Error> {
    let context = harness.by(order.account).await;
    harness.engine.finalize(&context, order.id, csr).await
}

#[tokio::test]
async fn a_refused_csr_leaves_the_order_ready_and_a_note() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    let named = CsrRequest {
        common_name: String::new(),
        names: vec![SubjectAltName::PermanentIdentifier("C02ZZZ".to_owned())],
    };
    let other = support::device(SERIAL);
    for (csr, refusal, reason) in [
        (
            device.csr(&named).unwrap(),
            CsrRefusal::NameNotOrdered("permanent identifier"),
            "csr-name-not-ordered",
        ),
        (
            support::csr(&other),
            CsrRefusal::KeyNotAttested,
            "csr-key-not-attested",
        ),
    ] {
        let refused = finalize_with(&harness, &order, &csr).await;
        assert_eq!(refused.unwrap_err(), Error::Csr(refusal.clone()));
        let notes = harness.store.notes(order.id).await.unwrap();
        let note = notes.last().unwrap();
        assert_eq!(
            (note.reason.as_str(), &note.detail),
            (reason, &refusal.to_string())
        );
        assert_eq!(harness.read(&order).await.status(START), OrderStatus::Ready);
    }
    let refused = finalize_with(&harness, &order, b"junk").await;
    assert!(matches!(
        refused,
        Err(Error::Csr(CsrRefusal::Unreadable(_)))
    ));
    // No other account can finalize it.
    let another = harness.by(harness.account().await.id).await;
    let csr = support::csr(&device);
    let refused = harness.engine.finalize(&another, order.id, &csr);
    assert_eq!(refused.await.unwrap_err(), Error::NotFound("order"));
    harness.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn what_is_issued_is_what_was_recorded() {
    let issued = Issued::new().await;
    let certificate = stored(&issued.harness, &issued.serial).await.value;
    assert_eq!(certificate.issued, START);
    assert_eq!(
        certificate.spki_sha256,
        assay_engine::sha256(&issued.device.spki_der())
    );
    assert_eq!(
        certificate.issuer,
        support::issuer(&issued.harness.cas.issuing).id()
    );
    let holder = certificate.holder.ordered();
    assert_eq!(holder, Some((issued.order.account, issued.order.id)));
    let lifetime = 90 * 86_400;
    assert_eq!(certificate.not_after, START.plus(lifetime));
    let (_, read) = x509_parser::parse_x509_certificate(&certificate.der).unwrap();
    let validity = read.validity();
    let times = [validity.not_before, validity.not_after].map(|time| time.timestamp());
    let backdated = START.minus(assay_ca::authority::BACKDATE);
    let expected = [backdated, START.plus(lifetime)].map(|time| i64::try_from(time.0).unwrap());
    assert_eq!(times, expected);
}

#[tokio::test]
async fn a_ready_order_with_an_authorization_that_ended_is_a_fault_and_nothing_is_signed() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    // Change only the authorization: no use-case creates such an order.
    let found = harness.store.authorization(order.authorizations[0]).await;
    let found = found.unwrap().unwrap();
    let change = Change::UpdateAuthorization(found.value.end_at(START), found.version);
    let changes = ChangeSet::new(START, vec![change]);
    harness.store.commit("test", changes).await.unwrap();
    let fault = harness.finalize(&order, &device).await.unwrap_err();
    assert!(
        matches!(&fault, Error::Internal(text) if text.contains("is not valid")),
        "{fault:?}"
    );
    let later: Timestamp = harness.engine.now();
    assert_eq!(harness.read(&order).await.status(later), OrderStatus::Ready);
}

#[tokio::test]
async fn a_finalize_that_another_request_overtakes_signs_nothing() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    let found = harness.store.order(order.id).await.unwrap().unwrap();
    let ended = found.value.fail(failure(&harness).await).unwrap();
    let changes = ChangeSet::new(START, vec![Change::UpdateOrder(ended, found.version)]);
    harness.store.overtake_next("finalize-begin", changes);
    let refused = harness.finalize(&order, &device).await.unwrap_err();
    let invalid = Error::OrderNotReady(NotReady(OrderStatus::Invalid));
    assert_eq!(refused, invalid);
    assert_eq!(harness.store.orders_in_processing().await.unwrap(), []);
}

/// A failure: that of an answer without evidence.
async fn failure(harness: &Harness) -> assay_engine::domain::Failure {
    let order = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    let context = harness.by(order.account).await;
    let challenge = harness.challenge(&order, 0).await;
    let junk = support::response(b"junk");
    match harness
        .engine
        .answer_challenge(&context, challenge, &junk)
        .await
    {
        Err(Error::Attestation(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_order_that_another_process_completed_is_returned_as_it_is_stored() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    harness
        .store
        .fail_next("finalize-begin", CommitFault::Unacknowledged);
    harness.finalize(&order, &device).await.unwrap_err();
    let found = harness.store.order(order.id).await.unwrap().unwrap();
    let completed = found.value.clone().complete().unwrap();
    // Recovery renews the lease in a commit of its own.
    let renewed = Version(found.version.0 + 1);
    let change = Change::UpdateOrder(completed.clone(), renewed);
    let changes = ChangeSet::new(START, vec![change]);
    harness.store.overtake_next("finalize-complete", changes);
    harness.clock.advance(Order::LEASE);
    assert_eq!(harness.read(&order).await, completed);
}
