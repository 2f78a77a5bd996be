//! The layout: one ordered map. The first byte of a key gives its type.
//!
//! | prefix | rest of the key | value |
//! |---|---|---|
//! | `a` | account | account record |
//! | `c` | serial number | certificate record |
//! | `d` | device, time, order | nothing: the orders of a device, by each name that was ordered or attested |
//! | `e` | account, end, order | nothing: the account's open orders |
//! | `h` | challenge | authorization: whose challenge it is, but for the first one of each |
//! | `i` | account, identifier, end, order | nothing: its open orders by identifier |
//! | `k` | thumbprint, directory | account: whose key it is there |
//! | `l` | account, creation, order | nothing: the account's orders |
//! | `m` | name | the store's own values |
//! | `n` | creation, order | nothing: all orders |
//! | `o` | order | order record |
//! | `p` | order | nothing: the orders in processing |
//! | `r` | order | record of the order's notes |
//! | `s` | serial number | server intent record |
//! | `t` | work | lease record: which node does this background work |
//! | `u` | identifier, end, order | [`Unproven`](crate::record::Unproven): orders of all accounts without a valid authorization |
//! | `v` | time, authorization | nothing: the authorizations with a challenge that is validated, by their next attempt |
//! | `w` | creation, account | origin: the provisional accounts |
//! | `z` | authorization | authorization record |
//!
//! Accounts, orders and authorizations are their 16 bytes; serial numbers their
//! magnitude; timestamps seconds in 8 big-endian bytes, so that they sort; an
//! identifier is the SHA-256 of its type, a zero byte and its value; a device
//! the first half of the SHA-256 of its name; a directory its name, nothing for
//! the default one.

use assay_engine::{
    Thumbprint,
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    ports::OrderList,
};
use assay_proto::Timestamp;

pub(crate) const ACCOUNT: u8 = b'a';
pub(crate) const AUTHORIZATION: u8 = b'z';
pub(crate) const CERTIFICATE: u8 = b'c';
pub(crate) const LEASE: u8 = b't';
pub(crate) const NOTES: u8 = b'r';
pub(crate) const ORDER: u8 = b'o';
pub(crate) const PROCESSING: u8 = b'p';
pub(crate) const PROVISIONAL_ACCOUNTS: u8 = b'w';
pub(crate) const SERVER_INTENT: u8 = b's';
pub(crate) const VALIDATIONS: u8 = b'v';

const ACCOUNT_BY_KEY: u8 = b'k';
const ALL_ORDERS: u8 = b'n';
const CHALLENGE: u8 = b'h';
const OPEN_ORDERS: u8 = b'e';
const OPEN_ORDERS_BY_IDENTIFIER: u8 = b'i';
const ORDERS_OF_ACCOUNT: u8 = b'l';
const ORDERS_OF_DEVICE: u8 = b'd';
const OWN: u8 = b'm';
const UNPROVEN_ORDERS: u8 = b'u';

/// The number of the layout, 4 bytes. Only in sled, for programs that only know
/// sled.
pub(crate) const SCHEMA: &[u8] = b"mschema";
/// The number of the last applied commit, 8 bytes. Only in sled.
pub(crate) const SEQUENCE: &[u8] = b"msequence";
/// The key that seals nonces, 32 bytes.
pub(crate) const NONCE_KEY: &[u8] = b"mnonce";

/// The key of the CA that issues for this database: the SHA-256 of its
/// SubjectPublicKeyInfo, 32 bytes.
pub(crate) const ISSUER: &[u8] = b"missuer";

/// The number of orders, 8 bytes. Absent until the first commit that adds or
/// removes an order: it counts them.
pub(crate) const ORDER_COUNT: &[u8] = b"morders";

/// A key that never exists: a commit that expects it shows that commits are
/// processed.
pub(crate) const PROBE: &[u8] = b"mprobe";

/// The unacknowledged restore of the database.
pub(crate) const RESTORED: &[u8] = b"mrestored";

/// The layout that this code reads and writes.
pub(crate) const SCHEMA_VERSION: u32 = 7;

/// The length of an entry behind its list's prefix: a timestamp and an order.
const ENTRY_LEN: usize = 8 + 16;

pub(crate) fn account(id: AccountId) -> Vec<u8> {
    join(ACCOUNT, &[id.as_bytes()])
}

pub(crate) fn account_by_key(directory: Option<&str>, thumbprint: &Thumbprint) -> Vec<u8> {
    let directory = directory.unwrap_or_default();
    join(ACCOUNT_BY_KEY, &[&thumbprint.0, directory.as_bytes()])
}

/// Returns the prefix of the entries of a key's accounts: at most one in each
/// directory.
pub(crate) fn accounts_by_key(thumbprint: &Thumbprint) -> Vec<u8> {
    join(ACCOUNT_BY_KEY, &[&thumbprint.0])
}

pub(crate) fn provisional_account(created: u64, id: AccountId) -> Vec<u8> {
    join(
        PROVISIONAL_ACCOUNTS,
        &[&created.to_be_bytes(), id.as_bytes()],
    )
}

pub(crate) fn authorization(id: AuthorizationId) -> Vec<u8> {
    join(AUTHORIZATION, &[id.as_bytes()])
}

pub(crate) fn challenge(id: ChallengeId) -> Vec<u8> {
    join(CHALLENGE, &[id.as_bytes()])
}

pub(crate) fn validation(next_attempt: u64, id: AuthorizationId) -> Vec<u8> {
    join(VALIDATIONS, &[&next_attempt.to_be_bytes(), id.as_bytes()])
}

pub(crate) fn certificate(serial: &[u8]) -> Vec<u8> {
    join(CERTIFICATE, &[serial])
}

pub(crate) fn lease(work: &str) -> Vec<u8> {
    join(LEASE, &[work.as_bytes()])
}

pub(crate) fn order(id: OrderId) -> Vec<u8> {
    join(ORDER, &[id.as_bytes()])
}

pub(crate) fn notes(order: OrderId) -> Vec<u8> {
    join(NOTES, &[order.as_bytes()])
}

pub(crate) fn processing(id: OrderId) -> Vec<u8> {
    join(PROCESSING, &[id.as_bytes()])
}

pub(crate) fn server_intent(serial: &[u8]) -> Vec<u8> {
    join(SERVER_INTENT, &[serial])
}

/// Returns the prefix of a list of orders.
pub(crate) fn orders(list: OrderList<'_>) -> Vec<u8> {
    match list {
        OrderList::All => vec![ALL_ORDERS],
        OrderList::OfAccount(account) => join(ORDERS_OF_ACCOUNT, &[account.as_bytes()]),
        OrderList::OfDevice(name) => {
            let hash = assay_engine::sha256(name.as_bytes());
            join(ORDERS_OF_DEVICE, &[&hash[..16]])
        }
    }
}

/// Returns the prefix of an account's open orders: all of them, or those that
/// name an identifier.
pub(crate) fn open_orders(account: AccountId, identifier: Option<&[u8; 32]>) -> Vec<u8> {
    match identifier {
        Some(identifier) => join(OPEN_ORDERS_BY_IDENTIFIER, &[account.as_bytes(), identifier]),
        None => join(OPEN_ORDERS, &[account.as_bytes()]),
    }
}

/// Returns the prefix of the orders of all accounts that name an identifier and
/// have no valid authorization.
pub(crate) fn unproven_orders(identifier: &[u8; 32]) -> Vec<u8> {
    join(UNPROVEN_ORDERS, &[identifier])
}

/// Returns whether `key` is that of one of the store's own values.
pub(crate) fn is_own(key: &[u8]) -> bool {
    key.first() == Some(&OWN)
}

/// Returns the prefix of all accounts' open orders.
pub(crate) fn open_orders_of_all() -> Vec<u8> {
    vec![OPEN_ORDERS]
}

/// Parses the account, the end and the order of an entry of open orders.
pub(crate) fn parse_open_order(key: &[u8]) -> Option<(AccountId, Timestamp, OrderId)> {
    let (list, _) = key.split_at_checked(key.len().checked_sub(ENTRY_LEN)?)?;
    let (prefix, account) = list.split_last_chunk()?;
    let (expires, order) = parse_entry(key)?;
    (prefix == [OPEN_ORDERS]).then(|| (AccountId::from_bytes(*account), expires, order))
}

/// Returns the entry of an order in a list that is sorted by time.
pub(crate) fn entry(mut list: Vec<u8>, time: u64, order: OrderId) -> Vec<u8> {
    list.extend_from_slice(&time.to_be_bytes());
    list.extend_from_slice(order.as_bytes());
    list
}

/// Parses the timestamp and the order in an entry's last 24 bytes.
pub(crate) fn parse_entry(key: &[u8]) -> Option<(Timestamp, OrderId)> {
    let (rest, order) = key.split_last_chunk()?;
    let (_, time) = rest.split_last_chunk()?;
    let time = Timestamp(u64::from_be_bytes(*time));
    Some((time, OrderId::from_bytes(*order)))
}

/// Parses the order in a key's last 16 bytes.
pub(crate) fn parse_order(key: &[u8]) -> Option<OrderId> {
    key.last_chunk().copied().map(OrderId::from_bytes)
}

/// Returns the hash of an identifier in keys.
pub(crate) fn identifier_hash(kind: &str, value: &str) -> [u8; 32] {
    assay_engine::sha256(&[kind.as_bytes(), b"\0", value.as_bytes()].concat())
}

/// Returns the first key after all those with this `prefix`.
pub(crate) fn end_of(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        // The first byte is a letter, so the loop always finds a byte to raise.
        if last < u8::MAX {
            prefix.push(last + 1);
            break;
        }
    }
    prefix
}

fn join(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    // An index entry is appended to the key of its list without a new
    // allocation.
    let mut key = Vec::with_capacity(1 + len + ENTRY_LEN);
    key.push(prefix);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_sorts_by_time_and_is_read_back() {
        let account = AccountId::from_bytes([0xff; 16]);
        let list = orders(OrderList::OfAccount(account));
        let early = entry(list.clone(), 255, OrderId::from_bytes([9; 16]));
        let late = entry(list.clone(), 256, OrderId::from_bytes([1; 16]));
        assert!(early < late);
        assert_eq!(
            parse_entry(&late),
            Some((Timestamp(256), OrderId::from_bytes([1; 16])))
        );
        assert!(end_of(list.clone()) > entry(list, u64::MAX, OrderId::from_bytes([0xff; 16])));
        let open = entry(
            open_orders(account, None),
            257,
            OrderId::from_bytes([3; 16]),
        );
        let parsed = (account, Timestamp(257), OrderId::from_bytes([3; 16]));
        assert_eq!(parse_open_order(&open), Some(parsed));
        assert_eq!(parse_open_order(&late), None);
        assert_eq!(parse_open_order(&open[..40]), None);
        assert_eq!(parse_entry(&[0; 23]), None);
        assert_eq!(parse_order(&[0; 15]), None);
    }

    #[test]
    fn an_end_carries() {
        assert_eq!(end_of(b"a\xff\xff".to_vec()), b"b");
        assert_eq!(end_of(b"a\x01\xff".to_vec()), b"a\x02");
        assert_eq!(end_of(b"a\x01".to_vec()), b"a\x02");
    }

    #[test]
    fn the_type_of_an_identifier_counts() {
        assert_ne!(identifier_hash("a", "b"), identifier_hash("ab", ""));
    }
}
