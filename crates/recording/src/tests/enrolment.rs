//! How a replay of a whole enrolment is compared.

use super::*;

const BAD_CSR: &str = "urn:ietf:params:acme:error:badCSR";

fn with(change: impl FnOnce(&mut Acme)) -> Recording {
    let mut contents = acme();
    if let Evidence::Acme(acme) = &mut contents.evidence {
        change(acme);
    }
    Recording::new(contents).unwrap()
}

/// The recording of an order that ended so.
fn ended(issuance: Option<Issuance>) -> Recording {
    with(|acme| acme.issuance = issuance)
}

fn played(issuance: Option<Issuance>) -> EnrolmentResult {
    EnrolmentResult::new(Verdict::accepted(), issuance)
}

fn issued(change: impl FnOnce(&mut CertificateFacts)) -> Option<Issuance> {
    let mut facts = certificate();
    change(&mut facts);
    Some(Issuance::issued(Some(facts)))
}

fn refused(reason: Option<&str>) -> Option<Issuance> {
    let refused = Issuance::refused(RecordedProblem::new(BAD_CSR, "some text"));
    Some(Issuance {
        reason: reason.map(str::to_owned),
        ..refused
    })
}

fn fields(comparison: &Comparison) -> Vec<&'static str> {
    comparison.differences.iter().map(|one| one.field).collect()
}

fn skipped(comparison: &Comparison) -> Vec<&'static str> {
    (comparison.not_compared.iter())
        .map(|one| one.field)
        .collect()
}

fn compare(recording: &Recording, issuance: Option<Issuance>) -> Comparison {
    recording.compare_enrolment(&played(issuance), false)
}

#[test]
fn the_same_certificate_is_no_difference() {
    let recording = ended(issued(|_| {}));
    let comparison = compare(&recording, issued(|_| {}));
    assert_eq!(comparison, Comparison::default());
    assert!(comparison.is_same());
}

/// A finalize that is broken must not replay as the same.
#[test]
fn a_refused_csr_of_an_issued_recording_is_a_difference() {
    let recording = ended(issued(|_| {}));
    for allow in [false, true] {
        let comparison = recording.compare_enrolment(&played(refused(None)), allow);
        assert_eq!(
            comparison.differences,
            [Difference {
                field: "issuance.end",
                recorded: Some("issued".to_owned()),
                replayed: Some("refused".to_owned()),
            }]
        );
        assert!(!comparison.unrecorded_refusal);
    }
}

#[test]
fn each_fact_of_a_certificate_is_compared() {
    let recording = ended(issued(|_| {}));
    let cases: [(fn(&mut CertificateFacts), _); 6] = [
        (|facts| facts.subject.push('x'), "subject"),
        (|facts| facts.names.clear(), "names"),
        (|facts| facts.spki_sha256.push('0'), "spki_sha256"),
        (
            |facts| facts.key_usage.push("keyCertSign".into()),
            "key_usage",
        ),
        (
            |facts| facts.extended_key_usage.clear(),
            "extended_key_usage",
        ),
        (|facts| facts.lifetime += 1, "lifetime"),
    ];
    for (change, field) in cases {
        let comparison = compare(&recording, issued(change));
        let field = format!("issuance.certificate.{field}");
        assert_eq!(fields(&comparison), [field.as_str()]);
        assert_eq!(comparison.not_compared, []);
    }
}

#[test]
fn without_the_settings_of_the_profile_only_the_key_is_compared() {
    let recording = with(|acme| acme.profile = Some(RecordedProfile::new("default", None)));
    let other = |facts: &mut CertificateFacts| {
        facts.subject.clear();
        facts.names.clear();
        facts.lifetime = 1;
    };
    let comparison = compare(&recording, issued(other));
    assert_eq!(fields(&comparison), [""; 0]);
    assert_eq!(skipped(&comparison), ["issuance.certificate"]);
    let comparison = compare(&recording, issued(|facts| facts.spki_sha256.clear()));
    assert_eq!(fields(&comparison), ["issuance.certificate.spki_sha256"]);
}

#[test]
fn a_lifetime_that_the_order_or_the_ca_limited_is_not_compared() {
    let recording = ended(issued(|facts| facts.lifetime = 3600));
    let comparison = compare(&recording, issued(|_| {}));
    assert!(comparison.is_same());
    assert_eq!(skipped(&comparison), ["issuance.certificate.lifetime"]);
}

#[test]
fn the_names_of_other_identifiers_are_not_asked_for() {
    let several = |mut issuance: Option<Issuance>| {
        issuance.as_mut().unwrap().identifiers = Some(2);
        issuance
    };
    let recording = ended(several(issued(|facts| facts.names.push("uri:x".into()))));
    let comparison = compare(&recording, issued(|_| {}));
    assert!(comparison.is_same());
    assert_eq!(skipped(&comparison), ["issuance.certificate.names"]);
    let other = issued(|facts| facts.names = vec!["uri:y".into()]);
    assert_eq!(
        fields(&compare(&recording, other)),
        ["issuance.certificate.names"]
    );
    // Its refusal may be about the other identifiers.
    let recording = ended(several(refused(None)));
    let comparison = compare(&recording, issued(|_| {}));
    assert_eq!(skipped(&comparison), ["issuance.end"]);
    assert!(comparison.is_same());
}

#[test]
fn a_refusal_is_compared_by_its_type_and_not_by_its_text() {
    let recording = ended(refused(Some("csr-key-not-attested")));
    let other = Issuance::refused(RecordedProblem::new(BAD_CSR, "a better text"));
    assert!(compare(&recording, Some(other)).is_same());
    let other = Issuance::refused(RecordedProblem::new("urn:other", "some text"));
    assert_eq!(
        fields(&compare(&recording, Some(other))),
        ["issuance.problem.type"]
    );
    let other = RecordedProblem::new(BAD_CSR, "").with_subproblems(vec!["urn:x".to_owned()]);
    assert_eq!(
        fields(&compare(&recording, Some(Issuance::refused(other)))),
        ["issuance.problem.subproblems"]
    );
    // A check that is gone is noticed.
    assert_eq!(
        fields(&compare(&recording, issued(|_| {}))),
        ["issuance.end"]
    );
}

#[test]
fn a_refusal_by_the_state_of_the_server_is_not_compared() {
    for reason in [
        "csr-account-key",
        "no-longer-admitted",
        "validity-out-of-reach",
    ] {
        let comparison = compare(&ended(refused(Some(reason))), issued(|_| {}));
        assert!(comparison.is_same(), "{reason}");
        assert_eq!(skipped(&comparison), ["issuance.end"]);
    }
    let of_profile = with(|acme| {
        acme.profile = None;
        acme.issuance = refused(Some("csr-names-refused"));
    });
    assert_eq!(
        skipped(&compare(&of_profile, issued(|_| {}))),
        ["issuance.end"]
    );
    let of_settings = ended(refused(Some("csr-names-refused")));
    assert_eq!(
        fields(&compare(&of_settings, issued(|_| {}))),
        ["issuance.end"]
    );
}

#[test]
fn a_fault_of_the_signer_expects_a_certificate() {
    let problem = RecordedProblem::new("urn:ietf:params:acme:error:serverInternal", "");
    let recording = ended(Some(Issuance::failed(problem)));
    let comparison = compare(&recording, issued(|_| {}));
    assert!(comparison.is_same());
    assert_eq!(skipped(&comparison), ["issuance.certificate"]);
    assert_eq!(
        fields(&compare(&recording, refused(None))),
        ["issuance.end"]
    );
}

/// Version 1 never says how issuance ended.
#[test]
fn a_refused_csr_of_which_nothing_is_recorded_is_a_difference_unless_allowed() {
    let recording = ended(None);
    assert!(compare(&recording, issued(|_| {})).is_same());
    let comparison = compare(&recording, refused(None));
    assert_eq!(fields(&comparison), ["issuance.end"]);
    assert!(comparison.unrecorded_refusal);
    let allowed = recording.compare_enrolment(&played(refused(None)), true);
    assert!(allowed.is_same() && !allowed.unrecorded_refusal);
    assert_eq!(skipped(&allowed), ["issuance.end"]);
}

#[test]
fn a_csr_that_is_not_recorded_is_not_asked_for() {
    let recording = with(|acme| acme.csr = None);
    let comparison = compare(&recording, None);
    assert!(comparison.is_same());
    assert_eq!(skipped(&comparison), ["issuance.end"]);
    // Other evidence never gets as far, which is a difference by itself.
    let refused = EnrolmentResult::new(Verdict::refused("expired"), None);
    let comparison = recording.compare_enrolment(&refused, false);
    assert_eq!(
        fields(&comparison),
        ["verdict.outcome", "verdict.reason", "issuance.end"]
    );
}

#[test]
fn another_word_is_a_difference() {
    let recording = with(|acme| acme.issuance.as_mut().unwrap().end = "isued".to_owned());
    assert_eq!(
        fields(&compare(&recording, issued(|_| {}))),
        ["issuance.end"]
    );
}
