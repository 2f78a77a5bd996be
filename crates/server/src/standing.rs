//! What a connection may do, depending on what it has proved.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout};

use crate::{activity::Activity, crowd::Crowd, places::Place};

/// How long a connection may last without an authenticated request.
const UNPROVEN: Duration = Duration::from_secs(20);
/// The same while the server is crowded: an enrolment has its second request
/// authenticated within a second, on a slow line within three.
const UNPROVEN_IN_CROWD: Duration = Duration::from_secs(5);
/// How many concurrent requests such a connection may have while the server is
/// crowded.
pub(crate) const STREAMS_IN_CROWD: u32 = 2;
/// How long a request waits for an ordinary place.
pub(crate) const WAIT: Duration = Duration::from_secs(5);

/// Why a request is refused before it is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotEntered {
    /// Its connection has no place.
    NoPlace,
    /// Its connection has too many concurrent requests.
    TooManyStreams,
}

/// What one connection has proved.
pub(crate) struct Standing {
    activity: Arc<Activity>,
    authenticated: AtomicBool,
    crowd: Arc<Crowd>,
    /// `None` if there is no socket, and so no limit of places.
    place: Option<Place>,
}

impl Standing {
    pub(crate) fn new(activity: Arc<Activity>, crowd: Arc<Crowd>, place: Option<Place>) -> Self {
        Self {
            activity,
            authenticated: AtomicBool::new(false),
            crowd,
            place,
        }
    }

    /// Marks the connection as proved: one of its requests was authenticated.
    pub(crate) fn authenticated(&self) {
        self.authenticated.store(true, Ordering::Relaxed);
    }

    /// Returns whether the connection has not proved itself yet.
    fn is_unproven(&self) -> bool {
        self.place.as_ref().is_some_and(|place| !place.is_exempt())
            && !self.authenticated.load(Ordering::Relaxed)
    }

    /// Returns whether an unproven connection has only the short time limit.
    pub(crate) fn has_short_timeout(&self) -> bool {
        self.is_unproven() && self.crowd.is_crowded()
    }

    /// Waits until the connection must give up its place.
    pub(crate) async fn gives_way(&self) {
        match &self.place {
            Some(place) => place.gives_way().await,
            None => std::future::pending().await,
        }
    }

    /// Lets a request in once its connection has a place.
    ///
    /// # Errors
    /// [`NotEntered`].
    pub(crate) async fn enter(&self) -> Result<(), NotEntered> {
        if self.has_short_timeout() && self.activity.requests() > STREAMS_IN_CROWD as usize {
            return Err(NotEntered::TooManyStreams);
        }
        match &self.place {
            Some(place) => timeout(WAIT, place.ordinary())
                .await
                .map_err(|_| NotEntered::NoPlace),
            None => Ok(()),
        }
    }

    /// Waits until the connection, accepted at `accepted`, has reached its time
    /// limit without an authenticated request.
    pub(crate) async fn unproven(&self, accepted: Instant) {
        sleep_until(accepted + UNPROVEN_IN_CROWD).await;
        if self.is_unproven() {
            tokio::select! {
                () = self.crowd.wait() => {}
                () = sleep_until(accepted + UNPROVEN) => {}
            }
        }
        if !self.is_unproven() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::places::Places;

    fn standing(crowd: &Arc<Crowd>, peer: [u8; 4]) -> Standing {
        let exempt = vec!["10.0.0.0/8".parse().unwrap()];
        let places = Places::new(100, 0, exempt, Arc::clone(crowd));
        let place = places.take(IpAddr::from(peer));
        Standing::new(Activity::new(Instant::now()), Arc::clone(crowd), place)
    }

    /// Returns after how many seconds the connection is cut.
    async fn cut_after(standing: &Standing) -> Option<u64> {
        let accepted = Instant::now();
        let cut = timeout(Duration::from_secs(3600), standing.unproven(accepted)).await;
        cut.ok().map(|()| accepted.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn an_unproven_connection_has_20_seconds_and_5_in_a_crowd() {
        let crowd = Crowd::new();
        assert_eq!(cut_after(&standing(&crowd, [192, 0, 2, 1])).await, Some(20));
        let late = standing(&crowd, [192, 0, 2, 1]);
        let (cut, ()) = tokio::join!(cut_after(&late), async {
            tokio::time::sleep(Duration::from_secs(12)).await;
            crowd.set_memory_scarce(true);
        });
        assert_eq!(cut, Some(12));
        assert_eq!(cut_after(&late).await, Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_proven_or_exempt_connection_has_no_time_limit() {
        let crowd = Crowd::new();
        crowd.set_memory_scarce(true);
        assert_eq!(cut_after(&standing(&crowd, [10, 0, 0, 1])).await, None);
        let proven = standing(&crowd, [192, 0, 2, 1]);
        proven.authenticated();
        assert_eq!(cut_after(&proven).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_place_a_request_is_refused_after_a_timeout() {
        let crowd = Crowd::new();
        let places = Places::new(1, 0, Vec::new(), Arc::clone(&crowd));
        let standing = |host| {
            let place = places.take(IpAddr::from([192, 0, 2, host]));
            Standing::new(Activity::new(Instant::now()), Arc::clone(&crowd), place)
        };
        let (first, second) = (standing(1), standing(2));
        assert!(first.enter().await.is_ok());
        let asked = Instant::now();
        assert_eq!(second.enter().await, Err(NotEntered::NoPlace));
        assert_eq!(asked.elapsed(), WAIT);
        let (entered, ()) = tokio::join!(second.enter(), async { drop(first) });
        assert!(entered.is_ok());
    }

    #[tokio::test]
    async fn in_a_crowd_an_unproven_connection_has_two_requests_at_once() {
        let crowd = Crowd::new();
        let standing = standing(&crowd, [192, 0, 2, 1]);
        let requests: Vec<_> = (0..3).map(|_| standing.activity.begin()).collect();
        assert!(standing.enter().await.is_ok());
        crowd.set_memory_scarce(true);
        assert_eq!(standing.enter().await, Err(NotEntered::TooManyStreams));
        standing.authenticated();
        assert!(standing.enter().await.is_ok());
        drop(requests);
    }
}
