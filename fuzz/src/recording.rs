//! Bytes as a recording. Where the first one is `{`, they are the file itself;
//! else they choose one of `testdata/recordings` or `testdata/recordings-format-1`
//! and change what it holds, so that the JSON is right and what matters is within
//! it.

use std::{collections::HashSet, sync::LazyLock};

use arbitrary::{Result, Unstructured};
use assay_attest::{Attribute, AwsLc, SentNonce, TrustAnchor, Verifier};
use assay_recording::{
    Acme, Answer, CertificateFacts, Claims, Contents, EnrolmentResult, Evidence, Facts, Issuance,
    ProfileSettings, RecordedExtension, RecordedProblem, RecordedProfile, Recording, Time,
};

use crate::testdata::{CORPUS, files};

const WEEK: u64 = 7 * 86_400;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let root = TrustAnchor::laboratory(&CORPUS.root, "corpus").unwrap();
    Verifier::new(vec![TrustAnchor::apple(), root], Box::new(AwsLc))
});

static COMMITTED: LazyLock<Vec<Contents>> = LazyLock::new(|| {
    let all = files("recordings").into_iter();
    let recordings: Vec<Contents> = all
        .chain(files("recordings-format-1"))
        .filter(|(_, file)| file.starts_with(b"{"))
        .map(|(name, file)| {
            Recording::parse(&file)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .into_contents()
        })
        .collect();
    assert!(recordings.len() >= 50, "hardly any recording");
    recordings
});

/// All that evidence under the corpus' root attests, whose key is lost. The
/// validity is left out: some of the bad ones are good at another time.
static ATTESTED: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let good = files("evidence/good").into_iter().map(|(name, object)| {
        let device = VERIFIER.verify_object(&object, &CORPUS.freshness, CORPUS.now);
        Facts::of(&device.unwrap_or_else(|refusal| panic!("{name}: {refusal}")))
    });
    COMMITTED
        .iter()
        .filter_map(|contents| contents.claims.facts.clone())
        .chain(good)
        .map(without_validity)
        .collect()
});

fn without_validity(mut facts: Facts) -> String {
    facts.not_before.clear();
    facts.not_after.clear();
    format!("{facts:?}")
}

/// Reads or makes a recording, and judges it.
pub fn run(data: &[u8]) {
    let recording = if data.starts_with(b"{") {
        Recording::parse(data).ok()
    } else {
        changed(&mut Unstructured::new(data))
            .ok()
            .and_then(|contents| Recording::new(contents).ok())
    };
    let Some(recording) = recording else { return };
    comes_back(&recording);
    compares_with_itself(&recording);

    let now = recording.time().seconds();
    let judged = recording.judge(&VERIFIER, now);
    proves_nothing_new(&recording, &judged);
    let differences = recording.differences(&judged);
    assert_eq!(
        differences.is_empty(),
        recording.contents().claims == judged,
        "{differences:?}"
    );
    for difference in differences {
        let shown = difference.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }

    if let Some(root) = recording.embedded_root()
        && let Ok(root) = TrustAnchor::laboratory(root, "from the file")
    {
        let verifier = Verifier::new(vec![root], Box::new(AwsLc));
        let _ = recording.judge(&verifier, now);
    }

    let mut contents = recording.into_contents();
    contents.claims = judged;
    let own = Recording::new(contents).unwrap();
    let judged = own.judge(&VERIFIER, now);
    assert_eq!(own.differences(&judged), [], "another verdict on the same");
    comes_back(&own);
}

/// A replay that comes to what is recorded is the same, whatever that is: only a
/// failure expects another end, a certificate.
fn compares_with_itself(recording: &Recording) {
    let Evidence::Acme(acme) = &recording.contents().evidence else {
        return;
    };
    let verdict = recording.contents().claims.verdict.clone();
    let replayed = match &acme.issuance {
        Some(failed) if failed.end == "failed" => {
            Some(Issuance::issued(failed.certificate.clone()))
        }
        issuance => issuance.clone(),
    };
    let same = EnrolmentResult::new(verdict, replayed);
    let comparison = recording.compare_enrolment(&same, false);
    assert!(comparison.is_same(), "{comparison:?}");
}

fn comes_back(recording: &Recording) {
    let file = recording.to_json();
    let again = Recording::parse(file.as_bytes());
    assert_eq!(again.as_ref(), Ok(recording), "by way of {file}");
}

fn proves_nothing_new(recording: &Recording, judged: &Claims) {
    let Some(facts) = judged.facts.as_ref() else {
        assert!(!judged.verdict.is_accepted(), "accepted without facts");
        return;
    };
    assert!(
        ATTESTED.contains(&without_validity(facts.clone())),
        "forged: {facts:?}"
    );
    assert!(judged.root_sha256.is_some());
    if let Evidence::Acme(acme) = &recording.contents().evidence {
        let is = match acme.admission.attribute {
            Attribute::Serial => &facts.serial,
            Attribute::Udid => &facts.udid,
        };
        assert_eq!(
            judged.verdict.is_accepted(),
            is.as_ref() == Some(&acme.admission.value),
            "{:?} of {facts:?}",
            acme.admission
        );
    }
}

/// One of the committed recordings, changed as long as there are bytes.
fn changed(bytes: &mut Unstructured<'_>) -> Result<Contents> {
    let mut contents = bytes.choose(&COMMITTED)?.clone();
    while !bytes.is_empty() {
        match bytes.int_in_range(0..=7)? {
            0 => {
                if let Some(time) = Time::from_seconds(moment(bytes)?) {
                    contents.time = time;
                }
            }
            1 => change_claims(&mut contents.claims, bytes)?,
            2 => contents.embedded_root = root(bytes)?,
            3 => {
                contents.note = bytes.arbitrary()?;
                contents.labels = bytes.arbitrary()?;
            }
            4 => {
                if let Evidence::Acme(acme) = &mut contents.evidence {
                    change_issuance(acme, bytes)?;
                }
            }
            _ => change_evidence(&mut contents.evidence, bytes)?,
        }
    }
    Ok(contents)
}

/// Around the corpus' moment, or any.
fn moment(bytes: &mut Unstructured<'_>) -> Result<u64> {
    if bytes.ratio(1, 8)? {
        bytes.arbitrary()
    } else {
        let earliest = CORPUS.now.saturating_sub(2 * WEEK);
        bytes.int_in_range(earliest..=CORPUS.now + 2 * WEEK)
    }
}

fn root(bytes: &mut Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    let mut root = CORPUS.root.clone();
    flip(&mut root, bytes)?;
    Ok(bytes.arbitrary::<bool>()?.then_some(root))
}

fn change_claims(claims: &mut Claims, bytes: &mut Unstructured<'_>) -> Result<()> {
    let kind = bytes.int_in_range(0..=7)?;
    match (kind, claims.facts.as_mut()) {
        (0, _) => claims.verdict.outcome = bytes.arbitrary()?,
        (1, _) => claims.verdict.freshness = bytes.arbitrary()?,
        (2, _) => claims.verdict.reason = bytes.arbitrary()?,
        (3, _) => claims.root_sha256 = bytes.arbitrary()?,
        (4, Some(facts)) => facts.serial = bytes.arbitrary()?,
        (5, Some(facts)) => facts.not_after = bytes.arbitrary()?,
        (6, Some(facts)) => {
            let (oid, value): (String, String) = bytes.arbitrary()?;
            let extensions = &mut facts.unknown_extensions;
            extensions.push(RecordedExtension::new(oid, value));
        }
        _ => claims.facts = None,
    }
    Ok(())
}

fn change_issuance(acme: &mut Acme, bytes: &mut Unstructured<'_>) -> Result<()> {
    let kind = bytes.int_in_range(0..=7)?;
    match (kind, acme.issuance.as_mut()) {
        (0, _) => acme.admission.rule_name = bytes.arbitrary()?,
        (1, _) => {
            let settings = ProfileSettings::new(
                bytes.arbitrary::<String>()?,
                bytes.arbitrary()?,
                bytes.arbitrary()?,
                bytes.arbitrary::<String>()?,
            );
            let settings = bytes.arbitrary::<bool>()?.then_some(settings);
            acme.profile = Some(RecordedProfile::new(bytes.arbitrary::<String>()?, settings));
        }
        (2, _) => {
            let (kind, detail): (String, String) = bytes.arbitrary()?;
            let problem = RecordedProblem::new(kind, detail);
            let problem = problem.with_subproblems(bytes.arbitrary()?);
            acme.issuance = Some(match bytes.arbitrary()? {
                true => Issuance::refused(problem),
                false => Issuance::failed(problem),
            });
        }
        (3, _) => {
            let mut facts = CertificateFacts::new(bytes.arbitrary::<String>()?, bytes.arbitrary()?);
            facts.subject = bytes.arbitrary()?;
            facts.names = bytes.arbitrary()?;
            facts.extended_key_usage = bytes.arbitrary()?;
            acme.issuance = Some(Issuance::issued(Some(facts)));
        }
        (4, Some(issuance)) => issuance.end = bytes.arbitrary()?,
        (5, Some(issuance)) => issuance.reason = bytes.arbitrary()?,
        (6, Some(issuance)) => issuance.identifiers = bytes.arbitrary()?,
        _ => acme.issuance = None,
    }
    Ok(())
}

fn change_evidence(evidence: &mut Evidence, bytes: &mut Unstructured<'_>) -> Result<()> {
    let kind = bytes.int_in_range(0..=7)?;
    match evidence {
        Evidence::Acme(acme) => match kind {
            0 => acme.token = bytes.arbitrary()?,
            1 => acme.account = bytes.arbitrary()?,
            2 => acme.identifier.value = bytes.arbitrary()?,
            3 => acme.admission.attribute = *bytes.choose(&[Attribute::Serial, Attribute::Udid])?,
            4 => acme.admission.value = bytes.arbitrary()?,
            5 => acme.answer = Answer::DeviceError(bytes.arbitrary()?),
            6 => acme.csr = bytes.arbitrary()?,
            _ => {
                if let Answer::Object(object) = &mut acme.answer {
                    flip(object, bytes)?;
                }
            }
        },
        Evidence::DeviceInformation(answer) => match kind {
            0 | 1 => {
                let length = bytes.int_in_range(0..=33_usize)?;
                let nonce = SentNonce::new(bytes.bytes(length)?, moment(bytes)?);
                answer.nonces.extend(nonce);
            }
            2 => answer.nonces.truncate(bytes.int_in_range(0..=3)?),
            3 => answer.nonces.reverse(),
            4 => answer.certificates.truncate(bytes.int_in_range(0..=2)?),
            5 => answer.certificates.reverse(),
            6 => answer.certificates.push(CORPUS.root.clone()),
            _ => {
                if let Some(certificate) = answer.certificates.first_mut() {
                    flip(certificate, bytes)?;
                }
            }
        },
    }
    Ok(())
}

/// Changes some bits of one byte, if there is one.
fn flip(text: &mut [u8], bytes: &mut Unstructured<'_>) -> Result<()> {
    let place = usize::from(bytes.arbitrary::<u16>()?) % text.len().max(1);
    if let Some(byte) = text.get_mut(place) {
        *byte ^= bytes.arbitrary::<u8>()?;
    }
    Ok(())
}
