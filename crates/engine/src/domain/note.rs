use assay_proto::Timestamp;

/// Something about an order that did not end it: a CSR that was refused, or a
/// limit that was used up. For the operator alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// The stable name of the reason, for example `csr-key-not-attested`.
    pub reason: String,
    /// The operator's explanation, exact.
    pub detail: String,
}

impl Note {
    /// How many notes an order has at most.
    pub const MOST: usize = 8;

    /// Adds this one to the notes of an order, which come oldest first: one of
    /// the same reason gives way to it, and where there are too many the
    /// oldest does.
    pub fn add_to(self, notes: &mut Vec<Self>) {
        notes.retain(|note| note.reason != self.reason);
        notes.push(self);
        let excess = notes.len().saturating_sub(Self::MOST);
        notes.drain(..excess);
    }
}
