//! Compares a replay of a whole enrolment with the recording of it.
//!
//! What a recording does not hold cannot be compared: the other identifiers of
//! its order, what the operator changed between challenge and finalize, a
//! profile whose settings it does not name. Each such fact is reported as not
//! compared, with the reason. `docs/recordings.md` has the rules for people.

use super::{
    Acme, CertificateFacts, Difference, Evidence, Issuance, Recording, Verdict,
    claims::plain,
    issuance::{FAILED, ISSUED, REFUSED},
    judge::of_verdicts,
};

/// Refusals that depend on the state of a server, which a recording does not
/// hold: the list of devices, the roots, the profiles and the accounts at the
/// time of finalize; the other authorizations of the order; its validity.
const OF_THE_SERVER: [&str; 8] = [
    "account-deactivated",
    "authorization-deactivated",
    "csr-account-key",
    "evidence-disagrees",
    "no-longer-admitted",
    "profile-not-offered",
    "root-no-longer-trusted",
    "validity-out-of-reach",
];

/// Refusals that depend on the profile.
const OF_THE_PROFILE: [&str; 4] = [
    "attribute-not-attested",
    "csr-names-refused",
    "name-does-not-fit",
    "no-name",
];

/// What a replay of the whole enrolment came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnrolmentResult {
    /// The verdict on the evidence.
    pub verdict: Verdict,
    /// How issuance ended; `None` if no CSR was sent.
    pub issuance: Option<Issuance>,
}

/// A fact that a replay cannot be compared in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotCompared {
    /// The path of the key, for example `issuance.certificate.lifetime`.
    pub field: &'static str,
    /// Why.
    pub why: &'static str,
}

/// A replay compared with its recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// What is different, in the order of the file's keys.
    pub differences: Vec<Difference>,
    /// What was not compared, and why.
    pub not_compared: Vec<NotCompared>,
    /// Whether the one difference in issuance is that a CSR is refused about
    /// which the recording does not say what became of it.
    pub unrecorded_refusal: bool,
}

impl EnrolmentResult {
    /// The verdict, and how issuance ended if a CSR was sent.
    #[must_use]
    pub fn new(verdict: Verdict, issuance: Option<Issuance>) -> Self {
        Self { verdict, issuance }
    }
}

impl Comparison {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    fn compare(&mut self, field: &'static str, recorded: Option<&str>, replayed: Option<&str>) {
        self.differences
            .extend(Difference::between(field, recorded, replayed));
    }

    fn skip(&mut self, field: &'static str, why: &'static str) {
        self.not_compared.push(NotCompared { field, why });
    }
}

impl Recording {
    /// Compares a replay of the whole enrolment with what the recording says:
    /// the verdict, how issuance ended, and what is in the certificate. Facts
    /// and root of the evidence are for [`differences`](Self::differences).
    ///
    /// If the recording holds a CSR and does not say how issuance ended, its
    /// refusal is a difference unless `allow_refused_csr`.
    #[must_use]
    pub fn compare_enrolment(
        &self,
        played: &EnrolmentResult,
        allow_refused_csr: bool,
    ) -> Comparison {
        let mut comparison = Comparison {
            differences: of_verdicts(&self.contents().claims.verdict, &played.verdict),
            ..Comparison::default()
        };
        if let Evidence::Acme(acme) = &self.contents().evidence {
            issuance(&mut comparison, acme, played, allow_refused_csr);
        }
        comparison
    }
}

fn issuance(
    comparison: &mut Comparison,
    acme: &Acme,
    played: &EnrolmentResult,
    allow_refused_csr: bool,
) {
    const END: &str = "issuance.end";
    let replayed = played.issuance.as_ref();
    let (recorded, replayed) = match (&acme.issuance, replayed) {
        (None, None) => return,
        (None, Some(replayed)) if replayed.is_issued() => return,
        (None, Some(_)) if allow_refused_csr => {
            return comparison.skip(
                END,
                "the recording does not say how issuance ended, and its CSR may be refused",
            );
        }
        (None, Some(replayed)) => {
            comparison.unrecorded_refusal = true;
            return comparison.compare(END, None, Some(&replayed.end));
        }
        (Some(_), None) if played.verdict.is_accepted() && acme.csr.is_none() => {
            return comparison.skip(END, "the recording does not hold the CSR");
        }
        (Some(recorded), None) => return comparison.compare(END, Some(&recorded.end), None),
        (Some(recorded), Some(replayed)) => (recorded, replayed),
    };
    if let Some(why) = incomparable(acme, recorded) {
        return comparison.skip(END, why);
    }
    // A fault of the server decided nothing about the CSR, which was accepted.
    let expected = match recorded.end.as_str() {
        FAILED => ISSUED,
        end => end,
    };
    comparison.compare(END, Some(expected), Some(&replayed.end));
    match (expected, replayed.end.as_str()) {
        (REFUSED, REFUSED) => problems(comparison, recorded, replayed),
        (ISSUED, ISSUED) => certificates(comparison, acme, recorded, replayed),
        _ => {}
    }
}

/// Why a recorded refusal says nothing about a replay.
fn incomparable(acme: &Acme, recorded: &Issuance) -> Option<&'static str> {
    if recorded.end != REFUSED {
        return None;
    }
    let reason = recorded.reason.as_deref().unwrap_or_default();
    if several(recorded) {
        return Some("the order has other identifiers, which are not replayed");
    }
    if OF_THE_SERVER.contains(&reason) {
        return Some("the refusal depended on what the recording does not hold of the server");
    }
    if OF_THE_PROFILE.contains(&reason) && settings(acme).is_none() {
        return Some("the refusal depended on the profile, whose settings are not recorded");
    }
    None
}

fn several(recorded: &Issuance) -> bool {
    recorded.identifiers.is_some_and(|count| count > 1)
}

fn settings(acme: &Acme) -> Option<&super::ProfileSettings> {
    acme.profile.as_ref()?.settings.as_ref()
}

fn problems(comparison: &mut Comparison, recorded: &Issuance, replayed: &Issuance) {
    let (Some(said), Some(is)) = (&recorded.problem, &replayed.problem) else {
        return comparison.skip("issuance.problem", "the recording does not hold it");
    };
    comparison.compare("issuance.problem.type", Some(&said.kind), Some(&is.kind));
    let [said, is] =
        [said, is].map(|problem| listed(problem.subproblems.as_deref().unwrap_or_default()));
    comparison.compare("issuance.problem.subproblems", Some(&said), Some(&is));
}

fn certificates(
    comparison: &mut Comparison,
    acme: &Acme,
    recorded: &Issuance,
    replayed: &Issuance,
) {
    const ALL: &str = "issuance.certificate";
    let (said, is) = match (&recorded.certificate, &replayed.certificate) {
        (Some(said), Some(is)) => (said, is),
        (None, _) => return comparison.skip(ALL, "the recording does not hold its facts"),
        (Some(_), None) => return comparison.compare(ALL, Some("some"), None),
    };
    let settings = settings(acme);
    if settings.is_none() {
        comparison.skip(
            ALL,
            "the settings of the profile are not recorded: only the key is compared",
        );
    }
    if settings.is_some() {
        comparison.compare(
            "issuance.certificate.subject",
            Some(&said.subject),
            Some(&is.subject),
        );
        names(comparison, &said.names, &is.names, several(recorded));
    }
    comparison.compare(
        "issuance.certificate.spki_sha256",
        Some(&said.spki_sha256),
        Some(&is.spki_sha256),
    );
    if let Some(settings) = settings {
        usages(comparison, said, is);
        lifetime(comparison, said, is, settings.lifetime);
    }
}

/// The names in their order; of an order with several identifiers, whether
/// those of the replayed one are among the recorded ones.
fn names(comparison: &mut Comparison, said: &[String], are: &[String], several: bool) {
    const NAMES: &str = "issuance.certificate.names";
    if several && are.iter().all(|name| said.contains(name)) {
        return comparison.skip(
            NAMES,
            "the order has other identifiers, which are not replayed: the names that were replayed are among the recorded ones",
        );
    }
    comparison.compare(NAMES, Some(&listed(said)), Some(&listed(are)));
}

fn usages(comparison: &mut Comparison, said: &CertificateFacts, are: &CertificateFacts) {
    comparison.compare(
        "issuance.certificate.key_usage",
        Some(&listed(&said.key_usage)),
        Some(&listed(&are.key_usage)),
    );
    comparison.compare(
        "issuance.certificate.extended_key_usage",
        Some(&listed(&said.extended_key_usage)),
        Some(&listed(&are.extended_key_usage)),
    );
}

/// `longest` is the lifetime of the profile.
fn lifetime(
    comparison: &mut Comparison,
    said: &CertificateFacts,
    is: &CertificateFacts,
    longest: u64,
) {
    const LIFETIME: &str = "issuance.certificate.lifetime";
    if said.lifetime < longest {
        return comparison.skip(
            LIFETIME,
            "it is shorter than the profile's: the order or the end of the CA limited it",
        );
    }
    let [said, is] = [said, is].map(|facts| facts.lifetime.to_string());
    comparison.compare(LIFETIME, Some(&said), Some(&is));
}

/// A list as one text: no two lists look the same.
fn listed(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| plain(text)).collect();
    texts.join(" ")
}
