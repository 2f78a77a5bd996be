//! A validator that answers as a test wants, when the test wants.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use assay_engine::ports::{AskedToValidate, NotValidated, Validator};
use assay_proto::{ChallengeType, Identifier, Problem, ProblemType};
use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Validates `test-01` of every identifier. Succeeds unless an outcome is
/// planned.
#[derive(Default)]
pub struct TestValidator {
    asked: Mutex<Vec<AskedToValidate>>,
    outcomes: Mutex<VecDeque<Result<(), NotValidated>>>,
    /// While it is set, each attempt waits for a permit.
    held: Mutex<Option<Arc<Semaphore>>>,
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
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(Arc::new(Semaphore::new(0)));
    }

    /// Lets the attempts that wait, and all later ones, go on.
    pub fn release(&self) {
        let held = self
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(held) = held {
            held.add_permits(100);
        }
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
        let held = {
            let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(asked);
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.clone()
        };
        let planned = {
            let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.pop_front()
        };
        if let Some(held) = held {
            let _permit = held.acquire().await;
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
