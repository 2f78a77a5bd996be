//! The last check: is anything of the original left in the new recording?

use assay_attest::SentNonce;
use assay_ca::Csr;
use assay_recording::{Acme, Answer, Evidence, Recording};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use super::{
    invented_device::{key_authorization, ordered_device},
    original::Original,
};

/// Anything shorter may occur anywhere by coincidence.
const SHORTEST: usize = 6;

/// The same in the few texts that are kept as they were.
const SHORTEST_IN_KEPT: usize = 3;

/// What of the original is left in the new recording, raw, in hexadecimal or in
/// base64url: its name, not its value.
pub(super) fn find(old: &Recording, original: &Original, new: &Recording) -> Option<&'static str> {
    if let Some(text) = free_text(new) {
        return Some(text);
    }
    let hay: Vec<Vec<u8>> = hay(new)
        .iter()
        .map(|bytes| bytes.to_ascii_lowercase())
        .collect();
    let stands = |needle: &[u8]| {
        let needle = needle.to_ascii_lowercase();
        needle.len() >= SHORTEST
            && (hay.iter()).any(|hay| hay.windows(needle.len()).any(|window| window == needle))
    };
    let kept = |name: &&str| {
        let name = name.to_ascii_lowercase();
        let mut texts = original.kept().map(str::to_ascii_lowercase);
        name.len() >= SHORTEST_IN_KEPT && texts.any(|text| text.contains(&name))
    };
    if original.names().any(|name| kept(&name)) {
        return Some("serial number or UDID");
    }
    if ordered(old).iter().any(|name| kept(&name.as_str())) {
        return Some("identifier");
    }
    needles(old, original)
        .into_iter()
        .find(|(_, needle)| {
            stands(needle)
                || stands(HEXLOWER.encode(needle).as_bytes())
                || stands(BASE64URL_NOPAD.encode(needle).as_bytes())
        })
        .map(|(name, _)| name)
}

/// A text that may contain anything, which no new recording has: a label may be
/// a word that stands elsewhere by right, so that its absence cannot be searched
/// for.
fn free_text(new: &Recording) -> Option<&'static str> {
    let contents = new.contents();
    let acme = match &contents.evidence {
        Evidence::Acme(acme) => Some(acme),
        Evidence::DeviceInformation(_) => None,
    };
    [
        ("note", contents.note.is_some()),
        ("label", !contents.labels.is_empty()),
        ("profile", acme.is_some_and(|acme| acme.profile.is_some())),
        (
            "name of a rule",
            acme.is_some_and(|acme| acme.admission.rule_name.is_some()),
        ),
    ]
    .into_iter()
    .find_map(|(name, present)| present.then_some(name))
}

/// The texts about the certificate and about its refusal.
fn issued(acme: &Acme) -> impl Iterator<Item = (&'static str, &str)> {
    let issuance = acme.issuance.as_ref();
    let certificate = issuance.and_then(|one| one.certificate.as_ref());
    let problem = issuance.and_then(|one| one.problem.as_ref());
    let facts = certificate.into_iter().flat_map(|facts| {
        let names = facts.names.iter();
        let names = names.map(|name| ("name in the certificate", name.as_str()));
        names.chain([
            ("subject of the certificate", facts.subject.as_str()),
            ("key of the certificate", facts.spki_sha256.as_str()),
        ])
    });
    facts.chain(problem.map(|problem| ("detail of a problem", problem.detail.as_str())))
}

/// The names that were ordered and admitted.
fn ordered(old: &Recording) -> Vec<String> {
    match &old.contents().evidence {
        Evidence::Acme(acme) => ordered_device(acme)
            .into_iter()
            .map(|name| name.to_string())
            .chain([acme.admission.value.clone()])
            .collect(),
        Evidence::DeviceInformation(_) => Vec::new(),
    }
}

/// What identifies the device, its order, or the authority that vouched for it.
fn needles(old: &Recording, original: &Original) -> Vec<(&'static str, Vec<u8>)> {
    let mut needles = Vec::new();
    let mut add = |name, needle: &[u8]| needles.push((name, needle.to_vec()));
    for name in original.names() {
        add("serial number or UDID", name.as_bytes());
    }
    for code in original.codes() {
        add("freshness code", code);
    }
    for certificate in original.certificates() {
        add("key", &certificate.spki_der);
        add("hash of a key", &Sha256::digest(&certificate.spki_der));
        let serial = hex::decode(&certificate.serial_number);
        add(
            "serial number of a certificate",
            &serial.unwrap_or_default(),
        );
    }
    match &old.contents().evidence {
        Evidence::Acme(acme) => {
            add("token", acme.token.as_bytes());
            add("token", &Sha256::digest(&acme.token));
            if let Some(account) = &acme.account {
                let authorization = key_authorization(&acme.token, account);
                add("key authorization", &Sha256::digest(authorization));
                add("account", account);
            }
            for (name, text) in issued(acme) {
                add(name, text.as_bytes());
            }
            let ordered = ordered_device(acme).unwrap_or_default();
            add("identifier", ordered.as_bytes());
            add("admission", acme.admission.value.as_bytes());
            if let Some(Ok(csr)) = acme.csr.as_deref().map(Csr::parse) {
                add("key of the CSR", csr.spki_der());
            }
            if let Answer::DeviceError(text) = &acme.answer {
                add("device error", text.as_bytes());
            }
        }
        Evidence::DeviceInformation(answer) => {
            for nonce in &answer.nonces {
                add("nonce", SentNonce::nonce(nonce));
            }
        }
    }
    if let Some(root) = old.embedded_root() {
        add("root", root);
        add("root", &Sha256::digest(root));
    }
    needles
}

/// The file, and everything in it as it is once it was decoded.
fn hay(new: &Recording) -> Vec<Vec<u8>> {
    let mut hay = vec![new.to_json().into_bytes()];
    match &new.contents().evidence {
        Evidence::Acme(acme) => {
            hay.extend(acme.account.map(|account| account.to_vec()));
            hay.extend(acme.csr.clone());
            if let Answer::Object(object) = &acme.answer {
                hay.push(object.clone());
            }
        }
        Evidence::DeviceInformation(answer) => {
            hay.extend(answer.certificates.iter().cloned());
            hay.extend(answer.nonces.iter().map(|one| one.nonce().to_vec()));
        }
    }
    hay.extend(new.embedded_root().map(<[u8]>::to_vec));
    hay
}
