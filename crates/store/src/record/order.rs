use std::collections::BTreeSet;

use assay_engine::{
    domain::{Intent, Order, OrderDetails, OrderState, Origin, Processing},
    ids::{AccountId, AuthorizationId, OrderId},
    names::ProfileName,
    ports::OrderList,
};
use assay_proto::Timestamp;
use minicbor::{Decode, Encode, bytes::ByteArray};

use super::{
    Damage, IndexEntry, KeyCache, Record, StoredIdentifier, directory, failure::StoredFailure,
    origin, serial,
};
use crate::keys;

/// An order.
#[derive(Decode, Encode)]
pub(crate) struct StoredOrder {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    account: [u8; 16],
    #[n(2)]
    identifiers: Vec<StoredIdentifier>,
    #[n(3)]
    authorizations: Vec<ByteArray<16>>,
    #[n(4)]
    not_before: Option<u64>,
    #[n(5)]
    not_after: Option<u64>,
    #[n(6)]
    created: u64,
    #[n(7)]
    expires: u64,
    #[n(8)]
    state: StoredState,
    /// See [`origin`]. Absent until layout 4.
    #[cbor(n(9), with = "minicbor::bytes")]
    origin: Option<Vec<u8>>,
    /// Absent until layout 4: see [`StoredOrder::is_proven`].
    #[n(10)]
    proven: Option<bool>,
    /// The directory's name; absent for the default one.
    #[n(11)]
    directory: Option<String>,
    /// The profile's name; absent for the default one.
    #[n(12)]
    profile: Option<String>,
}

/// The value of an entry in an identifier's list of unproven orders: whether
/// the order is pending, its creation in 8 big-endian bytes, its origin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unproven {
    pub(crate) pending: bool,
    pub(crate) created: u64,
    pub(crate) origin: Option<Origin>,
}

impl Unproven {
    fn encode(pending: bool, created: u64, origin: &[u8]) -> Vec<u8> {
        [&[u8::from(pending)], &created.to_be_bytes()[..], origin].concat()
    }

    /// Returns `None` for invalid bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (pending, rest) = bytes.split_first()?;
        let (created, origin) = rest.split_first_chunk()?;
        Some(Self {
            pending: *pending != 0,
            created: u64::from_be_bytes(*created),
            origin: match origin {
                [] => None,
                origin => Some(origin::decode(origin)?),
            },
        })
    }
}

/// The state of an order.
#[derive(Decode, Encode)]
enum StoredState {
    #[n(0)]
    Invalid(#[n(0)] StoredFailure),
    #[n(1)]
    Pending,
    #[n(2)]
    Processing(#[n(0)] StoredProcessing),
    #[n(3)]
    Ready,
    #[n(4)]
    Valid(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
}

#[derive(Decode, Encode)]
struct StoredProcessing {
    #[cbor(n(0), with = "minicbor::bytes")]
    issuer: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    tbs: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    serial: Vec<u8>,
    #[cbor(n(3), with = "minicbor::bytes")]
    spki_sha256: [u8; 32],
    #[cbor(n(4), with = "minicbor::bytes")]
    root_sha256: [u8; 32],
    #[n(5)]
    lease_until: u64,
}

impl From<Order> for StoredOrder {
    fn from(order: Order) -> Self {
        let (details, state, proven) = order.into_parts();
        let OrderDetails {
            id,
            account,
            directory,
            profile,
            identifiers,
            authorizations,
            not_before,
            not_after,
            created,
            expires,
            origin,
        } = details;
        Self {
            id: *id.as_bytes(),
            account: *account.as_bytes(),
            identifiers: identifiers.into_iter().map(Into::into).collect(),
            authorizations: authorizations
                .into_iter()
                .map(|id| ByteArray::from(*id.as_bytes()))
                .collect(),
            not_before: not_before.map(|at| at.0),
            not_after: not_after.map(|at| at.0),
            created: created.0,
            expires: expires.0,
            state: match state {
                OrderState::Invalid(failure) => StoredState::Invalid(failure.into()),
                OrderState::Pending => StoredState::Pending,
                OrderState::Processing(processing) => StoredState::Processing(processing.into()),
                OrderState::Ready => StoredState::Ready,
                OrderState::Valid { certificate } => {
                    StoredState::Valid(certificate.as_bytes().to_vec())
                }
            },
            origin: origin.map(origin::encode),
            proven: Some(proven),
            directory: directory.in_urls().map(str::to_owned),
            profile: (profile != ProfileName::DEFAULT).then(|| profile.as_str().to_owned()),
        }
    }
}

impl From<Processing> for StoredProcessing {
    fn from(processing: Processing) -> Self {
        let Processing {
            intent: Intent { issuer, tbs },
            serial,
            spki_sha256,
            root_sha256,
            lease_until,
        } = processing;
        Self {
            issuer,
            tbs,
            serial: serial.as_bytes().to_vec(),
            spki_sha256,
            root_sha256,
            lease_until: lease_until.0,
        }
    }
}

impl StoredOrder {
    /// Returns the lists of open orders that it belongs to while it is open:
    /// its account's list, and one for each identifier.
    pub(crate) fn open_lists(&self) -> (Vec<u8>, impl Iterator<Item = Vec<u8>>) {
        let account = AccountId::from_bytes(self.account);
        let of_identifiers = self.identifiers.iter().map(move |identifier| {
            let hash = keys::identifier_hash(&identifier.kind, &identifier.value);
            keys::open_orders(account, Some(&hash))
        });
        (keys::open_orders(account, None), of_identifiers)
    }

    /// Returns the lists of all accounts' unproven orders that it belongs to
    /// while it is unproven: one for each identifier.
    pub(crate) fn unproven_lists(&self) -> impl Iterator<Item = Vec<u8>> {
        (self.identifiers.iter())
            .map(|one| keys::unproven_orders(&keys::identifier_hash(&one.kind, &one.value)))
    }

    /// Returns whether one of its authorizations was ever valid. An order of an
    /// older version, which did not record this, counts as proven if it may be.
    fn is_proven(&self) -> bool {
        self.proven.unwrap_or_else(|| {
            let is_pending = matches!(self.state, StoredState::Pending);
            !is_pending || self.authorizations.len() > 1
        })
    }
}

impl Record for StoredOrder {
    type Domain = Order;
    const NAME: &'static str = "an order";

    fn key(&self) -> Vec<u8> {
        keys::order(OrderId::from_bytes(self.id))
    }

    fn index(&self) -> Vec<IndexEntry> {
        let id = OrderId::from_bytes(self.id);
        let account = AccountId::from_bytes(self.account);
        let mut entries = vec![
            keys::entry(
                keys::orders(OrderList::OfAccount(account)),
                self.created,
                id,
            ),
            keys::entry(keys::orders(OrderList::All), self.created, id),
        ];
        let devices: BTreeSet<_> = (self.identifiers.iter())
            .filter_map(StoredIdentifier::device)
            .collect();
        entries.extend(
            (devices.iter())
                .map(|device| keys::orders(OrderList::OfDevice(device)))
                .map(|list| keys::entry(list, self.created, id)),
        );
        let is_open = match &self.state {
            StoredState::Pending | StoredState::Ready => true,
            StoredState::Processing(_) => {
                entries.push(keys::processing(id));
                true
            }
            StoredState::Invalid(_) | StoredState::Valid(_) => false,
        };
        if is_open {
            let (of_account, of_identifiers) = self.open_lists();
            entries.push(keys::entry(of_account, self.expires, id));
            entries.extend(of_identifiers.map(|list| keys::entry(list, self.expires, id)));
        }
        let entry = |key, value| IndexEntry {
            key,
            value,
            unique: false,
        };
        let mut index: Vec<_> = (entries.into_iter())
            .map(|key| entry(key, Vec::new()))
            .collect();
        if !self.is_proven() {
            let pending = matches!(self.state, StoredState::Pending);
            let origin = self.origin.as_deref().unwrap_or_default();
            index.extend(self.unproven_lists().map(|list| {
                let value = Unproven::encode(pending, self.created, origin);
                entry(keys::entry(list, self.expires, id), value)
            }));
        }
        index
    }

    fn restore(self, _: &KeyCache) -> Result<Order, Damage> {
        let proven = self.is_proven();
        let details = OrderDetails {
            origin: (self.origin.as_deref())
                .map(|bytes| origin::decode(bytes).ok_or(Damage::Field("origin")))
                .transpose()?,
            id: OrderId::from_bytes(self.id),
            account: AccountId::from_bytes(self.account),
            directory: directory(self.directory.as_deref())?,
            profile: match self.profile.as_deref() {
                Some(name) => ProfileName::parse(name).map_err(|_| Damage::Field("profile"))?,
                None => ProfileName::DEFAULT,
            },
            identifiers: self
                .identifiers
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, Damage>>()?,
            authorizations: self
                .authorizations
                .into_iter()
                .map(|id| AuthorizationId::from_bytes(id.into()))
                .collect(),
            not_before: self.not_before.map(Timestamp),
            not_after: self.not_after.map(Timestamp),
            created: Timestamp(self.created),
            expires: Timestamp(self.expires),
        };
        Ok(Order::restore(details, self.state.try_into()?, proven))
    }
}

impl TryFrom<StoredState> for OrderState {
    type Error = Damage;

    fn try_from(stored: StoredState) -> Result<Self, Damage> {
        Ok(match stored {
            StoredState::Invalid(failure) => Self::Invalid(failure.try_into()?),
            StoredState::Pending => Self::Pending,
            StoredState::Processing(processing) => Self::Processing(Processing {
                intent: Intent {
                    issuer: processing.issuer,
                    tbs: processing.tbs,
                },
                serial: serial(&processing.serial)?,
                spki_sha256: processing.spki_sha256,
                root_sha256: processing.root_sha256,
                lease_until: Timestamp(processing.lease_until),
            }),
            StoredState::Ready => Self::Ready,
            StoredState::Valid(certificate) => Self::Valid {
                certificate: serial(&certificate)?,
            },
        })
    }
}
