//! Reads or drains request bodies within limits of size, time and memory: the
//! client is not authenticated yet.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{memory::Held, refusal::Refusal};

/// The largest body, in bytes. The largest useful payload, an attestation
/// object of 64 KiB twice in base64url, takes less than half of it.
const LIMIT: usize = 256 * 1024;

/// Up to which total length a larger body is drained before the answer, in
/// bytes: a client that is still sending when its connection is closed may never
/// read the answer.
const DISCARD_LIMIT: usize = 16 * 1024 * 1024;

/// The time limit for a body.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes each body may take without waiting for a turn: more than a
/// device sends.
const SMALL: usize = 16 * 1024;

/// How many bodies may be larger than that at once, while they are read and
/// checked: 64 MiB of them.
const LARGE_AT_ONCE: usize = 256;

/// How long a larger body waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Reads all bodies of a server.
pub(crate) struct Bodies {
    large: Arc<Semaphore>,
}

/// A whole body, and its permit if it is a large one.
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self {
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        }
    }

    /// Reads a body and charges it to `held`.
    ///
    /// # Errors
    /// The body is too large, too slow or broken, there are too many large
    /// ones, or there is no memory for it.
    pub(crate) async fn read(&self, body: Body, held: &mut Held) -> Result<Whole, Refusal> {
        timeout(TIMEOUT, self.read_in_time(body, held))
            .await
            .unwrap_or_else(|_| {
                Err(Refusal::malformed(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not arrive within 30 seconds",
                ))
            })
    }

    async fn read_in_time(&self, mut body: Body, held: &mut Held) -> Result<Whole, Refusal> {
        let mut bytes = Vec::new();
        let mut turn = None;
        let mut length = 0_usize;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let detail = format!("the body could not be read: {error}");
                Refusal::malformed(StatusCode::BAD_REQUEST, &detail)
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            length = length.saturating_add(data.len());
            if length > DISCARD_LIMIT {
                break;
            }
            if length > LIMIT {
                (bytes, turn) = (Vec::new(), None);
                held.release();
                continue;
            }
            let room = if turn.is_some() {
                Ok(())
            } else if length <= SMALL {
                held.grow(data.len()).await
            } else {
                match self.turn().await {
                    Ok(taken) => {
                        turn = Some(taken);
                        held.grow(LIMIT - bytes.len()).await
                    }
                    Err(refusal) => Err(refusal),
                }
            };
            if let Err(refusal) = room {
                drop((bytes, turn));
                discard(body).await;
                return Err(refusal);
            }
            if length > SMALL {
                bytes.reserve_exact(LIMIT - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        if length <= LIMIT {
            Ok(Whole { bytes, _turn: turn })
        } else {
            Err(Refusal::malformed(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 256 KiB",
            ))
        }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        match timeout(TURN, Arc::clone(&self.large).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refusal::too_many_large(TURN)),
        }
    }
}

/// Drains the body of a request that is refused unread, up to the maximum size
/// of a body: over HTTP/2 some clients (curl 7.88) never show an answer that
/// overtakes their own body.
pub(crate) async fn discard(mut body: Body) {
    let rest = async {
        let mut length = 0;
        while length <= LIMIT
            && let Some(Ok(frame)) = body.frame().await
        {
            length += frame.data_ref().map_or(0, |data| data.len());
        }
    };
    // The answer is the same whether the body arrived in time or not.
    let _ = timeout(TIMEOUT, rest).await;
}

#[cfg(test)]
#[path = "../tests/common/pieces.rs"]
mod pieces;

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::{pieces::Pieces, *};
    use crate::{crowd::Crowd, memory::Memory};

    fn pieces(length: usize) -> Body {
        Pieces::whole(length).0
    }

    /// A server's bodies, and a sender without a share.
    struct Sender(Bodies, Arc<Memory>);

    impl Sender {
        fn new() -> Self {
            Self(Bodies::new(), Memory::new(Vec::new(), Crowd::new()))
        }

        async fn send(&self, body: Body) -> Result<(Whole, Held), Refusal> {
            let mut held = self.1.hold(None);
            let whole = self.0.read(body, &mut held).await?;
            Ok((whole, held))
        }

        async fn status(&self, body: Body) -> u16 {
            match self.send(body).await {
                Ok(_) => 200,
                Err(refusal) => refusal.into_response().status().as_u16(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_take_turns_and_small_ones_need_none() {
        let sender = Sender::new();
        let mut held = Vec::new();
        for _ in 0..LARGE_AT_ONCE {
            held.push(sender.send(pieces(SMALL + 1)).await.unwrap());
        }
        assert_eq!(sender.status(pieces(SMALL)).await, 200);
        assert_eq!(sender.status(pieces(SMALL + 1)).await, 503);
        held.pop();
        let whole = sender.send(pieces(LIMIT)).await.unwrap();
        assert_eq!(whole.0.bytes.len(), LIMIT);
        assert_eq!(whole.0.bytes.capacity() / LIMIT, 1);
        assert_eq!(sender.status(pieces(LIMIT)).await, 503);
        drop(whole);
        assert_eq!(sender.status(pieces(LIMIT)).await, 200);
        assert_eq!(sender.status(pieces(LIMIT + 1)).await, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drained_body_takes_no_place() {
        let sender = Arc::new(Sender::new());
        let tasks: Vec<_> = (0..LARGE_AT_ONCE)
            .map(|_| {
                let sender = Arc::clone(&sender);
                let stalled = Pieces::stalled(LIMIT + 1);
                tokio::spawn(async move { sender.status(stalled).await })
            })
            .collect();
        // Until all of them wait for bytes that never come.
        for _ in 0..LARGE_AT_ONCE {
            tokio::task::yield_now().await;
        }
        assert_eq!(sender.status(pieces(LIMIT)).await, 200);
        for task in tasks {
            assert_eq!(task.await.unwrap(), 408);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_charged_to_its_sender_and_refused_beyond_its_share() {
        let sender = Sender::new();
        let client = Some(std::net::IpAddr::from([192, 0, 2, 1]));
        let mut held = Vec::new();
        let refusal = loop {
            let mut part = sender.1.hold(client);
            match sender.0.read(pieces(SMALL), &mut part).await {
                Ok(whole) => held.push((whole, part)),
                Err(refusal) => break refusal.into_response(),
            }
            assert!(held.len() < 10_000, "never refused");
        };
        assert_eq!(refusal.status(), 503);
        // A quarter of 128 MiB.
        assert_eq!(held.len(), (32 << 20) / SMALL);
        assert_eq!(sender.status(pieces(SMALL)).await, 200);
    }
}
