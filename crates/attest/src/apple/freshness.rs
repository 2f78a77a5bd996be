//! Whether evidence answers a question of ours.

use subtle::ConstantTimeEq;

use super::{
    limits::{MAX_NONCE_AGE, MAX_NONCE_BYTES},
    properties::FRESHNESS,
};
use crate::reason::{Finding, Reason};
use crate::x509::{certificate::Certificate, time::utc};

/// The leaf's freshness code, which is there and not blank. (A second one is
/// refused before.)
pub(crate) fn code<'a>(leaf: &Certificate<'a>) -> Result<&'a [u8], Finding> {
    match leaf.extension(FRESHNESS) {
        Some(extension) if !extension.value.is_empty() => Ok(extension.value),
        _ => Err(Finding::new(
            Reason::FreshnessMissing,
            format!("extension {} is absent or blank", FRESHNESS),
        )),
    }
}

/// ACME: the code is the one of this challenge. The comparison takes the same
/// time wherever the two differ.
pub(crate) fn check_challenge(code: &[u8], expected: &[u8; 32]) -> Result<(), Finding> {
    check_length(code)?;
    if bool::from(code.ct_eq(expected)) {
        Ok(())
    } else {
        Err(Finding::new(
            Reason::FreshnessMismatch,
            "the freshness code belongs to another challenge",
        ))
    }
}

/// ACME: the code has the length of a SHA-256.
pub(crate) fn check_length(code: &[u8]) -> Result<(), Finding> {
    const LENGTH: usize = 32;

    if code.len() == LENGTH {
        return Ok(());
    }
    Err(Finding::new(
        Reason::FreshnessLength,
        format!("the freshness code has {} bytes, not {LENGTH}", code.len()),
    ))
}

/// A `DeviceAttestationNonce` that was sent to a device in a
/// DeviceInformation query: 1 to 32 bytes, and when it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SentNonce {
    nonce: Vec<u8>,
    sent: u64,
}

/// Apple's schema (`information.device.yaml`, `DeviceAttestationNonce`): "The
/// value can contain up to 32 bytes of data." None at all would ask for
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a DeviceAttestationNonce has 1 to {MAX_NONCE_BYTES} bytes, not {0}")]
pub struct NonceLength(pub usize);

impl SentNonce {
    /// A nonce, and when it was sent, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// It is empty or has more than 32 bytes.
    pub fn new(nonce: &[u8], sent: u64) -> Result<Self, NonceLength> {
        if nonce.is_empty() || nonce.len() > MAX_NONCE_BYTES {
            return Err(NonceLength(nonce.len()));
        }
        Ok(Self {
            nonce: nonce.to_owned(),
            sent,
        })
    }

    /// The nonce.
    #[must_use]
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// When it was sent, in seconds since the Unix epoch.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// Which question a DeviceInformation answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// An earlier one: the device returned the attestation that it had. Apple
    /// lets it make a new one no more often than every 7 days.
    Cached,
    /// The latest one: the attestation was made for it.
    Fresh,
}

impl Freshness {
    /// Its name in recordings and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Fresh => "fresh",
        }
    }
}

/// MDM: the code is a nonce that was sent to this device less than
/// [`MAX_NONCE_AGE`] ago; gives how fresh it is, and when the nonce was sent.
///
/// A nonce that was sent twice counts from the first time, since the
/// attestation may be as old as that. One whose time is yet to come was not
/// sent. All nonces are compared, and each comparison takes the same time
/// wherever the two differ.
pub(crate) fn check_nonces(
    code: &[u8],
    nonces: &[SentNonce],
    now: u64,
) -> Result<(Freshness, u64), Finding> {
    let sent = nonces
        .iter()
        .filter(|one| bool::from(one.nonce.as_slice().ct_eq(code)) && one.sent <= now)
        .map(|one| one.sent)
        .min()
        .ok_or_else(|| {
            Finding::new(
                Reason::FreshnessMismatch,
                format!(
                    "the freshness code is none of the {} nonces that were sent",
                    nonces.len()
                ),
            )
        })?;
    if now - sent >= MAX_NONCE_AGE {
        return Err(Finding::new(
            Reason::FreshnessExpired,
            format!("the nonce was sent at {}, now {}", utc(sent), utc(now)),
        ));
    }
    let superseded = nonces
        .iter()
        .any(|other| (sent + 1..=now).contains(&other.sent));
    let freshness = if superseded {
        Freshness::Cached
    } else {
        Freshness::Fresh
    };
    Ok((freshness, sent))
}

#[cfg(test)]
mod tests;
