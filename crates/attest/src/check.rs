//! The checks that a verdict is made of, in their order.

use std::fmt;

use crate::reason::{Reason, Refusal};

/// One table: variant, stable name, sentence.
macro_rules! checks {
    ($($variant:ident, $name:literal, $sentence:literal;)*) => {
        /// A step of a verification. The order of the variants is the order
        /// in which the checks run: what a check refuses passed all earlier
        /// ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $(
                #[doc = concat!("`", $name, "`: ", $sentence, ".")]
                $variant,
            )*
        }

        impl Check {
            /// Every check, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The check's name, in kebab case. It never changes: recordings
            /// and metrics rely on it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What holds once the check passed, in one sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

checks! {
    Object, "object",
        "the evidence is a list of one to five certificates, in the shape of its surface";
    Certificates, "certificates",
        "each certificate is well-formed, of version 3, within its limits, and repeats no extension";
    Chain, "chain",
        "there is an intermediate certificate above the leaf";
    Properties, "properties",
        "the leaf's properties can be decoded, each in its own type";
    Key, "key",
        "the attested key is a point of P-256 or P-384";
    Freshness, "freshness",
        "the leaf has the freshness code that was asked for";
    Validity, "validity",
        "each certificate is valid at the time of the verdict";
    Path, "path",
        "the leaf is no CA, its issuers are, and each may have issued the certificate below it";
    Anchor, "anchor",
        "a trusted root that is valid may have issued the topmost certificate";
    Signatures, "signatures",
        "each certificate is signed by the key of the next, the topmost by that of the root";
}

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It found nothing.
    Passed,
    /// It refused the evidence.
    Failed(Reason),
    /// An earlier check had refused the evidence.
    NotReached,
}

impl Check {
    /// What became of every check, in order: of the ones behind a refusal, or
    /// (`None`) behind an [`AttestedDevice`](crate::AttestedDevice).
    pub fn outcomes(refusal: Option<&Refusal>) -> impl Iterator<Item = (Self, Outcome)> + use<> {
        let failed = refusal.map(|refusal| (refusal.check, refusal.reason));
        Self::ALL.iter().map(move |check| {
            let outcome = match failed {
                Some((failed, reason)) if failed == *check => Outcome::Failed(reason),
                Some((failed, _)) if failed < *check => Outcome::NotReached,
                _ => Outcome::Passed,
            };
            (*check, outcome)
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `passed`, `failed` or `not reached`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::NotReached => "not reached",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_variants_in_lower_case_and_sentences_single() {
        for (index, check) in Check::ALL.iter().enumerate() {
            assert_eq!(check.as_str(), format!("{check:?}").to_lowercase());
            assert!(!check.sentence().ends_with('.') && !check.sentence().contains('\n'));
            assert_eq!(*check as usize, index);
        }
    }

    #[test]
    fn outcomes_turn_at_the_failed_check() {
        for failed in Check::ALL {
            let refusal = Refusal {
                check: *failed,
                reason: Reason::Expired,
                detail: String::new(),
            };
            let expected = Check::ALL.iter().map(|check| {
                let outcome = if check < failed {
                    Outcome::Passed
                } else if check == failed {
                    Outcome::Failed(Reason::Expired)
                } else {
                    Outcome::NotReached
                };
                (*check, outcome)
            });
            assert!(Check::outcomes(Some(&refusal)).eq(expected), "{failed}");
        }
        assert!(Check::outcomes(None).eq(Check::ALL.iter().map(|check| (*check, Outcome::Passed))));
    }
}
