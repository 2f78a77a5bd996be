//! How issuance ended, without anything that may name a device or its owner.

use assay_engine::remedy::remedy;
use assay_proto::ProblemType;
use assay_recording::{Issuance, RecordedProblem};

/// The refusal whose cause the new CSR still has: it is for another key.
const OTHER_KEY: &str = "csr-key-not-attested";

/// The end, the known reason and the known types of problems; `None` if the new
/// CSR no longer has what the recorded one was refused for, or if the end is not
/// one that Assay writes.
///
/// The facts about the certificate are left out, and so is the profile that they
/// depend on: subject and names come from the device or its owner.
pub(super) fn anonymised(old: &Issuance) -> Option<Issuance> {
    let reason = old.reason.as_deref();
    let reason = reason.filter(|reason| remedy(reason).is_some());
    let problem = || RecordedProblem::new("", "");
    let mut new = match old.end.as_str() {
        "issued" => Issuance::issued(None),
        "failed" => Issuance::failed(problem()),
        "refused" if reason == Some(OTHER_KEY) => Issuance::refused(problem()),
        _ => return None,
    };
    new.problem = old.problem.as_ref().map(known);
    new.reason = reason.map(str::to_owned);
    new.identifiers = old.identifiers;
    Some(new)
}

/// The type, if it is one of ACME's, and those of the subproblems.
fn known(problem: &RecordedProblem) -> RecordedProblem {
    let known = |urn: &str| ProblemType::from_urn(urn).map(ProblemType::urn);
    let subproblems = problem.subproblems.iter().flatten();
    RecordedProblem::new(known(&problem.kind).unwrap_or_default(), "")
        .with_subproblems(subproblems.filter_map(|urn| known(urn)).collect())
}

#[cfg(test)]
mod tests {
    use assay_recording::CertificateFacts;

    use super::*;

    const BAD_CSR: &str = "urn:ietf:params:acme:error:badCSR";

    #[test]
    fn nothing_of_a_certificate_or_of_a_text_is_kept() {
        let mut facts = CertificateFacts::new("07".repeat(32), 900);
        facts.subject = "CN=C02XK0AAJHD2,O=Example".to_owned();
        facts.names = vec!["permanent-identifier:C02XK0AAJHD2".to_owned()];
        let mut issued = Issuance::issued(Some(facts));
        issued.reason = Some("Alice".to_owned());
        issued.identifiers = Some(2);
        let mut expected = Issuance::issued(None);
        expected.identifiers = Some(2);
        assert_eq!(anonymised(&issued), Some(expected));

        let problem = |detail: &str| RecordedProblem::new(BAD_CSR, detail);
        let subproblems = vec!["urn:alice".to_owned(), BAD_CSR.to_owned()];
        let with = problem("the CSR names Alice").with_subproblems(subproblems);
        let mut refused = Issuance::refused(with);
        refused.reason = Some(OTHER_KEY.to_owned());
        let mut expected =
            Issuance::refused(problem("").with_subproblems(vec![BAD_CSR.to_owned()]));
        expected.reason = Some(OTHER_KEY.to_owned());
        assert_eq!(anonymised(&refused), Some(expected));
    }

    #[test]
    fn what_the_new_csr_would_contradict_is_left_out() {
        let refused = |reason: &str| {
            let mut refused = Issuance::refused(RecordedProblem::new(BAD_CSR, ""));
            refused.reason = Some(reason.to_owned());
            refused
        };
        for reason in ["csr-name-not-ordered", "csr-unreadable", "Alice"] {
            assert_eq!(anonymised(&refused(reason)), None, "{reason}");
        }
        let mut other = Issuance::issued(None);
        other.end = "Alice".to_owned();
        assert_eq!(anonymised(&other), None);
    }
}
