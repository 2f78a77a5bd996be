//! How long a certificate is valid, within what its issuer is.

use assay_ca::{Issuer, authority::BACKDATE};
use assay_proto::Timestamp;

use crate::error::{Error, IssuanceRefusal};

/// The validity that certificates may have.
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
    /// Judges the validity that an order asks for. No certificate outlives one
    /// that is issued at `now` and valid from now on: one day's proof is no
    /// supply of certificates for years.
    ///
    /// # Errors
    /// [`Error::Validity`] naming the limit: what was asked for is honoured
    /// exactly or refused, never bent.
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

    /// The validity of a certificate that is issued at `now`. Only what was
    /// not asked for is clamped.
    ///
    /// # Errors
    /// [`IssuanceRefusal::ValidityOutOfReach`] when what was asked for could be
    /// had once, and the profile is another one now.
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

/// The end of a CA, of this name, that still may sign at `now`.
///
/// # Errors
/// That it has ended, for the operator.
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

/// What to do about a CA that has ended.
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
