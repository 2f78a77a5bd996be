//! The access log: one line a request, where the operator asked for it.

use std::{sync::Arc, time::Instant};

use assay_engine::directories::Place;
use axum::{
    body::{Body, HttpBody},
    http::{Method, Response, StatusCode},
};

use crate::current::Current;

/// The target of the lines of the access log. Every request causes one: logs
/// keep them apart, so that they push out no other line.
pub const ACCESS_TARGET: &str = "assay_server::access";

/// A request under way. Its line is written when this value is dropped: also
/// where the client hangs up before it has its answer.
pub(crate) struct Access {
    answer: Option<Answer>,
    begun: Instant,
    current: Arc<Current>,
    method: Method,
    place: Option<Place>,
}

struct Answer {
    bytes: Option<u64>,
    status: StatusCode,
}

impl Access {
    /// A request begins. Of its path only the route is kept: names of resources
    /// are for their holders, and any other path is the client's own.
    pub(crate) fn begin(current: &Arc<Current>, method: &Method, place: Option<Place>) -> Self {
        Self {
            answer: None,
            begun: Instant::now(),
            current: Arc::clone(current),
            method: method.clone(),
            place,
        }
    }

    /// It was answered.
    pub(crate) fn answered(mut self, response: &Response<Body>) {
        self.answer = Some(Answer {
            bytes: response.body().size_hint().exact(),
            status: response.status(),
        });
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if !self.current.logs_access() {
            return;
        }
        let status = self.answer.as_ref().map(|answer| answer.status.as_u16());
        let bytes = self.answer.as_ref().and_then(|answer| answer.bytes);
        let duration_ms = self.begun.elapsed().as_secs_f64() * 1000.0;
        let account = self.current.account();
        tracing::info!(
            target: ACCESS_TARGET,
            parent: None,
            event = "request",
            client = %self.current.client(),
            method = %self.method,
            route = self.place.as_ref().map_or("none", Place::pattern),
            status,
            aborted = status.is_none().then_some(true),
            // Microseconds.
            duration_ms = (duration_ms * 1000.0).round() / 1000.0,
            bytes,
            account = account.map(tracing::field::display),
            request_id = %self.current.id(),
            "request"
        );
    }
}
