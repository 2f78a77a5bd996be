use assay_engine::{domain::ServerIntent, ports::Versioned};

use super::*;
use crate::common;

/// Returns the key and the bytes of a valid record.
fn encoded() -> (Vec<u8>, Vec<u8>) {
    let record = StoredServerIntent::from(common::server_intent(1));
    let mut bytes = encode(&record).unwrap();
    stamp(&mut bytes, Version(0x0102));
    (record.key(), bytes)
}

fn decode_intent(key: &[u8], bytes: &[u8]) -> Result<Versioned<ServerIntent>, StoreError> {
    decode::<StoredServerIntent>(key, bytes, &KeyCache::default())
}

#[test]
fn a_record_carries_its_version() {
    let (key, bytes) = encoded();
    assert_eq!(bytes[..9], [1, 0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(version(&key, &bytes), Ok(Version(0x0102)));
    let expected = Versioned {
        value: common::server_intent(1),
        version: Version(0x0102),
    };
    assert_eq!(decode_intent(&key, &bytes), Ok(expected));
}

#[test]
fn a_record_under_another_key_is_damage() {
    let (_, bytes) = encoded();
    let key = keys::server_intent(common::serial(2).as_bytes());
    let error = decode_intent(&key, &bytes).unwrap_err();
    assert!(error.0.contains("it belongs under another key"), "{error}");
}

/// Records of earlier versions have no names, and the names would only make
/// records longer.
#[test]
fn default_names_are_not_written() {
    let fields = |bytes: Vec<u8>| bytes[HEADER_LEN] - 0x80;
    let account = common::account(1);
    let named = assay_engine::domain::Account {
        directory: DirectoryName::parse("wifi").unwrap(),
        ..account.clone()
    };
    for (account, expected) in [(account, 9), (named, 10)] {
        let record = StoredAccount::from(account);
        assert_eq!(fields(encode(&record).unwrap()), expected);
    }
    let order = common::order(1);
    let named = common::with(order.clone(), |order| {
        order.profile = assay_engine::names::ProfileName::parse("short").unwrap();
    });
    for (order, expected) in [(order, 11), (named, 13)] {
        let record = StoredOrder::from(order);
        assert_eq!(fields(encode(&record).unwrap()), expected);
    }
}

#[test]
fn no_cut_and_no_flipped_bit_panics() {
    let (key, bytes) = encoded();
    for end in 0..bytes.len() {
        assert!(decode_intent(&key, &bytes[..end]).is_err(), "{end}");
    }
    let account = StoredAccount::from(common::account(1));
    let (key, bytes) = (account.key(), encode(&account).unwrap());
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = decode::<StoredAccount>(&key, &flipped, &KeyCache::default());
        let _ = index_of(&key, &flipped);
    }
}

#[test]
fn a_serial_number_keeps_its_magnitude() {
    for magnitude in [&[1][..], &[0x7f, 0], &[0x80], &[0xff; 19]] {
        assert_eq!(serial(magnitude).unwrap().as_bytes(), magnitude);
    }
    for magnitude in [&[][..], &[0], &[0, 1], &[0x7f; 21], &[0xff; 20]] {
        assert_eq!(serial(magnitude), Err(Damage::Field("serial")));
    }
}

#[test]
fn a_cached_key_is_compared() {
    let cache = KeyCache::default();
    let (one, two) = (common::key(1), common::key(2));
    assert_eq!(
        cache.key(*one.thumbprint(), one.spki_der()),
        Ok(one.clone())
    );
    assert_eq!(
        cache.key(*one.thumbprint(), two.spki_der()),
        Err(Damage::Field("thumbprint"))
    );
    assert_eq!(
        cache.key(*one.thumbprint(), b"none"),
        Err(Damage::Field("spki"))
    );
    assert_eq!(cache.key(*one.thumbprint(), one.spki_der()), Ok(one));
}

/// An intent as earlier versions wrote it.
#[derive(Encode)]
struct IntentWithoutLease {
    #[cbor(n(0), with = "minicbor::bytes")]
    serial: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    issuer: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    tbs: Vec<u8>,
    #[n(3)]
    at: u64,
}

#[test]
fn an_intent_of_an_earlier_version_has_an_expired_lease() {
    let intent = common::server_intent(1);
    let key = keys::server_intent(intent.serial.as_bytes());
    let mut bytes = vec![FORMAT; 1];
    bytes.resize(HEADER_LEN, 0);
    let older = IntentWithoutLease {
        serial: intent.serial.as_bytes().to_vec(),
        issuer: intent.intent.issuer,
        tbs: intent.intent.tbs.clone(),
        at: intent.at.0,
    };
    minicbor::encode(older, &mut bytes).unwrap();
    let found = decode_intent(&key, &bytes).unwrap().value;
    let lease_until = intent.at;
    assert_eq!(
        found,
        ServerIntent {
            lease_until,
            ..intent
        }
    );
}

/// Everything that was begun can be recorded, signed and failed: the largest
/// order, with its certificate and its failure, leaves most of a record free.
#[test]
fn the_largest_order_at_each_stage_is_far_from_the_limit() {
    use assay_engine::issuance::MAX_TBS;
    let largest = common::with(common::order(200), |order| {
        order.identifiers = vec![common::permanent(&"i".repeat(Identifier::MAX_LENGTH)); 5];
        order.authorizations = (0..5).map(common::authorization_id).collect();
        (order.not_before, order.not_after) = (Some(common::NOW), Some(common::NOW));
    });
    let mut failure = common::failure();
    let text = "d".repeat(4000);
    (failure.detail, failure.reason) = (text.clone(), text.clone());
    failure.problem.detail = text.clone();
    failure.problem.subproblems[0].detail = text;
    failure.problem.subproblems = vec![failure.problem.subproblems[0].clone(); 5];
    let signing = common::in_state(largest.clone(), common::processing(200, MAX_TBS));
    for order in [signing, largest.fail(failure).unwrap()] {
        let len = encode(&StoredOrder::from(order)).unwrap().len();
        assert!(len < 20 * 1024, "{len}");
    }
}
