//! The access log: one line for each request, if the operator enabled it.

use std::{sync::Arc, time::Instant};

use assay_engine::directories::RequestTarget;
use axum::{
    body::{Body, HttpBody},
    http::{Method, Response, StatusCode},
};

use crate::current::CurrentRequest;

/// The log target of access lines. Since every request causes one, logs keep
/// them apart, so that they do not push out other lines.
pub const ACCESS_TARGET: &str = "assay_server::access";

/// A running request. Dropping it writes the line, also if the client hangs up
/// before the answer.
pub(crate) struct Access {
    answer: Option<Answer>,
    begun: Instant,
    current: Arc<CurrentRequest>,
    method: Method,
    target: Option<RequestTarget>,
}

struct Answer {
    bytes: Option<u64>,
    status: StatusCode,
}

impl Access {
    /// Begins a request. Only the route of its path is kept: resource names are
    /// private to the account, and any other path is untrusted input.
    pub(crate) fn begin(
        current: &Arc<CurrentRequest>,
        method: &Method,
        target: Option<RequestTarget>,
    ) -> Self {
        Self {
            answer: None,
            begun: Instant::now(),
            current: Arc::clone(current),
            method: method.clone(),
            target,
        }
    }

    /// Notes the answer.
    pub(crate) fn answered(mut self, response: &Response<Body>) {
        self.answer = Some(Answer {
            bytes: response.body().size_hint().exact(),
            status: response.status(),
        });
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if !self.current.count_access() {
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
            route = self.target.as_ref().map_or("none", RequestTarget::pattern),
            status,
            aborted = status.is_none().then_some(true),
            // Round to whole microseconds.
            duration_ms = (duration_ms * 1000.0).round() / 1000.0,
            bytes,
            account = account.map(tracing::field::display),
            request_id = %self.current.id(),
            "request"
        );
    }
}
