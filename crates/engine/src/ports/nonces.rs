use assay_proto::Timestamp;
use async_trait::async_trait;

use super::{Redemption, StoreError};
use crate::nonce::{Genuine, NonceError};

/// Issues anti-replay nonces (RFC 8555 section 6.5) and redeems each once.
/// [`Nonces`](crate::nonce::Nonces) does so for one node; several nodes share
/// the redemptions.
#[async_trait]
pub trait NonceService: Send + Sync {
    /// Returns a new nonce.
    fn issue(&self, now: Timestamp) -> String;

    /// Checks that `nonce` was issued here, is not expired and is not known to
    /// be used. This costs no signature and waits for nothing. Does not use the
    /// nonce: see [`redeem`](Self::redeem).
    ///
    /// # Errors
    /// [`NonceError`].
    fn check(&self, nonce: &str, now: Timestamp) -> Result<Genuine, NonceError>;

    /// Counts a failed request with this nonce.
    fn fail(&self, nonce: Genuine);

    /// Redeems a nonce. Of concurrent calls on all nodes exactly one succeeds.
    ///
    /// # Errors
    /// [`NotRedeemed`].
    async fn redeem(&self, nonce: Genuine, now: Timestamp) -> Result<Redemption, NotRedeemed>;

    /// Marks redemptions as carried by a commit.
    fn recorded(&self, redeemed: &[Redemption]);

    /// Returns redemptions that no commit carried and that are not expired, in
    /// sets small enough for one commit each.
    fn unrecorded(&self, now: Timestamp) -> Vec<Vec<Redemption>>;
}

/// Why a nonce was not redeemed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRedeemed {
    /// The nonce is not usable.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// It is unknown whether the nonce was used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
