//! The invented device, its attestation authority, and the replacements of
//! everything else that was recorded.

use anyhow::Context as _;
use assay_attest::{Attribute, SentNonce};
use assay_ca::Csr;
use assay_proto::{Identifier, WireIdentifier};
use assay_recording::{Acme, Evidence};
use assay_simulator::{
    CsrRequest, Device, KeyType,
    authority::AttestationAuthority,
    evidence::{DeviceProperties, oids},
};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::{
    invent::{Names, RandomSource, Table},
    issuance,
    original::{Original, text_of},
};

/// The alphabet of a token (RFC 8555 section 8.3).
const BASE64URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The common name of a new CSR.
const CSR_NAME: &str = "anonymised";

/// What replaces what was recorded. It is drawn once, so that what was equal is
/// equal still.
pub(super) struct InventedDevice {
    pub(super) authority: AttestationAuthority,
    /// Its properties are those of the original, under invented names.
    pub(super) device: Device,
    /// A device that is not the one of the evidence: the other key of a CSR.
    other_device: Device,
    pub(super) names: Names,
    /// Freshness codes, and the nonces that were sent.
    pub(super) codes: Table<Vec<u8>>,
    /// The freshness code of right evidence.
    pub(super) freshness: Vec<u8>,
    /// The serial number of the leaf certificate, as long as it was.
    pub(super) certificate_serial: Vec<u8>,
    token: String,
    account: [u8; 32],
}

impl InventedDevice {
    /// Draws all of it, for a time in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Something cannot be replaced: it is too short, or the ordered identifier
    /// is malformed.
    pub(super) fn invent(
        evidence: &Evidence,
        original: &Original,
        time: u64,
        random: &mut RandomSource<'_>,
    ) -> anyhow::Result<Self> {
        let acme = match evidence {
            Evidence::Acme(acme) => Some(acme.as_ref()),
            Evidence::DeviceInformation(_) => None,
        };
        let mut texts: Vec<&str> = original.names().collect();
        let ordered = acme.map(ordered_device).transpose()?;
        texts.extend(ordered.as_deref());
        texts.extend(acme.map(|acme| acme.admission.value.as_str()));
        let names = Names::invent(texts, random)?;

        let token = acme.map_or(Ok(String::new()), |acme| token_like(&acme.token, random))?;
        let mut account = [0; 32];
        account.copy_from_slice(&random.bytes(32)?);
        let (codes, freshness) = match evidence {
            Evidence::Acme(acme) => {
                let mut codes = codes_like(original.codes().map(<[u8]>::to_vec), random)?;
                let old = acme_codes(&acme.token, &acme.account.unwrap_or_default());
                let new = acme_codes(&token, &account);
                let freshness = new[0].clone();
                for (old, new) in old.into_iter().zip(new) {
                    codes.set(old, new);
                }
                (codes, freshness)
            }
            Evidence::DeviceInformation(answer) => {
                let nonces: Vec<_> = answer.nonces.iter().map(SentNonce::nonce).collect();
                let all = original.codes().chain(nonces.iter().copied());
                let codes = codes_like(all.map(<[u8]>::to_vec), random)?;
                // Right evidence answers what the original answered, else the latest.
                let answered = original.codes().find(|code| nonces.contains(code));
                let right = answered.or(nonces.last().copied()).unwrap_or_default();
                let freshness = codes.of(&right.to_vec())?.clone();
                (codes, freshness)
            }
        };
        let key_type = original.key_type().unwrap_or_default();
        let properties = properties(original, acme, &names)?;
        let device = |properties, seed: Vec<u8>| Device::from_seed(properties, key_type, &seed);
        Ok(Self {
            authority: AttestationAuthority::from_seed(&random.bytes(32)?, time)
                .context("there can be no laboratory at the recorded time")?,
            device: device(properties, random.bytes(32)?)?,
            other_device: Device::from_seed(
                DeviceProperties::default(),
                KeyType::P256,
                &random.bytes(32)?,
            )?,
            certificate_serial: serial_like(original, random)?,
            names,
            codes,
            freshness,
            token,
            account,
        })
    }

    /// The key authorization of the new challenge (RFC 8555 section 8.1).
    pub(super) fn key_authorization(&self) -> String {
        key_authorization(&self.token, &self.account)
    }

    /// All of an enrolment but the answer to its challenge. The CSR is left out
    /// where the recorded one breaks a rule.
    pub(super) fn enrolment(&self, acme: &Acme, original: &Original) -> anyhow::Result<Acme> {
        let mut new = acme.clone();
        new.token.clone_from(&self.token);
        new.account = acme.account.map(|_| self.account);
        let device = ordered_device(acme)?;
        let tail = acme.identifier.value.get(device.len()..);
        new.identifier.value = self.names.of(&device)? + tail.unwrap_or_default();
        new.admission.value = self.names.of(&acme.admission.value)?;
        // Names that the operator chose may name people or sites.
        new.admission.rule_name = None;
        new.profile = None;
        new.issuance = acme.issuance.as_ref().and_then(issuance::anonymised);
        new.csr = match acme.csr.as_deref().map(Csr::parse) {
            Some(Ok(csr)) => {
                let attested = original
                    .leaf()
                    .is_some_and(|leaf| leaf.spki_der == csr.spki_der());
                let whose = if attested {
                    &self.device
                } else {
                    &self.other_device
                };
                Some(whose.csr(&CsrRequest {
                    common_name: CSR_NAME.to_owned(),
                    names: Vec::new(),
                })?)
            }
            Some(Err(_)) | None => None,
        };
        Ok(new)
    }

    /// The nonces, sent when they were sent.
    pub(super) fn nonces(&self, nonces: &[SentNonce]) -> anyhow::Result<Vec<SentNonce>> {
        let new = |one: &SentNonce| {
            let nonce = self.codes.of(&one.nonce().to_vec())?;
            Ok(SentNonce::new(nonce, one.sent())?)
        };
        nonces.iter().map(new).collect()
    }
}

/// The part of the ordered identifier that names the device. What follows, an
/// assigner or a hardware type, is an object identifier.
pub(super) fn ordered_device(acme: &Acme) -> anyhow::Result<String> {
    let identifier = Identifier::parse(&WireIdentifier {
        kind: acme.identifier.kind.clone(),
        value: acme.identifier.value.clone(),
    });
    let identifier =
        identifier.context("\"identifier\" may say anything, so nothing else says the same")?;
    Ok(identifier.device().to_owned())
}

pub(super) fn key_authorization(token: &str, account: &[u8]) -> String {
    format!("{token}.{}", BASE64URL_NOPAD.encode(account))
}

/// What a freshness code can be made from: the token, as is right, and the key
/// authorization.
fn acme_codes(token: &str, account: &[u8]) -> [Vec<u8>; 2] {
    let digest = |text: &str| Sha256::digest(text).to_vec();
    [digest(token), digest(&key_authorization(token, account))]
}

fn codes_like(
    codes: impl IntoIterator<Item = Vec<u8>>,
    random: &mut RandomSource<'_>,
) -> anyhow::Result<Table<Vec<u8>>> {
    Table::invent(codes, |code| random.bytes(code.len()))
}

/// A token of the same length; where the original is the one encoding of some
/// bytes, as those of servers are, the new one is such, too.
fn token_like(token: &str, random: &mut RandomSource<'_>) -> anyhow::Result<String> {
    let new = Table::invent([token.to_owned()], |token| {
        match BASE64URL_NOPAD.decode(token.as_bytes()) {
            Ok(bytes) => Ok(BASE64URL_NOPAD.encode(&random.bytes(bytes.len())?)),
            Err(_) => token.chars().map(|_| random.one_of(BASE64URL)).collect(),
        }
    })?;
    Ok(new.of(&token.to_owned())?.clone())
}

/// A positive number of as many bytes as the leaf's serial number has, and at
/// least of eight.
fn serial_like(original: &Original, random: &mut RandomSource<'_>) -> anyhow::Result<Vec<u8>> {
    let digits = original.leaf().map_or(0, |leaf| leaf.serial_number.len());
    let mut serial = random.bytes((digits / 2).clamp(8, 20))?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

/// What the leaf says, under invented names. Where it cannot be read, the
/// device is a Mac that has the name which was asked for.
fn properties(
    original: &Original,
    acme: Option<&Acme>,
    names: &Names,
) -> anyhow::Result<DeviceProperties> {
    let Some(leaf) = original.leaf() else {
        let mut mac = DeviceProperties {
            serial: None,
            udid: None,
            ..DeviceProperties::mac("", "")
        };
        if let Some(admission) = acme.map(|acme| &acme.admission) {
            let name = Some(names.of(&admission.value)?);
            match admission.attribute {
                Attribute::Serial => mac.serial = name,
                Attribute::Udid => mac.udid = name,
            }
        }
        return Ok(mac);
    };
    let find = |oid| {
        leaf.extensions
            .iter()
            .find(|extension| extension.oid == oid)
    };
    let text = |oid| find(oid).and_then(text_of).map(str::to_owned);
    let name = |oid| text(oid).map(|text| names.of(&text)).transpose();
    let number = |oid| match find(oid)?.value.as_slice() {
        [0x02, 0x01, number @ 0..=0x7f] => Some(*number),
        _ => None,
    };
    Ok(DeviceProperties {
        serial: name(oids::SERIAL)?,
        udid: name(oids::UDID)?,
        model: text(oids::MODEL),
        os_version: text(oids::OS_VERSION),
        sepos_version: text(oids::SEPOS_VERSION),
        llb_version: text(oids::LLB_VERSION),
        sip: number(oids::SIP),
        secure_boot: text(oids::SECURE_BOOT),
        kernel_extensions: number(oids::KERNEL_EXTENSIONS),
    })
}
