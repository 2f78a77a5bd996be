//! What a connection is doing. Its idle timeout and the shutdown depend on it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, sleep_until};

/// How long the shutdown waits for a connection without a complete request,
/// counted from its last activity: its acceptance, the head of a request or an
/// answer. So a device in a handshake or between two requests of an enrolment
/// gets its answer: Apple's client does not retry. A connection that was idle
/// or slow for longer is cut at once.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// How often a connection is checked during the shutdown.
const INTERVAL: Duration = Duration::from_millis(50);

/// Tracks whether requests are running on a connection, or since when none is.
pub(crate) struct Activity(Mutex<State>);

struct State {
    /// Requests without an answer.
    open: usize,
    /// Those of them whose body has not arrived completely.
    arriving: usize,
    /// The time of the last activity.
    since: Instant,
    /// Whether the server is shutting down.
    stopping: bool,
}

impl Activity {
    /// Creates the activity of a connection that was accepted at `since`.
    pub(crate) fn new(since: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            open: 0,
            arriving: 0,
            since,
            stopping: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request whose head has arrived.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.lock();
        state.open += 1;
        // A request that begins after the signal must not prolong the shutdown.
        if !state.stopping {
            state.since = Instant::now();
        }
        Busy(Arc::clone(self))
    }

    /// Wraps the body of a request to note when it has arrived completely.
    pub(crate) fn arriving(self: &Arc<Self>, body: Incoming) -> Arriving {
        let pending = (!body.is_end_stream()).then(|| {
            self.lock().arriving += 1;
            Pending(Arc::clone(self))
        });
        Arriving { body, pending }
    }

    /// Notes activity.
    pub(crate) fn heard(&self) {
        self.lock().since = Instant::now();
    }

    /// The number of running requests.
    pub(crate) fn requests(&self) -> usize {
        self.lock().open
    }

    /// Waits until every complete request has its answer.
    pub(crate) async fn answered(&self) {
        loop {
            {
                let state = self.lock();
                if state.open <= state.arriving {
                    return;
                }
            }
            sleep_until(Instant::now() + INTERVAL).await;
        }
    }

    /// Marks the server as shutting down: from here on answers close the
    /// connection.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
    }

    /// Waits until there was no request for `limit`.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let end = {
                let state = self.lock();
                let since = if state.open > 0 { now } else { state.since };
                since + limit
            };
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Waits until the connection can be cut: every complete request has its
    /// answer, and there was no activity for [`GRACE`].
    pub(crate) async fn can_be_cut(&self) {
        loop {
            let now = Instant::now();
            let next = {
                let state = self.lock();
                if state.open > state.arriving {
                    now + INTERVAL
                } else {
                    state.since + GRACE
                }
            };
            if next <= now {
                return;
            }
            sleep_until(next).await;
        }
    }
}

/// A running request.
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    /// Ends the request. Returns `true` if the answer must close the
    /// connection.
    pub(crate) fn end(self) -> bool {
        self.0.lock().stopping
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open -= 1;
        state.since = Instant::now();
    }
}

/// A body that has not arrived completely.
struct Pending(Arc<Activity>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.lock().arriving -= 1;
    }
}

/// A body that notes when it has arrived completely or is given up.
pub(crate) struct Arriving {
    body: Incoming,
    pending: Option<Pending>,
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.pending = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
