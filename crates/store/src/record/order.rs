use assay_engine::{
    domain::{Intent, Invalid, Order, OrderState, Pending, Processing, Ready, Valid},
    ids::{AccountId, AuthorizationId, OrderId},
};
use assay_proto::Timestamp;
use minicbor::{Decode, Encode, bytes::ByteArray};

use super::{
    Damage, IndexEntry, KeyCache, Record, StoredIdentifier, failure::StoredFailure, serial,
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
}

/// How far an order is.
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
        let Order {
            id,
            account,
            identifiers,
            authorizations,
            not_before,
            not_after,
            created,
            expires,
            state,
        } = order;
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
                OrderState::Invalid(Invalid { failure }) => StoredState::Invalid(failure.into()),
                OrderState::Pending(Pending) => StoredState::Pending,
                OrderState::Processing(processing) => StoredState::Processing(processing.into()),
                OrderState::Ready(Ready) => StoredState::Ready,
                OrderState::Valid(Valid { certificate }) => {
                    StoredState::Valid(certificate.as_bytes().to_vec())
                }
            },
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
    /// The lists of open orders that it belongs to while it is open: its
    /// account's, and of these one for each identifier.
    pub(crate) fn open_lists(&self) -> (Vec<u8>, impl Iterator<Item = Vec<u8>>) {
        let account = AccountId::from_bytes(self.account);
        let of_identifiers = self.identifiers.iter().map(move |identifier| {
            let hash = keys::identifier_hash(&identifier.kind, &identifier.value);
            keys::open_orders(account, Some(&hash))
        });
        (keys::open_orders(account, None), of_identifiers)
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
            keys::entry(keys::orders(Some(account)), self.created, id),
            keys::entry(keys::orders(None), self.created, id),
        ];
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
        let entry = |key| IndexEntry {
            key,
            value: Vec::new(),
            unique: false,
        };
        entries.into_iter().map(entry).collect()
    }

    fn restore(self, _: &KeyCache) -> Result<Order, Damage> {
        Ok(Order {
            id: OrderId::from_bytes(self.id),
            account: AccountId::from_bytes(self.account),
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
            state: self.state.try_into()?,
        })
    }
}

impl TryFrom<StoredState> for OrderState {
    type Error = Damage;

    fn try_from(stored: StoredState) -> Result<Self, Damage> {
        Ok(match stored {
            StoredState::Invalid(failure) => Self::Invalid(Invalid {
                failure: failure.try_into()?,
            }),
            StoredState::Pending => Self::Pending(Pending),
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
            StoredState::Ready => Self::Ready(Ready),
            StoredState::Valid(certificate) => Self::Valid(Valid {
                certificate: serial(&certificate)?,
            }),
        })
    }
}
