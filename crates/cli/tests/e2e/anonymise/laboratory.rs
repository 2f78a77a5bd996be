//! Recordings of a laboratory, and what is left of one in its successor.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use assay_attest::{Attribute, RustCrypto, SentNonce, TrustAnchor, Verifier};
use assay_proto::WireIdentifier;
use assay_recording::{
    Acme, Admission, Answer, CertificateFacts, Claims, Contents, DeviceInformationAnswer, Evidence,
    Issuance, RecordedProfile, Recording, Rule, Time,
};
use assay_simulator::{
    CsrRequest, Device, KeyType, SubjectAltName,
    authority::AttestationAuthority,
    evidence::{CertificateTemplate, DeviceProperties, Evidence as Chain},
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::{assay, json_of};

pub(super) const TIME: u64 = 1_795_000_000;
pub(super) const DAY: u64 = 86_400;
pub(super) const SERIAL: &str = "C02XK0AAJHD2";
pub(super) const UDID: &str = "00008112-000A1B2C3D4E5F60";
pub(super) const TOKEN: &str = "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw";
pub(super) const SORRY: &str = "the Mac of Mallory is not managed";
pub(super) const SUBJECT: &str = "mallory.example";
pub(super) const MONDAY: &[u8] = b"the nonce that was sent on Monday";
pub(super) const TUESDAY: &[u8] = b"and the other one on Tuesday";

/// A laboratory, its device, and a folder for recordings.
pub(super) struct Laboratory {
    authority: AttestationAuthority,
    device: Device,
    folder: TempDir,
}

impl Laboratory {
    pub(super) fn of(properties: DeviceProperties, key: KeyType) -> Self {
        Self {
            authority: AttestationAuthority::create(TIME).unwrap(),
            device: Device::new(properties, key).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn mac() -> Self {
        Self::of(DeviceProperties::mac(SERIAL, UDID), KeyType::P256)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn chain(&self, code: &[u8], change: impl FnOnce(&mut CertificateTemplate)) -> Vec<Vec<u8>> {
        let spki = self.device.spki_der();
        let properties = &self.device.properties;
        let mut leaf = (self.authority).leaf_template(properties, &spki, code, TIME);
        change(&mut leaf);
        let leaf = leaf.sign(self.authority.sub_key()).unwrap();
        vec![leaf, self.authority.sub_der().to_vec()]
    }

    pub(super) fn object(&self, change: impl FnOnce(&mut CertificateTemplate)) -> Answer {
        let chain = self.chain(&Sha256::digest(TOKEN), change);
        Answer::Object(Chain { chain }.attestation_object())
    }

    /// Records the answer as a server with this laboratory's root judges it.
    fn record(&self, evidence: Evidence) -> Claims {
        let root = self.authority.root_der();
        let time = Time::from_seconds(TIME).unwrap();
        let mut contents = Contents::new(time, evidence, Claims::refused("to be judged"));
        contents.embedded_root = Some(root.to_vec());
        contents.note = Some(SUBJECT.to_owned());
        contents.labels = vec![SUBJECT.to_owned()];
        let roots = vec![TrustAnchor::laboratory(root, "laboratory").unwrap()];
        let verifier = Verifier::new(roots, Box::new(RustCrypto));
        let recording = Recording::new(contents.clone()).unwrap();
        contents.claims = recording.judge(&verifier, TIME);
        let claims = contents.claims.clone();
        let recording = Recording::new(contents).unwrap();
        fs::write(self.path("in.json"), recording.to_json()).unwrap();
        fs::write(self.path("root.pem"), self.authority.root_pem()).unwrap();
        claims
    }

    pub(super) fn acme(
        &self,
        attribute: Attribute,
        value: &str,
        answer: Answer,
        csr: bool,
    ) -> Claims {
        let csr = csr.then(|| {
            let request = CsrRequest {
                common_name: SUBJECT.to_owned(),
                names: vec![SubjectAltName::Dns(SUBJECT.to_owned())],
            };
            self.device.csr(&request).unwrap()
        });
        let identifier = WireIdentifier {
            kind: "permanent-identifier".to_owned(),
            value: value.to_owned(),
        };
        let admission = Admission::new(Rule::Listed, attribute, value);
        let mut acme = Acme::new(TOKEN, identifier, admission, answer);
        acme.account = Some([7; 32]);
        acme.csr = csr;
        if acme.csr.is_some() {
            let spki = Sha256::digest(self.device.spki_der());
            let mut certificate = CertificateFacts::new(HEXLOWER.encode(&spki), 900);
            certificate.subject = format!("CN={SUBJECT}");
            certificate.names = vec![format!("permanent-identifier:{value}")];
            acme.issuance = Some(Issuance::issued(Some(certificate)));
            acme.profile = Some(RecordedProfile::new(SUBJECT, None));
        }
        self.record(Evidence::Acme(Box::new(acme)))
    }

    pub(super) fn information(&self, code: &[u8]) -> Claims {
        let sent = |nonce, at| SentNonce::new(nonce, at).unwrap();
        self.record(Evidence::DeviceInformation(DeviceInformationAnswer::new(
            vec![sent(&MONDAY[..32], TIME - DAY), sent(TUESDAY, TIME - 60)],
            self.chain(code, |_| {}),
        )))
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        let mut command = assay();
        command.args(["recording", "anonymise"]).args(args);
        command.current_dir(self.folder.path());
        command.output().unwrap()
    }

    /// Anonymises what was recorded; the original stays, the new file is its
    /// owner's alone, replays the same and holds nothing of the original.
    pub(super) fn anonymise(&self, claims: &Claims, verdict: &str) -> (Value, Recording) {
        assert_eq!(claims.verdict.to_string(), verdict);
        let before = fs::read(self.path("in.json")).unwrap();
        let told = json_of(&self.run(&["--json", "--root", "root.pem", "in.json", "out.json"]));
        assert_eq!(fs::read(self.path("in.json")).unwrap(), before);
        let out = self.path("out.json");
        let mode = fs::metadata(&out).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let mut replay = assay();
        replay.args(["replay", "--json", "--trust-embedded-roots"]);
        let replayed = json_of(&replay.arg(&out).output().unwrap());
        let result = &replayed["results"][0];
        assert_eq!(result["result"], "same");
        assert_eq!(result["embedded_root_trusted"], true);
        let expected = serde_json::to_value(&claims.verdict).unwrap();
        for verdict in [&result["replayed"], &result["recorded"], &told["verdict"]] {
            assert_eq!(verdict, &expected);
        }
        assert_eq!(self.left(&out), Vec::<String>::new());
        // The search finds what is there.
        assert!(!self.left(&self.path("in.json")).is_empty());
        (told, Recording::parse(&fs::read(out).unwrap()).unwrap())
    }

    /// What of the original stands in a file, in whatever encoding.
    fn left(&self, file: &Path) -> Vec<String> {
        let spki = self.device.spki_der();
        let root = self.authority.root_der();
        let needles: [&[u8]; 16] = [
            SERIAL.as_bytes(),
            UDID.as_bytes(),
            // The half of a UDID that is the device's own.
            b"000A1B2C3D4E5F60",
            TOKEN.as_bytes(),
            &Sha256::digest(TOKEN),
            &[7; 32],
            &MONDAY[..32],
            TUESDAY,
            SORRY.as_bytes(),
            SUBJECT.as_bytes(),
            &spki[spki.len() - 64..],
            &Sha256::digest(&spki),
            self.authority.sub_der(),
            &self.authority.sub_der()[200..],
            root,
            &Sha256::digest(root),
        ];
        let mut hay = Vec::new();
        let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        texts(&json, &mut hay);
        let decoded: Vec<_> = (hay.iter())
            .filter_map(|text| BASE64URL_NOPAD.decode(text).ok())
            .collect();
        assert!(decoded.iter().any(|bytes| bytes.len() > 300), "the root");
        hay.extend(decoded);
        let stands = |needle: &[u8]| {
            let needle = needle.to_ascii_lowercase();
            hay.iter().any(|hay| {
                let hay = hay.to_ascii_lowercase();
                hay.windows(needle.len()).any(|window| window == needle)
            })
        };
        let left = needles.into_iter().filter(|needle| {
            stands(needle)
                || stands(HEXLOWER.encode(needle).as_bytes())
                || stands(BASE64URL_NOPAD.encode(needle).as_bytes())
        });
        left.map(|needle| String::from_utf8_lossy(needle).into_owned())
            .collect()
    }
}

/// Every text in a JSON value.
fn texts(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => into.push(text.clone().into_bytes()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(entries) => entries.values().for_each(|item| texts(item, into)),
        _ => {}
    }
}
