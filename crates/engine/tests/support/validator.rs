//! A validator that answers as a test wants, when the test wants.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use assay_engine::ports::{AskedToValidate, NotValidated, Validator};
use assay_proto::{ChallengeType, Identifier, Problem, ProblemType};
use async_trait::async_trait;

/// Validates `test-01` of every identifier. Succeeds unless an outcome is
/// planned.
#[derive(Default)]
pub struct TestValidator {
    asked: Mutex<Vec<AskedToValidate>>,
    outcomes: Mutex<VecDeque<Result<(), NotValidated>>>,
    /// While it is set, attempts do not end.
    held: AtomicBool,
}

impl TestValidator {
    /// How the next attempt that has no outcome yet ends.
    pub fn plan(&self, outcome: Result<(), NotValidated>) {
        let outcomes = self.outcomes.lock();
        let mut outcomes = outcomes.unwrap_or_else(PoisonError::into_inner);
        outcomes.push_back(outcome);
    }

    /// Every attempt that was asked for.
    pub fn asked(&self) -> Vec<AskedToValidate> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has attempts wait until they are released.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Lets the attempts that wait, and all later ones, go on.
    pub fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
    }

    /// Forgets what was planned and held.
    pub fn reset(&self) {
        self.release();
        let outcomes = self.outcomes.lock();
        outcomes.unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether so many attempts were asked for, and the last of them waits.
    pub fn is_holding(&self, count: usize) -> bool {
        self.held.load(Ordering::SeqCst) && self.asked().len() >= count
    }

    /// Until so many attempts were asked for.
    pub async fn until_asked(&self, count: usize) {
        while self.asked().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Validator for TestValidator {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Test01
    }

    fn serves(&self, _: &Identifier) -> bool {
        true
    }

    async fn validate(&self, asked: AskedToValidate) -> Result<(), NotValidated> {
        let planned = {
            let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.pop_front()
        };
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(asked);
        while self.held.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        planned.unwrap_or(Ok(()))
    }
}

/// An attempt that did not succeed.
pub fn not_validated(is_final: bool) -> NotValidated {
    NotValidated {
        problem: Problem::new(ProblemType::Unauthorized, "no route to the device"),
        reason: "test-unreachable",
        detail: "connect: no route to host".to_owned(),
        is_final,
    }
}
