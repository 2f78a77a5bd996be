//! A body that arrives in pieces.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use hyper::body::{Bytes, Frame};

/// A body in pieces of 10,000 bytes, whose end may never come.
pub(crate) struct Pieces {
    left: usize,
    stalls: bool,
    ended: Arc<AtomicBool>,
}

impl Pieces {
    /// Creates a body of this length. The flag tells whether it was read to its
    /// end.
    pub(crate) fn whole(length: usize) -> (Body, Arc<AtomicBool>) {
        let ended = Arc::new(AtomicBool::new(false));
        let pieces = Self {
            left: length,
            stalls: false,
            ended: Arc::clone(&ended),
        };
        (Body::new(pieces), ended)
    }

    /// Creates a body that stalls after this length.
    pub(crate) fn stalled(length: usize) -> Body {
        Body::new(Self {
            left: length,
            stalls: true,
            ended: Arc::default(),
        })
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            if self.stalls {
                return Poll::Pending;
            }
            self.ended.store(true, Ordering::Relaxed);
            return Poll::Ready(None);
        }
        let length = self.left.min(10_000);
        self.left -= length;
        Poll::Ready(Some(Ok(Frame::data(vec![b'a'; length].into()))))
    }
}
