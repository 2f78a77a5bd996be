//! An enrolment that was recorded in a laboratory, years ago.

use std::path::{Path, PathBuf};

use assay_attest::Attribute;
use assay_proto::WireIdentifier;
use assay_recording::{
    Acme, Admission, Answer, Claims, Contents, Evidence, Recording, Rule, Time, Verdict,
};
use assay_simulator::{CsrRequest, Device, authority::AttestationAuthority};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::mac;

/// A device that enrolled, and the folder that its recordings are put into.
pub(crate) struct Recorded {
    pub(crate) device: Device,
    authority: AttestationAuthority,
    folder: TempDir,
}

impl Recorded {
    /// 2023-11-14T22:13:20Z.
    pub(crate) const TIME: u64 = 1_700_000_000;
    pub(crate) const SERIAL: &str = "C02REPLAY01";
    pub(crate) const TOKEN: &str = "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw";

    pub(crate) fn new() -> Self {
        Self {
            device: mac(Self::SERIAL),
            authority: AttestationAuthority::create(Self::TIME).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the device answered to the token.
    pub(crate) fn object(&self) -> Vec<u8> {
        let freshness = Sha256::digest(Self::TOKEN);
        let spki = self.device.spki_der();
        let properties = &self.device.properties;
        (self.authority)
            .attest(properties, &spki, &freshness, Self::TIME)
            .unwrap()
            .attestation_object()
    }

    pub(crate) fn csr(&self) -> Vec<u8> {
        self.device.csr(&CsrRequest::default()).unwrap()
    }

    /// The recording of the enrolment as it went well.
    pub(crate) fn acme(&self) -> Acme {
        let identifier = WireIdentifier {
            kind: "permanent-identifier".to_owned(),
            value: Self::SERIAL.to_owned(),
        };
        let admission = Admission::new(Rule::Listed, Attribute::Serial, Self::SERIAL);
        let answer = Answer::Object(self.object());
        let mut acme = Acme::new(Self::TOKEN, identifier, admission, answer);
        acme.account = Some([7; 32]);
        acme.csr = Some(self.csr());
        acme
    }

    /// Writes a recording with the authority's root in it.
    pub(crate) fn write(&self, name: &str, evidence: Evidence, verdict: Verdict) -> PathBuf {
        let time = Time::from_seconds(Self::TIME).unwrap();
        let mut contents = Contents::new(time, evidence, Claims::of_verdict(verdict));
        contents.embedded_root = Some(self.authority.root_der().to_vec());
        let recording = Recording::new(contents).unwrap();
        let path = self.folder().join(name);
        std::fs::write(&path, recording.to_json()).unwrap();
        path
    }

    /// Writes the recording of the enrolment as it went well.
    pub(crate) fn write_good(&self, name: &str) -> PathBuf {
        let evidence = Evidence::Acme(Box::new(self.acme()));
        self.write(name, evidence, Verdict::accepted())
    }
}
