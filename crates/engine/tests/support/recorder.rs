//! A recorder that remembers what it was told.

use std::sync::{Mutex, PoisonError};

use assay_engine::{
    ids::{AuthorizationId, OrderId},
    ports::{Judged, Recorder},
};

/// What a recorder is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Csr(OrderId, Vec<AuthorizationId>, Vec<u8>),
    Judged(Box<Judged>),
}

#[derive(Default)]
pub struct TestRecorder(Mutex<Vec<Told>>);

impl TestRecorder {
    /// What it was told until now; it begins anew.
    pub fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, told: Told) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(told);
    }
}

impl Recorder for TestRecorder {
    fn judged(&self, judged: Judged) {
        self.push(Told::Judged(Box::new(judged)));
    }

    fn csr(&self, order: OrderId, authorizations: &[AuthorizationId], csr: &[u8]) {
        self.push(Told::Csr(order, authorizations.to_vec(), csr.to_vec()));
    }
}
