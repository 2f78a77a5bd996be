use assay_proto::Timestamp;

/// A finding about an order that did not end it: a refused CSR, or a reached
/// limit. Only for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The time of the finding.
    pub at: Timestamp,
    /// The stable name of the reason, for example `csr-key-not-attested`.
    pub reason: String,
    /// The exact explanation for the operator.
    pub detail: String,
}

impl Note {
    /// The most notes of an order.
    pub const MOST: usize = 8;

    /// Adds this note to the notes of an order, oldest first. It replaces a
    /// note with the same reason; if there are too many, the oldest is removed.
    pub fn add_to(self, notes: &mut Vec<Self>) {
        notes.retain(|note| note.reason != self.reason);
        notes.push(self);
        let excess = notes.len().saturating_sub(Self::MOST);
        notes.drain(..excess);
    }
}
