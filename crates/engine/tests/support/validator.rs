//! A validator controlled by the test.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use assay_engine::ports::{ValidationError, ValidationRequest, Validator};
use assay_proto::{ChallengeType, Identifier, Problem, ProblemType};
use async_trait::async_trait;

/// Validates `test-01` for every identifier. Succeeds unless an outcome is
/// planned.
#[derive(Default)]
pub struct TestValidator {
    asked: Mutex<Vec<ValidationRequest>>,
    outcomes: Mutex<VecDeque<Result<(), ValidationError>>>,
    /// While set, attempts do not end.
    held: AtomicBool,
}

impl TestValidator {
    /// Plans the outcome of the next attempt that has none.
    pub fn plan(&self, outcome: Result<(), ValidationError>) {
        let outcomes = self.outcomes.lock();
        let mut outcomes = outcomes.unwrap_or_else(PoisonError::into_inner);
        outcomes.push_back(outcome);
    }

    /// All attempts so far.
    pub fn asked(&self) -> Vec<ValidationRequest> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes attempts wait until they are released.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Releases the waiting attempts and all later ones.
    pub fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
    }

    /// Clears planned outcomes and releases attempts.
    pub fn reset(&self) {
        self.release();
        let outcomes = self.outcomes.lock();
        outcomes.unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether there were this many attempts, and the last one waits.
    pub fn is_holding(&self, count: usize) -> bool {
        self.held.load(Ordering::SeqCst) && self.asked().len() >= count
    }

    /// Returns once there were this many attempts.
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

    async fn validate(&self, asked: ValidationRequest) -> Result<(), ValidationError> {
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

/// A failed attempt.
pub fn not_validated(is_final: bool) -> ValidationError {
    ValidationError {
        problem: Problem::new(ProblemType::Unauthorized, "no route to the device"),
        reason: "test-unreachable",
        detail: "connect: no route to host".to_owned(),
        is_final,
    }
}
