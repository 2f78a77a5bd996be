use assay_proto::Timestamp;
use async_trait::async_trait;

use super::{Redemption, StoreError};
use crate::nonce::{Genuine, NonceError};

/// Gives out anti-replay nonces (RFC 8555 section 6.5) and redeems each once.
/// [`Nonces`](crate::nonce::Nonces) does so for one node; several nodes share
/// what was redeemed.
#[async_trait]
pub trait NonceService: Send + Sync {
    /// A new nonce.
    fn issue(&self, now: Timestamp) -> String;

    /// Checks that `nonce` was issued here, not too long ago, and is not known
    /// to be used up: what costs no signature and waits for nothing. It uses
    /// nothing up: [`redeem`](Self::redeem) decides.
    ///
    /// # Errors
    /// [`NonceError`].
    fn check(&self, nonce: &str, now: Timestamp) -> Result<Genuine, NonceError>;

    /// Notes that a request with this nonce failed.
    fn fail(&self, nonce: Genuine);

    /// Uses up a nonce; of any number of attempts, at all nodes, one succeeds.
    ///
    /// # Errors
    /// [`NotRedeemed`].
    async fn redeem(&self, nonce: Genuine, now: Timestamp) -> Result<Redemption, NotRedeemed>;

    /// Notes that a commit carried these redemptions.
    fn recorded(&self, redeemed: &[Redemption]);

    /// The redemptions that no commit carried and that matter still, in sets
    /// that are each small enough for one commit.
    fn unrecorded(&self, now: Timestamp) -> Vec<Vec<Redemption>>;
}

/// Why a nonce was not redeemed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRedeemed {
    /// It cannot be used.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// Whether it was used is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}
