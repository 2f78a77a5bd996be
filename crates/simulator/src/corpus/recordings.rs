//! The committed recordings. Their expected results are in this crate's own tables, so a verifier
//! that replays them is checked against an independent implementation.

mod wire;

use sha2::{Digest, Sha256};

use self::wire::{Claims, Facts, Judged, Recording};
use super::{CorpusError, CorpusFile, NOW, SERIAL, TOKEN, UDID, authority, device, file, forger};
use crate::{
    authority::AttestationAuthority,
    device::{CsrRequest, Device},
    evidence::{CertificateTemplate, DeviceProperties, Evidence, Extension},
    faults::{Fault, Forger, Outcome},
    key::KeyType,
};

const DAY: u64 = 86_400;

/// Larger objects only test a limit, which a smaller one does too.
const MAX_OBJECT: usize = 8 * 1024;

/// An undocumented Apple extension.
const UNDOCUMENTED: &str = "1.2.840.113635.100.8.9.3";

/// Every recording, ordered by name, and the attestation root (`laboratory-root.pem`).
///
/// # Errors
/// A key cannot sign.
pub fn recordings() -> Result<Vec<CorpusFile>, CorpusError> {
    let laboratory = Laboratory {
        authority: authority()?,
        files: Vec::new(),
    };
    let mut files = laboratory.all()?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

struct Laboratory {
    authority: AttestationAuthority,
    files: Vec<CorpusFile>,
}

impl Laboratory {
    fn all(mut self) -> Result<Vec<CorpusFile>, CorpusError> {
        let pem = self.authority.root_pem().as_bytes().to_vec();
        self.files.push(file("laboratory-root.pem", pem));
        for (name, properties) in DeviceProperties::platforms(SERIAL, UDID) {
            let device = device(properties, KeyType::P256)?;
            self.accepted(name, &device)?;
        }
        let mac = || DeviceProperties::mac(SERIAL, UDID);
        self.accepted("mac-p384", &device(mac(), KeyType::P384)?)?;
        self.unusual(&device(mac(), KeyType::P256)?)?;
        self.postures()?;
        self.faults(&device(mac(), KeyType::P256)?)?;
        self.device_information(&device(mac(), KeyType::P256)?)?;
        Ok(self.files)
    }

    /// The device enrols by its serial number and by its UDID; evidence that lacks the ordered one
    /// is refused.
    fn accepted(&mut self, name: &str, device: &Device) -> Result<(), CorpusError> {
        let forger = forger(&self.authority, device);
        let leaf = forger.leaf();
        let object = self.object(&leaf)?;
        let csr = device.csr(&CsrRequest {
            common_name: "device".to_owned(),
            names: Vec::new(),
        })?;
        let facts = facts(&device.properties, &leaf, &[]);
        let mut files = Vec::new();
        for (attribute, value, attested) in [
            ("serial", SERIAL, &device.properties.serial),
            ("udid", UDID, &device.properties.udid),
        ] {
            let judged = match attested {
                Some(_) => Judged::Accepted,
                None => Judged::Refused(match attribute {
                    "serial" => "serial-not-attested",
                    _ => "udid-not-attested",
                }),
            };
            let csr = attested.is_some().then_some(csr.as_slice());
            let claims = self.claims(judged, facts.clone());
            let mut recording = Recording::acme(attribute, value, &object, csr, claims);
            if csr.is_some() {
                recording = recording.issued(value, &Sha256::digest(&leaf.spki));
            }
            files.push(write(&format!("acme-{name}-by-{attribute}"), &recording)?);
        }
        self.files.extend(files);
        Ok(())
    }

    /// Rare evidence that verifies.
    fn unusual(&mut self, device: &Device) -> Result<(), CorpusError> {
        let mut leaf = forger(&self.authority, device).leaf();
        let (oid, value) = (UNDOCUMENTED, [1, 0xff]);
        leaf.extensions.push(Extension::new(oid, &value));
        let object = self.object(&leaf)?;
        let extensions = [(oid, value.as_slice())];
        let facts = facts(&device.properties, &leaf, &extensions);
        let claims = self.claims(Judged::Accepted, facts);
        let recording = Recording::acme("serial", SERIAL, &object, None, claims);
        self.files.push(write("acme-undocumented", &recording)?);

        let blank = DeviceProperties {
            serial: Some(" ".to_owned()),
            sip: None,
            ..device.properties.clone()
        };
        let read = DeviceProperties {
            serial: None,
            ..blank.clone()
        };
        let refused = Judged::Refused("serial-not-attested");
        self.identity("acme-blank-serial", &blank, &read, SERIAL, refused)?;
        let same = device.properties.clone();
        let mismatch = Judged::Refused("identifier-mismatch");
        self.identity("acme-other-device", &same, &same, "C02XK0AAJHD3", mismatch)?;
        let lower = SERIAL.to_lowercase();
        self.identity("acme-other-case", &same, &same, &lower, mismatch)?;

        let error = Recording::device_error("The device is not managed.");
        self.files.push(write("acme-device-error", &error)?);
        Ok(())
    }

    /// A Mac in each state that a policy can check.
    fn postures(&mut self) -> Result<(), CorpusError> {
        let mac = || DeviceProperties::mac(SERIAL, UDID);
        let secure_boot = |text: &str| DeviceProperties {
            secure_boot: Some(text.to_owned()),
            ..mac()
        };
        for (name, properties) in [
            (
                "sip-disabled",
                DeviceProperties {
                    sip: Some(1),
                    ..mac()
                },
            ),
            (
                "sip-undocumented",
                DeviceProperties {
                    sip: Some(2),
                    ..mac()
                },
            ),
            ("secure-boot-reduced", secure_boot("Reduced Security")),
            ("secure-boot-permissive", secure_boot("Permissive Security")),
            ("secure-boot-undocumented", secure_boot("Some Security")),
            (
                "kernel-extensions-allowed",
                DeviceProperties {
                    kernel_extensions: Some(1),
                    ..mac()
                },
            ),
        ] {
            let name = format!("acme-{name}");
            self.identity(&name, &properties, &properties, SERIAL, Judged::Accepted)?;
        }
        Ok(())
    }

    /// Evidence that states `properties`, of which a verifier reads `read`, for an order of
    /// `value`.
    fn identity(
        &mut self,
        name: &str,
        properties: &DeviceProperties,
        read: &DeviceProperties,
        value: &str,
        judged: Judged,
    ) -> Result<(), CorpusError> {
        let device = device(properties.clone(), KeyType::P256)?;
        let leaf = forger(&self.authority, &device).leaf();
        let claims = self.claims(judged, facts(read, &leaf, &[]));
        let object = self.object(&leaf)?;
        let recording = Recording::acme("serial", value, &object, None, claims);
        self.files.push(write(name, &recording)?);
        Ok(())
    }

    /// Every fault of evidence that an acceptance scenario names.
    fn faults(&mut self, device: &Device) -> Result<(), CorpusError> {
        let forger = forger(&self.authority, device);
        let mut files = Vec::new();
        for fault in Fault::all().filter(|fault| !fault.scenarios().is_empty()) {
            let Outcome::Evidence { reason } = fault.outcome() else {
                continue;
            };
            let object = fault.forge(&forger)?.attestation_object();
            if object.len() > MAX_OBJECT {
                continue;
            }
            let claims = Claims::refused(reason);
            let recording = Recording::acme("serial", SERIAL, &object, None, claims);
            files.push(write(&format!("acme-bad-{}", fault.name()), &recording)?);
        }
        self.files.extend(files);
        Ok(())
    }

    /// Responses to an MDM that sent three nonces, the latest of them now.
    fn device_information(&mut self, device: &Device) -> Result<(), CorpusError> {
        let nonces: [(&[u8], u64); 3] = [
            (b"nonce of ten days ago", NOW - 10 * DAY),
            (b"\x04\x04four", NOW - 6 * DAY),
            (b"nonce of this query, of 32 bytes", NOW),
        ];
        for (name, code, judged) in [
            ("fresh", nonces[2].0, Judged::AcceptedAs("fresh")),
            ("cached", nonces[1].0, Judged::AcceptedAs("cached")),
            ("too-old", nonces[0].0, Judged::Refused("freshness-expired")),
            (
                "foreign-nonce",
                b"a nonce for another device",
                Judged::Refused("freshness-mismatch"),
            ),
            (
                "unwrapped-nonce",
                b"four",
                Judged::Refused("freshness-mismatch"),
            ),
        ] {
            let forger = Forger {
                freshness: code.to_vec(),
                ..forger(&self.authority, device)
            };
            let leaf = forger.leaf();
            let claims = match judged {
                Judged::Refused(reason) => Claims::refused(reason),
                _ => self.claims(judged, facts(&device.properties, &leaf, &[])),
            };
            let chain = forger.chain_of(&leaf)?;
            let recording = Recording::device_information(&nonces, &chain, claims);
            let name = format!("device-information-{name}");
            self.files.push(write(&name, &recording)?);
        }
        Ok(())
    }

    fn object(&self, leaf: &CertificateTemplate) -> Result<Vec<u8>, CorpusError> {
        let leaf = leaf.sign(self.authority.sub_key())?;
        let chain = vec![leaf, self.authority.sub_der().to_vec()];
        Ok(Evidence { chain }.attestation_object())
    }

    fn claims(&self, judged: Judged, facts: Facts) -> Claims {
        let root = Sha256::digest(self.authority.root_der());
        Claims::verified(judged, facts, &root)
    }
}

/// The facts that a verifier must find in a leaf.
fn facts(
    properties: &DeviceProperties,
    leaf: &CertificateTemplate,
    unknown: &[(&str, &[u8])],
) -> Facts {
    // In a SubjectPublicKeyInfo for P-256 the tag, the length and the unused bits of a BIT STRING
    // precede the 65 bytes of a point: 91 bytes in total.
    let key = if leaf.spki.len() == 91 {
        "p256"
    } else {
        "p384"
    };
    Facts::new(
        properties,
        unknown,
        key,
        &Sha256::digest(&leaf.spki),
        (leaf.not_before, leaf.not_after),
    )
}

fn write(name: &str, recording: &Recording) -> Result<CorpusFile, CorpusError> {
    let mut json = serde_json::to_vec_pretty(recording)?;
    json.push(b'\n');
    Ok(file(&format!("{name}.json"), json))
}
