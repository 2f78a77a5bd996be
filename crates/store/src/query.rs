//! Converts queries to reads, for every store.

use assay_engine::{
    Thumbprint,
    domain::{Account, Authorization, Certificate, ServerIntent},
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    names::DirectoryName,
    ports::{
        AccountCursor, Direction, DueValidation, OpenOrder, OrderCursor, OrderList,
        ProvisionalAccount, StoreError, UnprovenOrder, Versioned,
    },
};
use assay_proto::{Identifier, Timestamp};

use crate::{
    keys,
    map::{Entries, Scan},
    record::{
        self, KeyCache, Record, StoredAccount, StoredAuthorization, StoredCertificate,
        StoredServerIntent, Unproven,
    },
};

/// Reads the value under `key`.
pub(crate) fn one<R: Record>(
    map: &dyn Scan,
    cache: &KeyCache,
    key: &[u8],
) -> Result<Option<Versioned<R::Domain>>, StoreError> {
    map.get(key)?
        .map(|value| record::decode::<R>(key, &value, cache))
        .transpose()
}

/// Returns the account of this directory with this key.
pub(crate) fn account_by_key(
    map: &dyn Scan,
    cache: &KeyCache,
    directory: DirectoryName,
    thumbprint: &Thumbprint,
) -> Result<Option<Versioned<Account>>, StoreError> {
    let Some(id) = map.get(&keys::account_by_key(directory.in_urls(), thumbprint))? else {
        return Ok(None);
    };
    let id = AccountId::from_bytes(id.as_slice().try_into().map_err(|_| damaged_index())?);
    let found = one::<StoredAccount>(map, cache, &keys::account(id))?;
    // Between the two reads the account may have changed its key.
    Ok(found.filter(|account| account.value.key.thumbprint() == thumbprint))
}

/// Returns the authorization that has this challenge.
pub(crate) fn authorization_of_challenge(
    map: &dyn Scan,
    cache: &KeyCache,
    id: ChallengeId,
) -> Result<Option<Versioned<Authorization>>, StoreError> {
    // The first challenge of each authorization has the authorization's id.
    let first = keys::authorization(AuthorizationId::from_bytes(*id.as_bytes()));
    if let Some(found) = one::<StoredAuthorization>(map, cache, &first)? {
        return Ok(Some(found));
    }
    let Some(found) = map.get(&keys::challenge(id))? else {
        return Ok(None);
    };
    let bytes = found.as_slice().try_into().map_err(|_| damaged_index())?;
    let key = keys::authorization(AuthorizationId::from_bytes(bytes));
    one::<StoredAuthorization>(map, cache, &key)
}

/// Returns at most `limit` authorizations in validation, ordered by their next
/// attempt.
pub(crate) fn validations(map: &dyn Scan, limit: usize) -> Result<Vec<DueValidation>, StoreError> {
    let list = vec![keys::VALIDATIONS];
    map.scan(&list, &keys::end_of(list.clone()))
        .take(limit)
        .map(|entry| {
            let (key, _) = entry?;
            let (rest, id) = key.split_last_chunk().ok_or_else(damaged_index)?;
            let at = rest.last_chunk().ok_or_else(damaged_index)?;
            Ok(DueValidation {
                at: Timestamp(u64::from_be_bytes(*at)),
                authorization: AuthorizationId::from_bytes(*id),
            })
        })
        .collect()
}

/// Returns whether an account of any directory has this key.
pub(crate) fn is_account_key(map: &dyn Scan, thumbprint: &Thumbprint) -> Result<bool, StoreError> {
    let list = keys::accounts_by_key(thumbprint);
    let first = map.scan(&list, &keys::end_of(list.clone())).next();
    first.transpose().map(|found| found.is_some())
}

/// Returns at most `limit` orders of `list`, the nearest to `from` in
/// `direction`.
pub(crate) fn orders(
    map: &dyn Scan,
    list: OrderList<'_>,
    from: Option<OrderCursor>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<OrderCursor>, StoreError> {
    let list = keys::orders(list);
    let place = from.map(|from| keys::entry(list.clone(), from.created.0, from.id));
    let entries = match direction {
        Direction::Newer => {
            let start = start_after(&list, place);
            map.scan(&start, &keys::end_of(list))
        }
        Direction::Older => {
            let end = place.unwrap_or_else(|| keys::end_of(list.clone()));
            map.scan_back(&list, &end)
        }
    };
    entries
        .take(limit)
        .map(|entry| {
            let (created, id) = keys::parse_entry(&entry?.0).ok_or_else(damaged_index)?;
            Ok(OrderCursor { created, id })
        })
        .collect()
}

/// Returns the number of orders: the stored one, or the number of index entries
/// if none is stored yet.
pub(crate) fn count_orders(map: &dyn Scan) -> Result<u64, StoreError> {
    if let Some(count) = map.get(keys::ORDER_COUNT)? {
        let count = count.as_slice().try_into().map_err(|_| damaged_index())?;
        return Ok(u64::from_be_bytes(count));
    }
    let list = keys::orders(OrderList::All);
    map.scan(&list, &keys::end_of(list.clone()))
        .try_fold(0, |count, entry| entry.map(|_| count + 1))
}

/// Returns the first `limit` of the account's open orders that end after `now`,
/// optionally only those that name `identifier`.
pub(crate) fn open_orders(
    map: &dyn Scan,
    account: AccountId,
    identifier: Option<&Identifier>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<OrderId>, StoreError> {
    let identifier = identifier.map(hash);
    ending_after(map, keys::open_orders(account, identifier.as_ref()), now)
        .take(limit)
        .map(|entry| keys::parse_order(&entry?.0).ok_or_else(damaged_index))
        .collect()
}

/// Returns at most `limit` entries of all accounts' open orders, starting after
/// `after`.
pub(crate) fn open_orders_of_all(
    map: &dyn Scan,
    after: Option<OpenOrder>,
    limit: usize,
) -> Result<Vec<OpenOrder>, StoreError> {
    let list = keys::open_orders_of_all();
    let after = after.map(|after| {
        let list = keys::open_orders(after.account, None);
        keys::entry(list, after.expires.0, after.id)
    });
    let from = start_after(&list, after);
    map.scan(&from, &keys::end_of(list))
        .take(limit)
        .map(|entry| {
            let parsed = keys::parse_open_order(&entry?.0).ok_or_else(damaged_index)?;
            let (account, expires, id) = parsed;
            Ok(OpenOrder {
                account,
                expires,
                id,
            })
        })
        .collect()
}

/// Returns at most `limit` certificates, in the order of their serial numbers,
/// which are random.
pub(crate) fn certificates(
    map: &dyn Scan,
    cache: &KeyCache,
    limit: usize,
) -> Result<Vec<Certificate>, StoreError> {
    let list = vec![keys::CERTIFICATE];
    map.scan(&list, &keys::end_of(list.clone()))
        .take(limit)
        .map(|entry| {
            let (key, value) = entry?;
            record::decode::<StoredCertificate>(&key, &value, cache).map(|found| found.value)
        })
        .collect()
}

/// Returns whether a list of open orders has `limit` of them that end after
/// `now`.
pub(crate) fn is_full(
    map: &dyn Scan,
    list: Vec<u8>,
    now: Timestamp,
    limit: usize,
) -> Result<bool, StoreError> {
    let count = ending_after(map, list, now)
        .take(limit)
        .try_fold(0, |count, entry| entry.map(|_| count + 1))?;
    Ok(count == limit)
}

/// Returns the entries of a list of open orders that end after `now`.
fn ending_after(map: &dyn Scan, list: Vec<u8>, now: Timestamp) -> Entries<'_> {
    // Those that end at `now` have expired.
    let first_end = now.0.saturating_add(1);
    let from = [list.as_slice(), &first_end.to_be_bytes()].concat();
    map.scan(&from, &keys::end_of(list))
}

/// Returns the first `limit` orders of all accounts that name `identifier`,
/// have no valid authorization and end after `after`.
pub(crate) fn unproven_orders(
    map: &dyn Scan,
    identifier: &Identifier,
    after: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<UnprovenOrder>, StoreError> {
    let list = keys::unproven_orders(&hash(identifier));
    let entries = match after {
        Some(after) => ending_after(map, list, after),
        None => map.scan(&list, &keys::end_of(list.clone())),
    };
    entries
        .take(limit)
        .map(|entry| {
            let (key, value) = entry?;
            let (expires, id) = keys::parse_entry(&key).ok_or_else(damaged_index)?;
            let unproven = Unproven::decode(&value).ok_or_else(damaged_index)?;
            Ok(UnprovenOrder {
                id,
                created: Timestamp(unproven.created),
                expires,
                origin: unproven.origin,
                pending: unproven.pending,
            })
        })
        .collect()
}

/// Returns whether a list of unproven orders has `limit` of them that are
/// pending and end after `now`.
pub(crate) fn has_pending(
    map: &dyn Scan,
    list: Vec<u8>,
    now: Timestamp,
    limit: usize,
) -> Result<bool, StoreError> {
    let mut count = 0;
    for entry in ending_after(map, list, now) {
        if count == limit {
            break;
        }
        let unproven = Unproven::decode(&entry?.1).ok_or_else(damaged_index)?;
        count += usize::from(unproven.pending);
    }
    Ok(count == limit)
}

/// Returns where a page of `list` begins: at the first key behind `after`, or at
/// the beginning.
fn start_after(list: &[u8], after: Option<Vec<u8>>) -> Vec<u8> {
    match after {
        Some(mut key) => {
            key.push(0);
            key
        }
        None => list.to_vec(),
    }
}

fn hash(identifier: &Identifier) -> [u8; 32] {
    let wire = identifier.to_wire();
    keys::identifier_hash(&wire.kind, &wire.value)
}

/// Returns the orders whose certificate is being signed.
pub(crate) fn orders_in_processing(map: &dyn Scan) -> Result<Vec<OrderId>, StoreError> {
    let list = vec![keys::PROCESSING];
    map.scan(&list, &keys::end_of(list.clone()))
        .map(|entry| keys::parse_order(&entry?.0).ok_or_else(damaged_index))
        .collect()
}

/// Returns at most `limit` provisional accounts, oldest first, starting after
/// `after`.
pub(crate) fn provisional_accounts(
    map: &dyn Scan,
    after: Option<AccountCursor>,
    limit: usize,
) -> Result<Vec<ProvisionalAccount>, StoreError> {
    let list = vec![keys::PROVISIONAL_ACCOUNTS];
    let after = after.map(|after| keys::provisional_account(after.created.0, after.id));
    let from = start_after(&list, after);
    map.scan(&from, &keys::end_of(list))
        .take(limit)
        .map(|entry| {
            let (key, value) = entry?;
            let (rest, id) = key.split_last_chunk().ok_or_else(damaged_index)?;
            let created = rest.last_chunk().ok_or_else(damaged_index)?;
            Ok(ProvisionalAccount {
                cursor: AccountCursor {
                    created: Timestamp(u64::from_be_bytes(*created)),
                    id: AccountId::from_bytes(*id),
                },
                origin: match value.is_empty() {
                    true => None,
                    false => Some(record::decode_origin(&value).ok_or_else(damaged_index)?),
                },
            })
        })
        .collect()
}

/// Returns the intents of server certificates that were never completed.
pub(crate) fn server_intents(
    map: &dyn Scan,
    cache: &KeyCache,
) -> Result<Vec<Versioned<ServerIntent>>, StoreError> {
    let list = vec![keys::SERVER_INTENT];
    map.scan(&list, &keys::end_of(list.clone()))
        .map(|entry| {
            let (key, value) = entry?;
            record::decode::<StoredServerIntent>(&key, &value, cache)
        })
        .collect()
}

fn damaged_index() -> StoreError {
    StoreError("an index entry is damaged: restore the database from a backup".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn orders_are_counted_only_if_no_number_is_stored() {
        let mut map = BTreeMap::new();
        for n in 1..4 {
            let entry = keys::entry(
                keys::orders(OrderList::All),
                7,
                OrderId::from_bytes([n; 16]),
            );
            map.insert(entry, Vec::new());
        }
        assert_eq!(count_orders(&map), Ok(3));
        let kept = 1_000_000_u64.to_be_bytes();
        map.insert(keys::ORDER_COUNT.to_vec(), kept.to_vec());
        assert_eq!(count_orders(&map), Ok(1_000_000));
        map.insert(keys::ORDER_COUNT.to_vec(), kept[1..].to_vec());
        assert_eq!(count_orders(&map), Err(damaged_index()));
    }
}
