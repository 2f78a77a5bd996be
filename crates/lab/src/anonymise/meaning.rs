//! What each check of the new recording still says about the original.

use assay_attest::{Check, Outcome};
use assay_recording::{Answer, Evidence, Recording};
use assay_simulator::faults::{Fault, Outcome as Judged};

use super::original::Original;

/// How the new evidence was made.
pub enum Way {
    /// The original was empty, and so is the new one.
    AsItWas,
    /// The same leaf, of an invented device.
    Rebuilt {
        /// The OIDs of extensions that are not in it.
        left_out: Vec<String>,
    },
    /// Other evidence, with a fault that is refused for the same reason.
    Forged(&'static Fault),
}

/// A check, and whether it means the same as before.
pub struct Meaning {
    /// Its stable name.
    pub check: &'static str,
    /// `passed`, `failed`, `not reached`; `None` where it does not count for the
    /// verdict.
    pub outcome: Option<String>,
    /// Whether it means the same.
    pub means: Means,
    /// Why.
    pub why: String,
}

/// Whether a check asks the same as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The same question, about other values.
    Same,
    /// Another one.
    Else,
    /// It was not asked, and is not.
    NotReached,
}

impl Means {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Else => "else",
            Self::NotReached => "not-reached",
        }
    }
}

/// Every check, in order, then the comparison with the order. `checks` are those
/// of the new recording.
pub(super) fn all(
    old: &Recording,
    original: &Original,
    checks: Option<&[(Check, Outcome)]>,
    way: &Way,
) -> Vec<Meaning> {
    let mut meanings: Vec<_> = checks
        .unwrap_or_default()
        .iter()
        .map(|(check, outcome)| of_check(*check, *outcome, original, way))
        .collect();
    if let Evidence::Acme(acme) = &old.contents().evidence {
        if let Answer::DeviceError(_) = acme.answer {
            let why = "the device's own words are left out: they may name somebody";
            meanings.push(told("device-error", Means::Same, why));
        } else {
            meanings.push(identity(old));
        }
        if acme.csr.is_some() {
            let why = "a new one, of the attested key if it was that before: subject and names are left out. One that breaks a rule is left out as a whole";
            meanings.push(told("csr", Means::Else, why));
        }
        if acme.issuance.is_some() {
            let why = "only how it ended, and only if the new CSR cannot end otherwise; the profile and the facts about the certificate are left out";
            meanings.push(told("issuance", Means::Else, why));
        }
    }
    meanings
}

fn told(check: &'static str, means: Means, why: &str) -> Meaning {
    Meaning {
        check,
        outcome: None,
        means,
        why: why.to_owned(),
    }
}

/// The comparison with what was ordered.
fn identity(old: &Recording) -> Meaning {
    let claims = &old.contents().claims;
    let verified = claims.facts.is_some();
    let (outcome, means) = match (verified, claims.verdict.is_accepted()) {
        (false, _) => ("not reached", Means::NotReached),
        (true, true) => ("passed", Means::Same),
        (true, false) => ("failed", Means::Same),
    };
    let why = "invented names; what was equal, different, or different in case is so still";
    Meaning {
        outcome: Some(outcome.to_owned()),
        ..told("identity", means, if verified { why } else { "" })
    }
}

fn of_check(check: Check, outcome: Outcome, original: &Original, way: &Way) -> Meaning {
    let (means, why) = match (outcome, way) {
        (Outcome::NotReached, _) => (Means::NotReached, String::new()),
        (Outcome::Failed(reason), Way::Forged(fault)) => (
            Means::Else,
            format!(
                "refused for the same reason ({reason}), by the simulator's fault {}: {} The original's may have been another",
                fault.name(),
                fault.meaning()
            ),
        ),
        (_, Way::AsItWas) => (Means::Same, "nothing was sent, and nothing is".to_owned()),
        (_, Way::Rebuilt { left_out }) => of_rebuilt(check, original, left_out),
        (Outcome::Passed, Way::Forged(_)) => of_forged(check, original),
    };
    Meaning {
        check: check.as_str(),
        outcome: Some(outcome.to_string()),
        means,
        why,
    }
}

fn of_rebuilt(check: Check, original: &Original, left_out: &[String]) -> (Means, String) {
    let (means, why) = match check {
        Check::Object => (
            Means::Else,
            "a laboratory encoded it: how the device did, and what it sent beside the certificates, is left out",
        ),
        Check::Certificates => (
            Means::Else,
            "a laboratory encoded them: how the authority did is left out",
        ),
        Check::Chain => (Means::Same, "a leaf, and the intermediate that issued it"),
        Check::Properties if left_out.is_empty() => (
            Means::Same,
            "as they were, but for invented serial number and UDID",
        ),
        Check::Properties => (
            Means::Else,
            "as they were, but for invented serial number and UDID, and for extensions left out since nobody documents what they say",
        ),
        Check::Key => (Means::Same, "an invented key of the same kind"),
        Check::Freshness => (
            Means::Same,
            "invented tokens, nonces and codes; what matched matches, what did not does not",
        ),
        Check::Validity => (
            Means::Same,
            "the same time, and the leaf's validity as it was",
        ),
        Check::Path if original.length() == 2 => (
            Means::Same,
            "the leaf's constraints as they were, below an intermediate as Apple's",
        ),
        Check::Path => {
            let had = original.length();
            let why = format!(
                "the leaf's constraints as they were, but its chain has 2 certificates and had {had}"
            );
            return (Means::Else, why);
        }
        Check::Anchor => (
            Means::Else,
            "the root is a laboratory's, made for this file, and not the one that was asked for",
        ),
        Check::Signatures => (
            Means::Else,
            "made with that laboratory's keys: who vouched before cannot be told any more",
        ),
        _ => (Means::Else, "the evidence is a laboratory's"),
    };
    (means, why.to_owned())
}

/// Of a check that the forged evidence passes before it fails.
fn of_forged(check: Check, original: &Original) -> (Means, String) {
    match check {
        Check::Freshness => of_rebuilt(check, original, &[]),
        Check::Properties | Check::Key if original.leaf().is_some() => {
            of_rebuilt(check, original, &[])
        }
        Check::Anchor | Check::Signatures | Check::Object | Check::Certificates => {
            of_rebuilt(check, original, &[])
        }
        _ => (
            Means::Else,
            "the evidence is the simulator's, right in this and wrong in what it was refused for"
                .to_owned(),
        ),
    }
}

/// The faults of evidence that are refused for this reason.
pub(super) fn faults(reason: &str) -> impl Iterator<Item = &'static Fault> {
    Fault::all().filter(move |fault| {
        fault.is_forgeable()
            && matches!(fault.outcome(), Judged::Evidence { reason: its } if its == reason)
    })
}
