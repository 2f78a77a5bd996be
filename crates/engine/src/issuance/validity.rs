//! The validity of a certificate, within the issuer's own.

use assay_ca::{Issuer, authority::BACKDATE};
use assay_proto::Timestamp;

use crate::error::{Error, IssuanceRefusal};

/// The limits on the validity of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityLimits {
    /// The longest lifetime, in seconds.
    pub lifetime: u64,
    /// The start of the issuer's own validity.
    pub issuer_not_before: Timestamp,
    /// The end of the issuer's own validity.
    pub issuer_not_after: Timestamp,
}

impl ValidityLimits {
    /// Checks the validity that an order requests. No certificate outlives one
    /// issued at `now` and valid from now on: otherwise one attestation could
    /// get a supply of certificates for years.
    ///
    /// # Errors
    /// [`Error::Validity`] with the exceeded limit: a request is honoured
    /// exactly or refused, never adjusted.
    pub fn check(
        &self,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Validity(text));
        let earliest = self.issuer_not_before.max(now.minus(BACKDATE));
        let start = not_before.unwrap_or(earliest);
        if start < earliest {
            return refuse(format!("notBefore is earlier than {earliest}"));
        }
        let latest = self.latest_end(now);
        if start >= latest {
            return refuse(format!(
                "notBefore is not before {latest}, the latest end of a certificate"
            ));
        }
        let Some(end) = not_after else { return Ok(()) };
        if end > latest {
            return refuse(format!("notAfter is later than {latest}"));
        }
        if end <= start || end <= now {
            return refuse("notAfter is not after notBefore and the present".to_owned());
        }
        Ok(())
    }

    /// Returns the validity of a certificate issued at `now`. Only values that
    /// were not requested are clamped.
    ///
    /// # Errors
    /// [`IssuanceRefusal::ValidityOutOfReach`] when the request was possible
    /// once, but the profile has changed.
    pub fn of(
        &self,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), IssuanceRefusal> {
        let start = not_before.unwrap_or_else(|| self.issuer_not_before.max(now.minus(BACKDATE)));
        let latest = self.latest_end(now);
        let end = not_after.unwrap_or(latest);
        if start >= end || end > latest {
            return Err(IssuanceRefusal::ValidityOutOfReach);
        }
        Ok((start, end))
    }

    fn latest_end(&self, now: Timestamp) -> Timestamp {
        self.issuer_not_after.min(now.plus(self.lifetime))
    }
}

/// Returns the end of a CA's validity if it may still sign at `now`; `name` is
/// for the error.
///
/// # Errors
/// When it has expired, for the operator.
pub fn end_of_ca(name: &str, issuer: &Issuer, now: Timestamp) -> Result<Timestamp, String> {
    let end = Timestamp(issuer.not_after());
    if now < end {
        Ok(end)
    } else {
        Err(format!(
            "the {name} CA's certificate ended at {end}, and it is {now}: {}",
            renew_ca(name)
        ))
    }
}

/// Returns what to do about an expired CA.
#[must_use]
pub fn renew_ca(name: &str) -> &'static str {
    match name {
        "TLS" => {
            "make a new TLS CA with `assay tls host HOST --root-key FILE` (the host of the base \
             URL), and restart"
        }
        _ => {
            "have the root sign a new certificate for the same key and name (docs/cli.md, assay \
             init), put it in the place of the old one, and restart"
        }
    }
}
