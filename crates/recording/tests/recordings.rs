//! Recordings of a laboratory's evidence, judged again.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

use std::{fs, path::Path};

use assay_attest::{
    Attribute, AwsLc, Freshness, RustCrypto, SentNonce, SignatureVerifier, TrustAnchor, Verifier,
};
use assay_proto::WireIdentifier;
use assay_recording::{
    Acme, Admission, Answer, Claims, Contents, DeviceInformationAnswer, Evidence, Recording, Rule,
    Time, Verdict,
};
use assay_simulator::{
    authority::AttestationAuthority,
    evidence::{CertificateTemplate, DeviceProperties, Evidence as Chain},
};
use rcgen::{KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};

use assay_simulator::corpus::{NOW, SERIAL, UDID};

const TOKEN: &str = "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw";
const DAY: u64 = 86_400;

struct Bench {
    authority: AttestationAuthority,
    spki: Vec<u8>,
    verifier: Verifier,
}

impl Bench {
    fn new() -> Self {
        let authority = AttestationAuthority::create(NOW).unwrap();
        let root = TrustAnchor::laboratory(authority.root_der(), "laboratory").unwrap();
        Self {
            spki: KeyPair::generate().unwrap().subject_public_key_info(),
            verifier: Verifier::new(vec![root], Box::new(AwsLc)),
            authority,
        }
    }

    fn chain(&self, freshness: &[u8]) -> Vec<Vec<u8>> {
        let mac = DeviceProperties::mac(SERIAL, UDID);
        let leaf = self.leaf(&mac, freshness);
        vec![
            leaf.sign(self.authority.sub_key()).unwrap(),
            self.authority.sub_der().to_vec(),
        ]
    }

    fn leaf(&self, properties: &DeviceProperties, freshness: &[u8]) -> CertificateTemplate {
        self.authority
            .leaf_template(properties, &self.spki, freshness, NOW)
    }

    fn object(&self) -> Vec<u8> {
        let chain = self.chain(&Sha256::digest(TOKEN));
        Chain { chain }.attestation_object()
    }

    /// A recording with the verdict that the verifier gives.
    fn record(&self, evidence: Evidence) -> Recording {
        let time = Time::from_seconds(NOW).unwrap();
        let mut contents = Contents::new(time, evidence, Claims::refused("not-judged"));
        let unjudged = Recording::new(contents.clone()).unwrap();
        contents.claims = unjudged.judge(&self.verifier, NOW);
        let recording = Recording::new(contents).unwrap();
        Recording::parse(recording.to_json().as_bytes()).unwrap()
    }

    fn acme(&self) -> Recording {
        self.record(acme(
            Answer::Object(self.object()),
            Attribute::Serial,
            SERIAL,
        ))
    }

    fn information(&self, answered: &[u8], nonces: &[(&[u8], u64)]) -> Recording {
        let nonces = nonces
            .iter()
            .map(|(nonce, sent)| SentNonce::new(nonce, *sent).unwrap())
            .collect();
        let answer = DeviceInformationAnswer::new(nonces, self.chain(answered));
        self.record(Evidence::DeviceInformation(answer))
    }

    fn fields(&self, recording: &Recording, now: u64) -> Vec<&'static str> {
        let judged = recording.judge(&self.verifier, now);
        let differences = recording.differences(&judged);
        differences.iter().map(|one| one.field).collect()
    }
}

fn acme(answer: Answer, attribute: Attribute, value: &str) -> Evidence {
    let identifier = WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: value.to_owned(),
    };
    let admission = Admission::new(Rule::Listed, attribute, value);
    Evidence::Acme(Box::new(Acme::new(TOKEN, identifier, admission, answer)))
}

fn change(recording: &Recording, change: impl FnOnce(&mut Contents)) -> Recording {
    let mut contents = recording.contents().clone();
    change(&mut contents);
    Recording::new(contents).unwrap()
}

fn verdict(recording: &Recording) -> String {
    recording.contents().claims.verdict.to_string()
}

#[test]
fn scenario_122_a_recording_is_judged_the_same_again() {
    let bench = Bench::new();
    let recording = bench.acme();
    assert_eq!(verdict(&recording), "accepted");
    let facts = recording.contents().claims.facts.as_ref().unwrap();
    assert_eq!(facts.serial.as_deref(), Some(SERIAL));
    assert_eq!(facts.udid.as_deref(), Some(UDID));
    assert_eq!(facts.sip.as_deref(), Some("enabled"));
    assert_eq!(facts.kernel_extensions.as_deref(), Some("not allowed"));
    assert_eq!(facts.spki_sha256, hex::encode(Sha256::digest(&bench.spki)));
    assert_eq!(
        recording.contents().claims.root_sha256,
        Some(hex::encode(Sha256::digest(bench.authority.root_der())))
    );
    for _ in 0..2 {
        assert_eq!(bench.fields(&recording, NOW), [""; 0]);
    }
}

#[test]
fn scenario_122_todays_clock_makes_old_evidence_expire() {
    let bench = Bench::new();
    let recording = bench.acme();
    let judged = recording.judge(&bench.verifier, NOW + 365 * DAY);
    assert_eq!(judged, Claims::refused("expired"));
    assert_eq!(
        bench.fields(&recording, NOW + 365 * DAY),
        ["verdict.outcome", "verdict.reason", "facts", "root_sha256"]
    );
}

#[test]
fn what_is_recorded_of_the_evidence_decides_and_not_what_is_claimed() {
    let bench = Bench::new();
    let recording = bench.acme();
    let refused = ["verdict.outcome", "verdict.reason", "facts", "root_sha256"];
    let with = |change: fn(&mut Acme)| {
        self::change(&recording, |contents| {
            if let Evidence::Acme(acme) = &mut contents.evidence {
                change(acme);
            }
        })
    };
    let token = with(|acme| acme.token.replace_range(0..1, "N"));
    assert_eq!(bench.fields(&token, NOW), refused);
    assert_eq!(
        token.judge(&bench.verifier, NOW),
        Claims::refused("freshness-mismatch")
    );
    let object = with(|acme| {
        if let Answer::Object(object) = &mut acme.answer {
            *object.last_mut().unwrap() ^= 1;
        }
    });
    assert_eq!(bench.fields(&object, NOW), refused);
    let value = with(|acme| acme.admission.value = "C02OTHER".to_owned());
    assert_eq!(
        bench.fields(&value, NOW),
        ["verdict.outcome", "verdict.reason"]
    );
    let fact = change(&recording, |contents| {
        contents.claims.facts.as_mut().unwrap().model = Some("J999AP".to_owned());
    });
    assert_eq!(bench.fields(&fact, NOW), ["facts.model"]);
}

#[test]
fn scenario_22_evidence_of_another_device_keeps_its_facts() {
    let bench = Bench::new();
    let object = || Answer::Object(bench.object());
    let other = bench.record(acme(object(), Attribute::Serial, "C02OTHER"));
    assert_eq!(verdict(&other), "refused: identifier-mismatch");
    let facts = other.contents().claims.facts.as_ref().unwrap();
    assert_eq!(facts.serial.as_deref(), Some(SERIAL));
    // The serial is no UDID, and the other way round.
    let crossed = bench.record(acme(object(), Attribute::Udid, SERIAL));
    assert_eq!(verdict(&crossed), "refused: identifier-mismatch");
    let leaf = bench.leaf(&DeviceProperties::default(), &Sha256::digest(TOKEN));
    let chain = vec![
        leaf.sign(bench.authority.sub_key()).unwrap(),
        bench.authority.sub_der().to_vec(),
    ];
    let anonymous = Chain { chain }.attestation_object();
    for (attribute, reason) in [
        (Attribute::Serial, "refused: serial-not-attested"),
        (Attribute::Udid, "refused: udid-not-attested"),
    ] {
        let answer = Answer::Object(anonymous.clone());
        assert_eq!(
            verdict(&bench.record(acme(answer, attribute, SERIAL))),
            reason
        );
    }
}

#[test]
fn scenario_49_a_device_that_could_not_attest() {
    let bench = Bench::new();
    let answer = Answer::DeviceError("no attestation service".to_owned());
    let recording = bench.record(acme(answer, Attribute::Serial, SERIAL));
    assert_eq!(
        recording.contents().claims,
        Claims::refused("device-could-not-attest")
    );
    let empty = bench.record(acme(Answer::Object(Vec::new()), Attribute::Serial, SERIAL));
    assert_eq!(empty.contents().claims, Claims::refused("object-empty"));
}

#[test]
fn scenario_121_device_information_is_fresh_or_cached_or_refused() {
    let bench = Bench::new();
    let fresh = bench.information(b"latest", &[(b"earlier", NOW - DAY), (b"latest", NOW - 9)]);
    let claims = &fresh.contents().claims;
    assert_eq!(claims.verdict, Verdict::accepted_as(Freshness::Fresh));
    assert!(claims.facts.is_some() && claims.root_sha256.is_some());
    assert_eq!(bench.fields(&fresh, NOW), [""; 0]);
    let nonces: &[(&[u8], u64)] = &[(b"earlier", NOW - DAY), (b"latest", NOW - 9)];
    let cached = bench.information(b"earlier", nonces);
    assert_eq!(verdict(&cached), "accepted, cached");
    let foreign = bench.information(b"another's", nonces);
    assert_eq!(verdict(&foreign), "refused: freshness-mismatch");
    let old = bench.information(b"old", &[(b"old", NOW - 7 * DAY)]);
    assert_eq!(verdict(&old), "refused: freshness-expired");
}

#[test]
fn a_root_that_a_file_brings_is_nobodys_unless_it_is_taken() {
    let bench = Bench::new();
    let recording = change(&bench.acme(), |contents| {
        contents.embedded_root = Some(bench.authority.root_der().to_vec());
    });
    let apple = Verifier::new(vec![TrustAnchor::apple()], Box::new(AwsLc));
    assert_eq!(
        recording.judge(&apple, NOW),
        Claims::refused("unknown-anchor")
    );
    let root = recording.embedded_root().unwrap();
    let taken = vec![TrustAnchor::laboratory(root, "from the file").unwrap()];
    let judged = recording.judge(&Verifier::new(taken, Box::new(AwsLc)), NOW);
    assert_eq!(recording.differences(&judged), []);
}

/// The recordings of testdata, whose verdicts and facts stand in the simulator's own tables.
#[test]
fn every_committed_recording_is_judged_as_it_says_by_both_back_ends() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/recordings");
    let root = fs::read(home.join("laboratory-root.pem")).unwrap();
    let (_, root) = pem_rfc7468::decode_vec(&root).unwrap();
    let backends: [Box<dyn SignatureVerifier>; 2] = [Box::new(RustCrypto), Box::new(AwsLc)];
    let verifiers = backends.map(|backend| {
        let laboratory = TrustAnchor::laboratory(&root, "test laboratory").unwrap();
        Verifier::new(vec![TrustAnchor::apple(), laboratory], backend)
    });
    let mut seen = 0;
    let first = home.with_file_name("recordings-format-1");
    let folders = [home, first].map(|folder| fs::read_dir(folder).unwrap());
    for entry in folders.into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file = fs::read(&path).unwrap();
        let recording = Recording::parse(&file).unwrap();
        assert_eq!(recording.to_json().into_bytes(), file, "{}", path.display());
        for verifier in &verifiers {
            let judged = recording.judge(verifier, recording.time().seconds());
            let differences = recording.differences(&judged);
            assert_eq!(differences, [], "{}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 90, "only {seen} recordings");
}

#[test]
fn a_refusal_has_the_check_that_failed_and_its_detail() {
    let bench = Bench::new();
    let judge = |recording: &Recording, now| {
        let judgement = recording.judge_with_finding(&bench.verifier, now);
        assert_eq!(judgement.claims, recording.judge(&bench.verifier, now));
        judgement
    };
    assert_eq!(judge(&bench.acme(), NOW).finding, None);
    let nonces: &[(&[u8], u64)] = &[(b"latest", NOW - 9)];
    let fresh = bench.information(b"latest", nonces);
    assert_eq!(judge(&fresh, NOW).finding, None);

    let object = || Answer::Object(bench.object());
    let other = bench.record(acme(object(), Attribute::Udid, "other"));
    let sorry = Answer::DeviceError("no\nway".to_owned());
    let sorry = bench.record(acme(sorry, Attribute::Serial, SERIAL));
    let empty = bench.record(acme(Answer::Object(Vec::new()), Attribute::Serial, SERIAL));
    let year = NOW + 365 * DAY;
    let mismatch = format!("the attested UDID is \"{UDID}\", the admitted one is \"other\"");
    for (recording, now, check, detail) in [
        (&bench.acme(), year, "validity", "certificate 0"),
        (&other, NOW, "identity", mismatch.as_str()),
        (
            &sorry,
            NOW,
            "device-error",
            "instead of evidence the device sent the error \"no\\nway\"",
        ),
        (&empty, NOW, "object", ""),
        (
            &bench.information(b"another's", nonces),
            NOW,
            "freshness",
            "certificate 0",
        ),
    ] {
        let judgement = judge(recording, now);
        let finding = judgement.finding.unwrap();
        assert_eq!(finding.check, check);
        assert!(!finding.sentence.is_empty() && !finding.sentence.ends_with('.'));
        assert_eq!(
            Some(finding.reason),
            judgement.claims.verdict.reason.as_deref()
        );
        assert!(finding.detail.starts_with(detail), "{}", finding.detail);
    }
}

#[test]
fn facts_are_listed_as_the_file_names_them() {
    let bench = Bench::new();
    let recording = bench.acme();
    let mut facts = recording.contents().claims.facts.clone().unwrap();
    let texts = facts.texts();
    assert_eq!(texts[0], ("serial", SERIAL.to_owned()));
    assert_eq!(texts[1], ("udid", UDID.to_owned()));
    assert!(texts.contains(&("key", "p256".to_owned())));
    // What is not attested is not listed.
    assert!(texts.iter().all(|(key, _)| *key != "unknown_extensions"));
    facts.serial = None;
    assert_eq!(facts.texts()[0].0, "udid");
}
