use assay_proto::Timestamp;

use crate::{
    Engine, Error, RequestInfo,
    domain::{Held, Lease, Work},
    ports::{Change, CommitError, Versioned},
};

impl Engine {
    /// Takes the lease on `work`, unless another node holds it. A lease with
    /// enough time left is not renewed: ongoing work costs one commit per half
    /// [`Lease::TERM`], and an idle node none.
    ///
    /// # Errors
    /// When the store fails.
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
            // Another node took it first.
            Err(CommitError::Conflict(_)) => {
                let found = self.store.lease(work).await?;
                Ok(Err(Held(found.map_or(now, |found| found.value.until()))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Releases the leases of this node, so that other nodes need not wait
    /// until they expire.
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
                // Another node took it meanwhile.
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
        let request = RequestInfo::default();
        self.commit(&request, name, now, vec![change])
            .await
            .map(drop)
    }
}
