//! Notes on orders, for the operator: refusals that did not end the order.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    Engine, RequestInfo,
    domain::Note,
    ids::OrderId,
    ports::{Change, StoreError},
};

/// How many seconds until the same refusal of an order is noted again. Each
/// note is a durable write that a client causes.
const AGAIN: u64 = 60;

/// Notes being written, so that many identical refusals at once cause one
/// write.
#[derive(Default)]
pub(crate) struct Noting(Mutex<HashSet<(OrderId, String)>>);

struct Turn<'a> {
    noting: &'a Noting,
    of: (OrderId, String),
}

impl Noting {
    fn begin(&self, order: OrderId, reason: &str) -> Option<Turn<'_>> {
        let of = (order, reason.to_owned());
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = under_way.insert(of.clone());
        // Not `then_some`: it would build a turn even if another request holds
        // one, and dropping it would free that one.
        is_free.then(|| Turn { noting: self, of })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let under_way = self.noting.0.lock();
        (under_way.unwrap_or_else(PoisonError::into_inner)).remove(&self.of);
    }
}

impl Engine {
    /// Records that a request was refused without ending `order`. A failure to
    /// write the note does not change the response; the refusal is also logged.
    pub(crate) async fn note(
        &self,
        request: &RequestInfo,
        order: OrderId,
        reason: &str,
        detail: &str,
    ) {
        let Some(_turn) = self.noting.begin(order, reason) else {
            return;
        };
        if let Err(error) = self.try_to_note(request, order, reason, detail).await {
            tracing::debug!(%order, reason, %error, "a note of an order was not kept");
        }
    }

    async fn try_to_note(
        &self,
        request: &RequestInfo,
        order: OrderId,
        reason: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let notes = self.store.notes(order).await?;
        let is_recent = |note: &Note| note.reason == reason && now < note.at.plus(AGAIN);
        if notes.iter().any(is_recent) {
            return Ok(());
        }
        let note = Note {
            at: now,
            reason: reason.to_owned(),
            detail: detail.to_owned(),
        };
        let changes = vec![Change::AddNote(order, note)];
        let committed = self.commit(request, "note", now, changes).await;
        committed
            .map(drop)
            .map_err(|error| StoreError(error.to_string()))
    }
}
