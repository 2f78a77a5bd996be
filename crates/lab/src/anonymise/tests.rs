use assay_attest::{Attribute, SentNonce};
use assay_proto::WireIdentifier;
use assay_recording::{
    Acme, Admission, CertificateFacts, Issuance, RecordedProfile, Rule, Time, Verdict,
};
use assay_simulator::{
    CsrRequest, Device, KeyType,
    authority::AttestationAuthority,
    corpus,
    evidence::{DeviceProperties, Evidence as Chain, Extension, oids},
};

use super::{invent::tests::with_random, *};

const SERIAL: &str = "C02XK0AAJHD2";
const UDID: &str = "00008112-000A1B2C3D4E5F60";
const TIME: u64 = 1_795_000_000;
const TOKEN: &str = "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw";

/// Trusts Apple's root and this one.
fn verifier(root: Option<&[u8]>) -> Verifier {
    let own = root.map(|root| TrustAnchor::laboratory(root, "a laboratory").unwrap());
    let anchors = [TrustAnchor::apple()].into_iter().chain(own).collect();
    Verifier::new(anchors, Box::new(AwsLc))
}

/// The judgement of a recording, under its own root.
fn judge(recording: &Recording) -> Claims {
    let verifier = verifier(recording.embedded_root());
    recording.judge(&verifier, recording.time().seconds())
}

/// The recording with the claims of its new judgement.
fn truthful(mut contents: Contents) -> Recording {
    contents.claims = judge(&Recording::new(contents.clone()).unwrap());
    Recording::new(contents).unwrap()
}

/// Anonymised under its own root, at its time.
fn try_anonymise(recording: &Recording, start: u64) -> anyhow::Result<Anonymised> {
    let verifier = verifier(recording.embedded_root());
    let at = recording.time().seconds();
    with_random(start, |random| anonymise(recording, &verifier, at, random))
}

fn anonymised(recording: &Recording) -> Anonymised {
    try_anonymise(recording, 0).unwrap()
}

fn refusal(recording: &Recording) -> String {
    match try_anonymise(recording, 0) {
        Ok(_) => panic!("it was anonymised"),
        Err(error) => error.to_string(),
    }
}

/// A laboratory and its one device.
struct Laboratory {
    authority: AttestationAuthority,
    device: Device,
}

impl Laboratory {
    fn of(properties: DeviceProperties) -> Self {
        Self {
            authority: AttestationAuthority::from_seed(b"tests", TIME).unwrap(),
            device: Device::from_seed(properties, KeyType::P256, b"tests").unwrap(),
        }
    }

    fn new() -> Self {
        Self::of(DeviceProperties::mac(SERIAL, UDID))
    }

    /// The device's evidence, after a change of its leaf.
    fn chain(
        &self,
        freshness: &[u8],
        change: impl FnOnce(&mut assay_simulator::evidence::CertificateTemplate),
    ) -> Vec<Vec<u8>> {
        let spki = self.device.spki_der();
        let properties = &self.device.properties;
        let mut leaf = (self.authority).leaf_template(properties, &spki, freshness, TIME);
        change(&mut leaf);
        let leaf = leaf.sign(self.authority.sub_key()).unwrap();
        vec![leaf, self.authority.sub_der().to_vec()]
    }

    fn object(
        &self,
        change: impl FnOnce(&mut assay_simulator::evidence::CertificateTemplate),
    ) -> Answer {
        let chain = self.chain(&Sha256::digest(TOKEN), change);
        Answer::Object(Chain { chain }.attestation_object())
    }

    fn contents(&self, evidence: Evidence) -> Contents {
        let time = Time::from_seconds(TIME).unwrap();
        let mut contents = Contents::new(time, evidence, Claims::refused("to be judged"));
        contents.embedded_root = Some(self.authority.root_der().to_vec());
        contents.note = Some("the device of Alice".to_owned());
        contents.labels = vec!["accepted".to_owned()];
        contents
    }

    fn acme(&self, attribute: Attribute, value: &str, answer: Answer) -> Acme {
        let identifier = WireIdentifier {
            kind: "permanent-identifier".to_owned(),
            value: format!("{value}/1.2.840.113635"),
        };
        let admission = Admission::new(Rule::Listed, attribute, value);
        let mut acme = Acme::new(TOKEN, identifier, admission, answer);
        acme.account = Some([7; 32]);
        acme.admission.rule_name = Some("fleet of Alice".to_owned());
        acme.profile = Some(RecordedProfile::new("alice", None));
        acme
    }

    fn recording(&self, acme: Acme) -> Recording {
        truthful(self.contents(Evidence::Acme(Box::new(acme))))
    }
}

fn acme_of(recording: &Recording) -> &Acme {
    match &recording.contents().evidence {
        Evidence::Acme(acme) => acme,
        Evidence::DeviceInformation(_) => panic!("not of ACME"),
    }
}

fn means(anonymised: &Anonymised, check: &str) -> (Option<String>, Means) {
    let found = anonymised.meanings.iter().find(|one| one.check == check);
    let found = found.unwrap_or_else(|| panic!("{check} is not told of"));
    (found.outcome.clone(), found.means)
}

#[test]
fn the_same_random_bytes_make_the_same_file_and_others_make_another() {
    let laboratory = Laboratory::new();
    let answer = laboratory.object(|_| {});
    let recording = laboratory.recording(laboratory.acme(Attribute::Serial, SERIAL, answer));
    let make = |start| {
        try_anonymise(&recording, start)
            .unwrap()
            .recording
            .to_json()
    };
    assert_eq!(make(0), make(0));
    assert_ne!(make(0), make(1));
}

#[test]
fn scenario_124_every_recording_of_the_corpus_keeps_its_verdict_check_by_check() {
    let given = corpus::authority().unwrap().root_der().to_vec();
    let mut forged = 0;
    let mut count = 0;
    for file in corpus::recordings().unwrap() {
        if !file.path.ends_with(".json") {
            continue;
        }
        let old = Recording::parse(&file.bytes).unwrap();
        // Those without a root of their own are judged under one that is given.
        let judges = verifier(Some(old.embedded_root().unwrap_or(&given)));
        let at = old.time().seconds();
        let made = with_random(count, |random| anonymise(&old, &judges, at, random))
            .unwrap_or_else(|error| panic!("{}: {error:#}", file.path));
        let new = Recording::parse(made.recording.to_json().as_bytes()).unwrap();
        let own = verifier(new.embedded_root());
        let claims = new.judge(&own, at);
        assert!(new.differences(&claims).is_empty(), "{}", file.path);
        let before = old.judge(&judges, at);
        assert_eq!(claims.verdict, before.verdict, "{}", file.path);
        let (checks, again) = (old.checks(&judges, at), new.checks(&own, at));
        assert_eq!(checks, again, "{}", file.path);
        count += 1;
        forged += u32::from(matches!(made.way, Way::Forged(_)));
    }
    assert!(count > 40 && forged > 10, "{count}, {forged} forged");
}

#[test]
fn scenario_124_properties_validity_and_structure_stay() {
    let laboratory = Laboratory::new();
    let mut acme = laboratory.acme(
        Attribute::Udid,
        UDID,
        laboratory.object(|leaf| {
            leaf.not_before = TIME - 77;
            leaf.not_after = TIME + 88;
            leaf.set_extension(oids::SIP, b"\x02\x01\x01");
            leaf.extensions.swap(2, 5);
        }),
    );
    acme.csr = Some(laboratory.device.csr(&CsrRequest::default()).unwrap());
    let hash = HEXLOWER.encode(&Sha256::digest(laboratory.device.spki_der()));
    let mut certificate = CertificateFacts::new(hash, 900);
    certificate.subject = "CN=the device of Alice".to_owned();
    acme.issuance = Some(Issuance::issued(Some(certificate)));
    let recording = laboratory.recording(acme);
    let made = anonymised(&recording);
    let (old, new) = (recording.contents(), made.recording.contents());
    assert_eq!(new.time, old.time);
    assert_eq!(new.claims.verdict, Verdict::accepted());
    let (facts, was) = (
        new.claims.facts.clone().unwrap(),
        old.claims.facts.clone().unwrap(),
    );
    let mut same = facts.clone();
    same.serial.clone_from(&was.serial);
    same.udid.clone_from(&was.udid);
    same.spki_sha256.clone_from(&was.spki_sha256);
    assert_eq!(same, was);
    assert_eq!((new.note.clone(), new.labels.len()), (None, 0));
    assert!(!made.recording.to_json().to_lowercase().contains("alice"));
    let issuance = acme_of(&made.recording).issuance.clone();
    assert_eq!(issuance, Some(Issuance::issued(None)));
    assert_ne!(facts.spki_sha256, was.spki_sha256);
    let (acme, had) = (acme_of(&made.recording), acme_of(&recording));
    let udid = facts.udid.unwrap();
    assert_eq!(acme.admission.value, udid);
    assert_eq!(acme.identifier.value, format!("{udid}/1.2.840.113635"));
    assert_eq!(acme.token.len(), had.token.len());
    assert!(
        data_encoding::BASE64URL_NOPAD
            .decode(acme.token.as_bytes())
            .is_ok()
    );
    let oids = |acme: &Acme| match &acme.answer {
        Answer::Object(object) => {
            let object = assay_attest::UnverifiedObject::decode(object).unwrap();
            let leaf = object.certificates[0].as_ref().unwrap();
            let oid = |one: &assay_attest::UnverifiedExtension| (one.oid.clone(), one.critical);
            leaf.extensions.iter().map(oid).collect::<Vec<_>>()
        }
        Answer::DeviceError(_) => panic!("no object"),
    };
    assert_eq!(oids(acme), oids(had));
    let csr = assay_ca::Csr::parse(acme.csr.as_ref().unwrap()).unwrap();
    assert_eq!(HEXLOWER.encode(csr.spki_sha256()), facts.spki_sha256);

    let passed = |means| (Some("passed".to_owned()), means);
    for check in [
        "chain",
        "properties",
        "key",
        "freshness",
        "validity",
        "path",
        "identity",
    ] {
        assert_eq!(means(&made, check), passed(Means::Same), "{check}");
    }
    for check in ["object", "certificates", "anchor", "signatures"] {
        assert_eq!(means(&made, check), passed(Means::Else), "{check}");
    }
    assert_eq!(means(&made, "csr"), (None, Means::Else));
}

#[test]
fn scenario_124_a_csr_of_another_key_stays_one() {
    let laboratory = Laboratory::new();
    let mut acme = laboratory.acme(Attribute::Serial, SERIAL, laboratory.object(|_| {}));
    let other = Device::new(DeviceProperties::default(), KeyType::P256).unwrap();
    acme.csr = Some(other.csr(&CsrRequest::default()).unwrap());
    let recording = laboratory.recording(acme.clone());
    let made = anonymised(&recording);
    let csr = acme_of(&made.recording).csr.clone().unwrap();
    let csr = assay_ca::Csr::parse(&csr).unwrap();
    let facts = made.recording.contents().claims.facts.clone().unwrap();
    assert_ne!(HEXLOWER.encode(csr.spki_sha256()), facts.spki_sha256);

    acme.csr = Some(vec![0x30, 0]);
    let made = anonymised(&laboratory.recording(acme));
    assert_eq!(acme_of(&made.recording).csr, None);
    assert_eq!(means(&made, "csr"), (None, Means::Else));
}

#[test]
fn scenario_124_undocumented_extensions_are_left_out_and_that_is_said() {
    let laboratory = Laboratory::new();
    let answer = laboratory.object(|leaf| {
        leaf.extensions
            .push(Extension::new("1.2.840.113635.100.8.9.3", b"who knows"));
        leaf.extensions.push(Extension::new("1.2.3", b"nobody"));
    });
    let made =
        anonymised(&laboratory.recording(laboratory.acme(Attribute::Serial, SERIAL, answer)));
    let Way::Rebuilt { left_out } = &made.way else {
        panic!("forged");
    };
    assert_eq!(left_out, &["1.2.840.113635.100.8.9.3", "1.2.3"]);
    assert_eq!(means(&made, "properties").1, Means::Else);
    let facts = made.recording.contents().claims.facts.clone().unwrap();
    assert_eq!(facts.unknown_extensions, []);
}

#[test]
fn what_repeats_a_name_where_it_cannot_be_replaced_is_not_anonymised() {
    // The second is so short that it may occur elsewhere by coincidence, but not here.
    for serial in [SERIAL, "AB12"] {
        let laboratory = Laboratory::of(DeviceProperties {
            model: Some(format!("Mac of {}", serial.to_lowercase())),
            ..DeviceProperties::mac(serial, UDID)
        });
        let answer = laboratory.object(|_| {});
        assert_eq!(
            refusal(&laboratory.recording(laboratory.acme(Attribute::Udid, UDID, answer))),
            "the serial number or UDID stands in another place of it too, where it cannot be replaced"
        );
    }
}

/// What was ordered is a name too, whatever the leaf says.
#[test]
fn an_ordered_name_in_a_text_that_is_kept_is_not_anonymised() {
    for ordered in ["J413A", "j413"] {
        let laboratory = Laboratory::of(DeviceProperties {
            model: Some("J413AP".to_owned()),
            ..DeviceProperties::mac(SERIAL, UDID)
        });
        let answer = laboratory.object(|_| {});
        let acme = laboratory.acme(Attribute::Serial, ordered, answer);
        assert_eq!(
            refusal(&laboratory.recording(acme)),
            "the identifier stands in another place of it too, where it cannot be replaced"
        );
    }
}

#[test]
fn what_claims_another_verdict_is_not_anonymised() {
    let laboratory = Laboratory::new();
    let acme = laboratory.acme(Attribute::Serial, SERIAL, laboratory.object(|_| {}));
    let mut contents = laboratory.contents(Evidence::Acme(Box::new(acme)));
    contents.claims = Claims::refused("expired");
    assert_eq!(
        refusal(&Recording::new(contents).unwrap()),
        "its replay differs from its recorded verdict, and only a true one is anonymised: \
         verdict.outcome: recorded \"refused\", replayed \"accepted\""
    );
}

#[test]
fn what_no_name_can_stand_for_and_what_is_no_identifier_is_not_anonymised() {
    let laboratory = Laboratory::new();
    let mut acme = laboratory.acme(Attribute::Serial, "-", laboratory.object(|_| {}));
    assert_eq!(
        refusal(&laboratory.recording(acme.clone())),
        "a value is so short that nothing else can stand for it"
    );
    acme.identifier.kind = "name".to_owned();
    assert_eq!(
        refusal(&laboratory.recording(acme)),
        "\"identifier\" may say anything, so nothing else says the same"
    );
}

fn information(certificates: Vec<Vec<u8>>, sent: u64) -> Evidence {
    let nonces = vec![SentNonce::new(b"a nonce of some length", sent).unwrap()];
    Evidence::DeviceInformation(DeviceInformationAnswer::new(nonces, certificates))
}

#[test]
fn scenario_124_a_leaf_that_cannot_be_read_is_replaced_by_one_that_cannot() {
    let laboratory = Laboratory::new();
    let evidence = information(vec![b"not a certificate".to_vec(), vec![0; 3]], TIME - 5);
    let made = anonymised(&truthful(laboratory.contents(evidence)));
    assert!(matches!(made.way, Way::Forged(fault) if fault.name() == "leaf-garbage"));
    assert_eq!(
        means(&made, "certificates"),
        (Some("failed".to_owned()), Means::Else)
    );
    assert_eq!(
        means(&made, "freshness"),
        (Some("not reached".to_owned()), Means::NotReached)
    );
}

#[test]
fn scenario_124_what_nothing_can_stand_for_is_refused() {
    // The nonce is too old, and a part of the leaf that nobody looked at then
    // cannot be decoded.
    let laboratory = Laboratory::new();
    let chain = laboratory.chain(b"a nonce of some length", |leaf| {
        leaf.set_extension("2.5.29.19", b"CA");
    });
    let recording = truthful(laboratory.contents(information(chain, TIME - 8 * 86_400)));
    let reason = recording.contents().claims.verdict.reason.clone();
    assert_eq!(reason.as_deref(), Some("freshness-expired"));
    assert_eq!(
        refusal(&recording),
        "nothing stands for this evidence: the leaf cannot be made again, \
         and no fault that can be forged is judged the same"
    );
}

#[test]
fn scenario_124_a_fault_of_the_path_is_forged_anew_and_named() {
    let laboratory = Laboratory::new();
    let answer = laboratory.object(|leaf| {
        leaf.extensions
            .push(Extension::new("1.2.3.4", b"").critical());
    });
    let recording = laboratory.recording(laboratory.acme(Attribute::Serial, SERIAL, answer));
    let reason = recording.contents().claims.verdict.reason.clone();
    assert_eq!(reason.as_deref(), Some("unknown-critical-extension"));
    let made = anonymised(&recording);
    assert!(matches!(made.way, Way::Forged(fault) if fault.name() == "unknown-critical-extension"));
    let path = made
        .meanings
        .iter()
        .find(|one| one.check == "path")
        .unwrap();
    assert_eq!(
        path.why,
        "refused for the same reason (unknown-critical-extension), by the simulator's fault \
         unknown-critical-extension: The leaf has an unknown critical extension. \
         The original's may have been another"
    );
    assert_eq!(means(&made, "freshness").1, Means::Same);
    assert_eq!(means(&made, "validity").1, Means::Else);
}
