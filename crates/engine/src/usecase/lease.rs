use assay_proto::Timestamp;

use crate::{
    Engine, Error, Request,
    domain::{Held, Lease, Work},
    ports::{Change, CommitError, Versioned},
};

impl Engine {
    /// Takes the lease on `work`, unless another node holds it. A lease that
    /// lasts long enough is not taken again: work that goes on costs a commit
    /// in half a [`Lease::TERM`], and a node at rest none.
    ///
    /// # Errors
    /// Faults of the store.
    pub(crate) async fn take_lease(&self, work: Work) -> Result<Result<(), Held>, Error> {
        let now = self.now();
        let change = match self.store.lease(work).await? {
            None => Change::InsertLease(Lease::first(work, self.node, now)),
            Some(found) if found.value.suffices(self.node, now) => return Ok(Ok(())),
            Some(Versioned { value, version }) => match value.take(self.node, now) {
                Ok(lease) => Change::UpdateLease(lease, version),
                Err(held) => return Ok(Err(held)),
            },
        };
        match self.commit_lease("take-lease", now, change).await {
            Ok(()) => Ok(Ok(())),
            // Another node was first.
            Err(CommitError::Conflict(_)) => {
                let found = self.store.lease(work).await?;
                Ok(Err(Held(found.map_or(now, |found| found.value.until()))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back the leases that this node holds, so that others need not wait
    /// until they run out.
    pub(crate) async fn release_leases(&self) -> Result<(), Error> {
        let now = self.now();
        for work in Work::ALL {
            let Some(Versioned { value, version }) = self.store.lease(work).await? else {
                continue;
            };
            if value.holder() != self.node || value.until() <= now {
                continue;
            }
            let change = Change::UpdateLease(value.end(now), version);
            match self.commit_lease("release-lease", now, change).await {
                // Another node that took it meanwhile holds it.
                Ok(()) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn commit_lease(
        &self,
        name: &'static str,
        now: Timestamp,
        change: Change,
    ) -> Result<(), CommitError> {
        let request = Request::default();
        self.commit(&request, name, now, vec![change])
            .await
            .map(drop)
    }
}
