//! What a connection is doing: what its idle time and its end go by.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, sleep_until};

/// How long the end of the server waits for a connection without a whole
/// request, counted from the last that was heard of it: its acceptance, the
/// head of a request or an answer. A device in a handshake or between two
/// requests of an enrolment gets its answer, since Apple's client repeats
/// nothing. A connection that was idle or slow for longer is cut at once.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// How often a connection that is to end is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Whether requests are under way on a connection, or since when none is.
pub(crate) struct Activity(Mutex<State>);

struct State {
    /// Requests without an answer.
    open: usize,
    /// Those among them whose body has not arrived whole.
    arriving: usize,
    /// When the connection last did something.
    since: Instant,
    /// Whether the server is to end.
    stopping: bool,
}

impl Activity {
    /// The activity of a connection that was accepted at `since`.
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

    /// A request whose head has arrived.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.lock();
        state.open += 1;
        // What begins after the server was told to end prolongs nothing.
        if !state.stopping {
            state.since = Instant::now();
        }
        Busy(Arc::clone(self))
    }

    /// The body of a request, which tells when it has arrived whole.
    pub(crate) fn arriving(self: &Arc<Self>, body: Incoming) -> Arriving {
        let pending = (!body.is_end_stream()).then(|| {
            self.lock().arriving += 1;
            Pending(Arc::clone(self))
        });
        Arriving { body, pending }
    }

    /// Something was heard of the connection.
    pub(crate) fn heard(&self) {
        self.lock().since = Instant::now();
    }

    /// How many requests are under way.
    pub(crate) fn requests(&self) -> usize {
        self.lock().open
    }

    /// Ends once no whole request waits for its answer.
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

    /// From here on answers close their connection.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
    }

    /// Ends once there was no request for that long.
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

    /// Ends once the connection can be cut: no whole request waits for its
    /// answer, and nothing was heard of it for [`GRACE`].
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

/// A request under way.
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    /// The request has its answer. `true` if that must close the connection.
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

/// A body that has not arrived whole.
struct Pending(Arc<Activity>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.lock().arriving -= 1;
    }
}

/// A body that notes when it has arrived whole, or is given up.
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
