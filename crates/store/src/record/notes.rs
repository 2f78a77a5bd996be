use assay_engine::{domain::Note, ids::OrderId};
use assay_proto::Timestamp;
use minicbor::{Decode, Encode};

use super::{Damage, KeyCache, Record, clip};
use crate::keys;

/// The maximum length of a note's reason, in bytes: it is one of the engine's
/// reason names.
const MAX_REASON: usize = 64;

/// The maximum length of a note's explanation, in bytes, as for a failure.
const MAX_DETAIL: usize = 1000;

/// All notes of an order. They are not in the order's record, which may already
/// have the maximum size.
#[derive(Decode, Encode)]
pub(crate) struct StoredNotes {
    #[cbor(n(0), with = "minicbor::bytes")]
    order: [u8; 16],
    #[n(1)]
    notes: Vec<StoredNote>,
}

#[derive(Decode, Encode)]
struct StoredNote {
    #[n(0)]
    at: u64,
    #[n(1)]
    reason: String,
    #[n(2)]
    detail: String,
}

impl StoredNotes {
    /// Creates the record of the notes of `order`, oldest first.
    pub(crate) fn new(order: OrderId, notes: Vec<Note>) -> Self {
        Self {
            order: *order.as_bytes(),
            notes: notes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Note> for StoredNote {
    fn from(Note { at, reason, detail }: Note) -> Self {
        Self {
            at: at.0,
            reason: clip(reason, MAX_REASON),
            detail: clip(detail, MAX_DETAIL),
        }
    }
}

impl Record for StoredNotes {
    type Domain = Vec<Note>;
    const NAME: &'static str = "the notes of an order";

    fn key(&self) -> Vec<u8> {
        keys::notes(OrderId::from_bytes(self.order))
    }

    fn restore(self, _: &KeyCache) -> Result<Vec<Note>, Damage> {
        let notes = self.notes.into_iter();
        Ok(notes
            .map(|StoredNote { at, reason, detail }| Note {
                at: Timestamp(at),
                reason,
                detail,
            })
            .collect())
    }
}
