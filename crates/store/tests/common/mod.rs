//! Sample values to store.

#![allow(dead_code, reason = "each test binary uses a part of these")]

use assay_engine::{
    PublicKey, SerialNumber,
    domain::{
        Account, AccountState, AdmissionRule, Admitted, Attribute, Authorization,
        AuthorizationDetails, Basis, Certificate, CertificateHolder, Challenge, DeviceFacts,
        EvidenceRecord, Failure, Gate, Intent, KeyKind, Note, Order, OrderDetails, Origin,
        Processing, ServerIntent, Token, Validating,
    },
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    names::{DirectoryName, ProfileName},
    ports::{Change, ChangeSet, CommitError, ConflictOn, OpenOrders, Store, Version},
};
use assay_proto::{
    ChallengeType, Contact, Identifier, Problem, ProblemType, Subproblem, Timestamp, WireIdentifier,
};

/// The time at which the tests begin.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

/// Commits `changes` at [`NOW`].
pub(crate) async fn commit(
    store: &dyn Store,
    changes: Vec<Change>,
) -> Result<Version, CommitError> {
    commit_at(store, NOW, changes).await
}

/// Commits `changes` at `now`.
pub(crate) async fn commit_at(
    store: &dyn Store,
    now: Timestamp,
    changes: Vec<Change>,
) -> Result<Version, CommitError> {
    store.commit("test", ChangeSet::new(now, changes)).await
}

/// Inserts an order without a limit on open orders.
pub(crate) fn insert_order(order: Order) -> Change {
    let limits = OpenOrders {
        of_account: usize::MAX,
        of_identifier: usize::MAX,
        pending: usize::MAX,
    };
    Change::InsertOrder(order, limits)
}

/// Returns the length of the longest TBSCertificate that fits into the record
/// of `order`, from the error for a longer one.
pub(crate) async fn longest_tbs(store: &dyn Store, order: Order) -> usize {
    let tried = 0xffff;
    let changes = vec![insert_order(in_state(order, processing(1, tried)))];
    let Err(CommitError::Store(error)) = commit(store, changes).await else {
        panic!("it fits");
    };
    let numbers: Vec<usize> = (error.0.split(' '))
        .filter_map(|word| word.parse().ok())
        .collect();
    let [found, most] = numbers[..] else {
        panic!("{error}");
    };
    tried - (found - most)
}

/// Returns order `n`. Some orders have large records.
pub(crate) fn order_of_some_size(n: u8) -> Order {
    match n % 8 {
        3 => in_state(order(n), processing(n, 4_500)),
        5 => in_state(order(n), processing(n, 63_000)),
        6 => in_state(order(n), processing(n, 20_000)),
        _ => order(n),
    }
}

/// Returns how many of the account's orders that name `identifier` are open at
/// `now`. It finds the limit by commits that change nothing.
pub(crate) async fn open_orders_naming(
    store: &dyn Store,
    account: AccountId,
    identifier: &Identifier,
    now: Timestamp,
) -> usize {
    let mut count = 0;
    loop {
        let probe = with(order(0xfe), |probe| {
            (probe.account, probe.identifiers) = (account, vec![identifier.clone()]);
        });
        let limits = OpenOrders {
            of_account: usize::MAX,
            of_identifier: count + 1,
            pending: usize::MAX,
        };
        let stale = Change::UpdateOrder(order(0xff), Version(u64::MAX));
        let changes = vec![Change::InsertOrder(probe, limits), stale];
        match commit_at(store, now, changes).await {
            Err(CommitError::Conflict(ConflictOn::OpenOrders)) => count += 1,
            Err(CommitError::Conflict(ConflictOn::Value)) => return count,
            other => panic!("{other:?}"),
        }
    }
}

/// Returns an Ed25519 key. Any 32 bytes serve as one.
pub(crate) fn key(n: u8) -> PublicKey {
    let x = data_encoding::BASE64URL_NOPAD.encode(&[[n; 16], [7; 16]].concat());
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    PublicKey::from_jwk(jwk.as_bytes()).unwrap()
}

/// The largest RSA key: 4096 bits.
pub(crate) fn rsa_4096() -> PublicKey {
    let n = data_encoding::BASE64URL_NOPAD.encode(&[0xfb; 512]);
    let jwk = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#);
    PublicKey::from_jwk(jwk.as_bytes()).unwrap()
}

/// The P-256 key of RFC 7517 appendix A.1.
pub(crate) fn p256() -> PublicKey {
    PublicKey::from_jwk(
        br#"{"crv":"P-256","kty":"EC",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#,
    )
    .unwrap()
}

pub(crate) fn account_id(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

pub(crate) fn order_id(n: u8) -> OrderId {
    OrderId::from_bytes([n; 16])
}

pub(crate) fn authorization_id(n: u8) -> AuthorizationId {
    AuthorizationId::from_bytes([n; 16])
}

/// Returns serial number `n`; even ones need a sign octet in DER.
pub(crate) fn serial(n: u8) -> SerialNumber {
    SerialNumber::from_der_content(&[0, 0x80 | n, n, n]).unwrap()
}

pub(crate) fn permanent(value: &str) -> Identifier {
    identifier("permanent-identifier", value)
}

pub(crate) fn identifier(kind: &str, value: &str) -> Identifier {
    Identifier::parse(&WireIdentifier {
        kind: kind.to_owned(),
        value: value.to_owned(),
    })
    .unwrap()
}

/// Returns an IPv4 origin for even numbers, an IPv6 origin for odd ones.
pub(crate) fn origin(n: u8) -> Origin {
    Origin::of(match n % 2 {
        0 => [192, 0, 2, n].into(),
        _ => [0x2001, 0xdb8, 0, n.into(), 0, 0, 0, 1].into(),
    })
}

/// Returns account `n` with key `n`.
pub(crate) fn account(n: u8) -> Account {
    Account {
        id: account_id(n),
        key: key(n),
        contacts: vec![Contact::parse("mailto:admin@example.org").unwrap()],
        terms_agreed: None,
        created: NOW,
        directory: DirectoryName::DEFAULT,
        established: None,
        origin: Some(origin(n)),
        state: AccountState::Valid,
    }
}

/// Returns the pending order `n` of account 1 for the device `n`, which ends an
/// hour later.
pub(crate) fn order(n: u8) -> Order {
    Order::new(OrderDetails {
        id: order_id(n),
        account: account_id(1),
        identifiers: vec![permanent(&format!("DEVICE{n}"))],
        authorizations: vec![authorization_id(n)],
        not_before: None,
        not_after: None,
        created: NOW,
        expires: NOW.plus(3600),
        origin: Some(origin(n)),
        directory: DirectoryName::DEFAULT,
        profile: ProfileName::DEFAULT,
    })
}

/// Returns the order with changed details, in the same state.
pub(crate) fn with(order: Order, change: impl FnOnce(&mut OrderDetails)) -> Order {
    let (mut details, state, proven) = order.into_parts();
    change(&mut details);
    Order::restore(details, state, proven)
}

/// The state of an order.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Pending,
    Ready,
    Processing(Processing),
    Valid(Processing),
    Invalid,
    /// Invalid, but one of its authorizations was valid before.
    InvalidOnceProven,
}

/// Takes a pending order to a state.
pub(crate) fn in_state(order: Order, state: Stage) -> Order {
    let pending = Order::new(order.into_parts().0);
    let begun = |processing| {
        let ready = pending.clone().authorize().unwrap();
        ready.begin(processing, NOW.minus(10_000)).unwrap()
    };
    match state {
        Stage::Pending => pending,
        Stage::Ready => pending.authorize().unwrap(),
        Stage::Processing(processing) => begun(processing),
        Stage::Valid(processing) => begun(processing).complete().unwrap(),
        Stage::Invalid => pending.fail(failure()).unwrap(),
        Stage::InvalidOnceProven => pending
            .record_valid_authorization()
            .unwrap()
            .fail(failure())
            .unwrap(),
    }
}

pub(crate) fn ready() -> Stage {
    Stage::Ready
}

pub(crate) fn processing(n: u8, tbs_len: usize) -> Stage {
    Stage::Processing(being_signed(n, tbs_len))
}

pub(crate) fn being_signed(n: u8, tbs_len: usize) -> Processing {
    Processing {
        intent: Intent {
            issuer: [3; 32],
            tbs: vec![0x30; tbs_len],
        },
        serial: serial(n),
        spki_sha256: [4; 32],
        root_sha256: [5; 32],
        lease_until: NOW.plus(60),
    }
}

pub(crate) fn valid(n: u8) -> Stage {
    Stage::Valid(being_signed(n, 600))
}

pub(crate) fn invalid() -> Stage {
    Stage::Invalid
}

/// Returns a failure that uses every field.
pub(crate) fn failure() -> Failure {
    Failure {
        problem: Problem {
            instance: Some("https://example.org/terms".to_owned()),
            algorithms: vec!["ES256".to_owned()],
            subproblems: vec![Subproblem {
                kind: ProblemType::RejectedIdentifier,
                detail: "not in the inventory".to_owned(),
                identifier: Some(permanent("DEVICE").to_wire()),
            }],
            ..Problem::new(ProblemType::BadAttestationStatement, "stale").with_status(403)
        },
        gate: Gate::Appraisal,
        reason: "freshness-mismatch".to_owned(),
        detail: "the freshness code is that of another token".to_owned(),
        object_sha256: Some([6; 32]),
        at: NOW,
    }
}

/// Returns a note with reason `n`.
pub(crate) fn note(n: u8) -> Note {
    Note {
        at: NOW.plus(n.into()),
        reason: format!("reason-{n}"),
        detail: format!("finding {n}"),
    }
}

/// Returns the pending authorization `n` of order `n`, with one challenge.
pub(crate) fn authorization(n: u8) -> Authorization {
    authorization_with(n, |_| {})
}

/// The same with other details.
pub(crate) fn authorization_with(
    n: u8,
    change: impl FnOnce(&mut AuthorizationDetails),
) -> Authorization {
    let mut details = AuthorizationDetails {
        id: authorization_id(n),
        account: account_id(1),
        order: order_id(n),
        identifier: permanent("DEVICE/1.2.840.113635"),
        admitted: Admitted {
            attribute: Attribute::Udid,
            rule: Some(AdmissionRule::Listed),
        },
    };
    change(&mut details);
    let first = Challenge::new(
        ChallengeId::first_of(details.id),
        ChallengeType::DeviceAttest01,
        token(),
    );
    Authorization::new(details, NOW.plus(3600), vec![first])
}

/// Returns authorization `n` with a second challenge, of number `second`.
pub(crate) fn authorization_of_two(n: u8, second: u8) -> Authorization {
    let (details, mut state) = authorization(n).into_parts();
    let second = Challenge::new(challenge_id(second), ChallengeType::Test01, token());
    state.challenges.push(second);
    Authorization::new(details, state.expires, state.challenges)
}

fn token() -> Token {
    Token::from_stored("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA".to_owned())
}

/// Returns the id of a challenge that is not the first of its authorization.
pub(crate) fn challenge_id(n: u8) -> ChallengeId {
    ChallengeId::from_bytes([0xc0 | n; 16])
}

/// Returns a validation whose next attempt is due at `next_attempt`.
pub(crate) fn validating(next_attempt: Timestamp) -> Validating {
    Validating {
        since: NOW,
        attempts: 2,
        next_attempt,
        error: Some(failure().problem),
    }
}

/// Fulfils the first challenge of the authorization with this evidence.
pub(crate) fn fulfilled(authorization: Authorization, evidence: EvidenceRecord) -> Authorization {
    let first = authorization.challenges()[0].id();
    authorization
        .fulfil(first, Basis::Evidence(evidence))
        .unwrap()
}

/// Fails the first challenge of the authorization.
pub(crate) fn refused(authorization: Authorization, failure: Failure) -> Authorization {
    let first = authorization.challenges()[0].id();
    authorization.fail(first, failure).unwrap()
}

/// Returns evidence whose textual facts have `len` bytes.
pub(crate) fn evidence(len: usize) -> EvidenceRecord {
    let text = || Some("x".repeat(len));
    EvidenceRecord {
        spki_sha256: [7; 32],
        key: KeyKind::P384,
        facts: DeviceFacts {
            serial: text(),
            udid: text(),
            model: text(),
            os_version: text(),
            sepos_version: text(),
            llb_version: text(),
            sip_enabled: Some(true),
            secure_boot: text(),
            kernel_extensions_allowed: Some(false),
        },
        root_sha256: [8; 32],
        object_sha256: [9; 32],
        at: NOW,
    }
}

/// Returns certificate `n` of a device.
pub(crate) fn certificate(n: u8) -> Certificate {
    Certificate {
        serial: serial(n),
        issuer: [3; 32],
        der: vec![0x30; 900],
        spki_sha256: [4; 32],
        holder: CertificateHolder::Device {
            account: account_id(1),
            order: order_id(n),
            root_sha256: [5; 32],
        },
        issued: NOW,
        not_after: NOW.plus(86_400),
        revocation: None,
    }
}

pub(crate) fn server_intent(n: u8) -> ServerIntent {
    ServerIntent {
        serial: serial(n),
        intent: Intent {
            issuer: [3; 32],
            tbs: vec![0x30; 700],
        },
        at: NOW,
        lease_until: NOW.plus(60),
    }
}
