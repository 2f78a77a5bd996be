//! What to do about each reason for which something is refused: the one table
//! behind `assay orders show` and `docs/errors.md`.

/// The remedy for the reason of a refusal, a failure or a note.
#[must_use]
pub fn remedy(reason: &str) -> Option<&'static str> {
    let mut all = REMEDIES.iter();
    all.find(|(known, _)| *known == reason)
        .map(|(_, remedy)| *remedy)
}

/// A device of which the client says, or whose object shows, that it did not
/// attest.
const COULD_NOT_ATTEST: &str = "in the ACME payload of the profile `Attest` and `HardwareBound` must be true and `KeyType` `ECSECPrimeRandom` (an RSA key is never attested); Macs need Apple silicon (T2 and older chips cannot attest), and the device must reach Apple's attestation servers; then install the profile again";

/// Evidence that no genuine device is known to send.
const REPORT: &str = "no genuine device is known to send this: keep the object (`[recording]`), read it with `assay inspect`, and report it";

/// An object that a client of its own makes wrongly.
const CLIENT_AT_FAULT: &str = "Apple's client does not send this: fix the client, or keep the object (`[recording]`) and read it with `assay inspect`";

/// A new order answers.
const STALE: &str = "the device answered another challenge, possibly with a cached attestation: install the profile again; if it happens again, wait some days, because Apple limits how often a device gets a new attestation";

/// Each reason and what to do about it, by the gate that finds it.
pub const REMEDIES: &[(&str, &str)] = &[
    // newOrder.
    (
        "not-admitted",
        "add the device to `devices.csv` exactly as the profile orders it (case-sensitive; serial numbers in the first column, UDIDs in the second), and check that the MDM product replaced its variable in the ClientIdentifier; the server reads the list again within two seconds",
    ),
    (
        "assigner-not-allowed",
        "remove the assigner from the ClientIdentifier, or allow it: `attestation.apple.assigners`",
    ),
    (
        "hardware-type-not-provable",
        "order a permanent identifier: no evidence proves a hardware module of this type",
    ),
    (
        "identifier-malformed",
        "correct the ClientIdentifier of the profile: a serial number or UDID, at most 256 bytes",
    ),
    (
        "identifier-type-unsupported",
        "order a `permanent-identifier`: this CA is for devices, not for host names",
    ),
    (
        "contention",
        "the client sends concurrent requests that change the same resource: wait a second, then install the profile again",
    ),
    (
        "identifier-crowded",
        "too many orders for this device are pending, most of them from the client's network: find out which client there orders for it (`assay orders list --device`), wait as the finding says, or exempt the network (`[limits] exempt`)",
    ),
    (
        "list-unavailable",
        "the server does not use the newest list of devices, and the list in force lacks this device: `assay status` says why; SIGHUP confirms a list that was kept back because it lacks most devices, `assay config check` names the faults of a list that cannot be used",
    ),
    (
        "no-space",
        "free disk space for the database: new orders are refused until `[store] free_space` is free again",
    ),
    (
        "rate-limited",
        "the address sent too many requests: wait as the finding says; for a fleet behind one address raise the limit or exempt the network (`[limits]`)",
    ),
    (
        "too-many-open-orders",
        "the account has the maximum number of open orders, all of them ready or processing: finish them, or wait until they expire (`assay orders list --status ready`)",
    ),
    // The challenge: identity.
    (
        "identifier-mismatch",
        "the ClientIdentifier must be the serial number (or UDID) of the device that gets the profile (case-sensitive): check the profile's variable and the columns of `devices.csv`; if both are right, a client tried another device's name",
    ),
    (
        "serial-not-attested",
        "list the device by its UDID instead; user enrolment attests neither and is not supported",
    ),
    (
        "udid-not-attested",
        "list the device by its serial number instead; user enrolment attests neither and is not supported",
    ),
    (
        "udid-differs",
        "nothing was refused: the list has another UDID beside this serial number, or another device enrolled with the same serial number before; compare the device's UDID with `devices.csv` and correct the list; investigate two devices with one serial number",
    ),
    ("device-could-not-attest", COULD_NOT_ATTEST),
    // The challenge: the object.
    ("object-empty", COULD_NOT_ATTEST),
    ("object-too-large", CLIENT_AT_FAULT),
    ("object-not-cbor", CLIENT_AT_FAULT),
    ("object-not-map", CLIENT_AT_FAULT),
    ("indefinite-length", CLIENT_AT_FAULT),
    ("too-deep", CLIENT_AT_FAULT),
    ("too-many-keys", CLIENT_AT_FAULT),
    ("too-many-items", CLIENT_AT_FAULT),
    ("duplicate-key", CLIENT_AT_FAULT),
    ("trailing-bytes", CLIENT_AT_FAULT),
    ("format-missing", COULD_NOT_ATTEST),
    ("format-malformed", CLIENT_AT_FAULT),
    (
        "format-not-supported",
        "only Apple's format is supported: no other platform can enrol here",
    ),
    ("statement-missing", CLIENT_AT_FAULT),
    ("statement-malformed", CLIENT_AT_FAULT),
    // The challenge: the chain as a list.
    ("chain-missing", CLIENT_AT_FAULT),
    ("chain-malformed", CLIENT_AT_FAULT),
    ("chain-empty", COULD_NOT_ATTEST),
    ("chain-too-long", CLIENT_AT_FAULT),
    (
        "incomplete-chain",
        "the client must send the intermediate certificate after the leaf: fix the client",
    ),
    (
        "misplaced-root",
        "the client must send the leaf, then each certificate's issuer: fix the client",
    ),
    // The challenge: each certificate.
    ("certificate-too-large", REPORT),
    ("certificate-malformed", REPORT),
    ("certificate-version", REPORT),
    ("certificate-serial-number", REPORT),
    ("signature-algorithm-mismatch", REPORT),
    ("signature-algorithm-not-supported", REPORT),
    ("too-many-extensions", REPORT),
    ("too-many-attributes", REPORT),
    ("duplicate-extension", REPORT),
    ("extension-malformed", REPORT),
    // The challenge: what the leaf says.
    (
        "key-not-supported",
        "set `KeyType` `ECSECPrimeRandom` and `KeySize` 256 or 384 in the profile",
    ),
    (
        "webauthn-anonymous",
        "this is a WebAuthn attestation, which names no device: use Managed Device Attestation",
    ),
    ("property-repeated", REPORT),
    ("property-malformed", REPORT),
    (
        "freshness-missing",
        "the attestation answers no challenge: the client must request an attestation with the challenge's token",
    ),
    ("freshness-repeated", REPORT),
    ("freshness-length", REPORT),
    ("freshness-mismatch", STALE),
    (
        "freshness-expired",
        "let the MDM server query the device again, with a fresh nonce",
    ),
    // The challenge: the path.
    (
        "not-yet-valid",
        "check the server's clock (`assay status`): it is behind, or the device's evidence is from the future",
    ),
    (
        "expired",
        "for an order: it expired, install the profile again. For evidence: check the server's clock (`assay status`) first; if it is right, the device answered with an old attestation: install the profile again",
    ),
    ("issuer-mismatch", REPORT),
    (
        "unknown-anchor",
        "the evidence is neither under Apple's root nor under a configured laboratory root (`attestation.apple.laboratory_roots`): a test device, or a forgery",
    ),
    ("key-identifier-mismatch", REPORT),
    ("leaf-is-ca", REPORT),
    ("not-a-ca", REPORT),
    ("path-length-exceeded", REPORT),
    ("key-usage", REPORT),
    ("name-constraints", REPORT),
    ("unknown-critical-extension", REPORT),
    (
        "bad-signature",
        "a forgery, or an object that was damaged in transit: install the profile again; if it happens again, keep the object (`[recording]`) and read it with `assay inspect`",
    ),
    // finalize.
    (
        "csr-unreadable",
        "the CSR must be one DER CSR of at most 16 KiB, signed by its own key: the finding says what is wrong; correct the `Subject` and `SubjectAltName` of the profile",
    ),
    (
        "csr-key-not-attested",
        "the CSR must be signed with the attested key: `HardwareBound` and `Attest` must both be true; install the profile again",
    ),
    (
        "csr-account-key",
        "use different keys for the account and the certificate (RFC 8555 section 11.1)",
    ),
    (
        "csr-name-not-ordered",
        "remove device names from the CSR, or use the ClientIdentifier: check the `SubjectAltName` of the profile",
    ),
    (
        "csr-names-refused",
        "Apple's client always sends a subject: set `csr_names = \"ignore\"` in the profile's section of `assay.toml`, or remove the names from the CSR",
    ),
    (
        "csr-ca-requested",
        "remove the request for a CA certificate from the CSR",
    ),
    (
        "no-longer-admitted",
        "the device was removed from `devices.csv` after it ordered, or is listed under another attribute now: list it again, then install the profile again",
    ),
    (
        "profile-not-offered",
        "the directory no longer offers the profile of the order: restore it in `assay.toml`, or install the device's profile again",
    ),
    (
        "root-no-longer-trusted",
        "the root that vouched was removed from the configuration: restore it, or order again with evidence under another root",
    ),
    (
        "attribute-not-attested",
        "the server's profile needs the serial number or UDID, and the evidence does not contain it: change the profile in `assay.toml`",
    ),
    (
        "evidence-disagrees",
        "the attestation authority attested one key for two devices, which is its fault: investigate what it attests; order again with one identifier",
    ),
    (
        "validity-out-of-reach",
        "the order requested a validity that is no longer allowed: install the profile again",
    ),
    (
        "no-name",
        "the profile has no subject and no `san` entry for the type of identifier that the device orders: add one in `assay.toml`",
    ),
    (
        "name-does-not-fit",
        "the server's profile and the serial number or UDID give a name that a certificate cannot contain: at most 64 characters per attribute, exactly 2 for `C`, and no invisible characters; change the profile in `assay.toml`",
    ),
    // Orders that ended.
    (
        "account-deactivated",
        "the client deactivated its account: install the profile again",
    ),
    (
        "authorization-deactivated",
        "the client deactivated its authorization: install the profile again",
    ),
    (
        "displaced",
        "a newer order displaced it: use that one (`assay orders list --device`); if the device did not send it, another client orders for the device",
    ),
    (
        "clock-reset",
        "the order was open when a wrong recorded time was reset: install the profile again",
    ),
    (
        "order-over",
        "the order ended while its challenge was validated: install the profile again",
    ),
    (
        "validation-unfinished",
        "every attempt to validate the challenge timed out: check the host that the validation contacts, then install the profile again",
    ),
    (
        "signing-late",
        "signing with the CA's key takes too long, and the server retries: check the device or module that holds the key",
    ),
    (
        "signing-failed",
        "the CA's key did not sign: the log has the cause, event `issuance_failed`; then install the profile again",
    ),
    (
        "intent-unusable",
        "an interrupted issuance recorded a certificate that this CA would not write: report it, then install the profile again",
    ),
    (
        "intent-ended",
        "an interrupted issuance was resumed too late: install the profile again",
    ),
    (
        "issuer-gone",
        "the CA was replaced after an interrupted issuance: install the profile again",
    ),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use assay_attest::{Attribute, DEVICE_COULD_NOT_ATTEST, IdentityFault};

    use super::*;

    /// The source of this crate, but for this file.
    fn source() -> String {
        read_all("src")
    }

    /// The source of a folder, from this crate's, but for files of this name.
    fn read_all(folder: &str) -> String {
        fn read(dir: &Path, into: &mut String) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    read(&path, into);
                } else if !path.ends_with("remedy.rs") {
                    into.push_str(&fs::read_to_string(path).unwrap());
                }
            }
        }
        let mut text = String::new();
        read(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &mut text,
        );
        text
    }

    /// The string literals that follow `before` at once.
    fn literals<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
        let after = text.split(before).skip(1);
        after
            .filter_map(|rest| rest.split_once('"'))
            .map(|(literal, _)| literal)
            .filter(|literal| literal.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'))
            .collect()
    }

    /// Every reason that the code can make: of the verifier's table, what this
    /// crate writes where reasons are made, and what the program's validators
    /// write (`NotValidated`).
    fn reasons() -> BTreeSet<String> {
        let text = source();
        let program = read_all("../cli/src");
        let error =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error.rs")).unwrap();
        let mut all: BTreeSet<&str> = assay_attest::Reason::ALL
            .iter()
            .map(|reason| reason.as_str())
            .collect();
        // `as_str` of the refusals of admission and issuance.
        all.extend(literals(&error, "=> \""));
        for before in [
            "reason: \"",
            "unsigned(\"",
            // `LimitReached::of`
            "=> (\"",
        ] {
            all.extend(literals(&text, before));
        }
        all.extend(literals(&program, "reason: \""));
        assert!(text.contains("format!(\"{what}-deactivated\")"));
        all.extend(["account-deactivated", "authorization-deactivated"]);
        all.insert(DEVICE_COULD_NOT_ATTEST);
        all.extend([
            IdentityFault::Mismatch.as_str(),
            IdentityFault::NotAttested(Attribute::Serial).as_str(),
            IdentityFault::NotAttested(Attribute::Udid).as_str(),
        ]);
        all.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn every_reason_has_a_remedy_and_every_remedy_a_reason() {
        let reasons = reasons();
        assert!(reasons.len() > 80, "{reasons:?}");
        let known: BTreeSet<String> = REMEDIES.iter().map(|(it, _)| (*it).to_owned()).collect();
        assert_eq!(known.len(), REMEDIES.len(), "a reason is there twice");
        let missing: Vec<_> = reasons.difference(&known).collect();
        assert!(missing.is_empty(), "without a remedy: {missing:?}");
        let text = source();
        let is_gone = |reason: &&String| {
            !reasons.contains(*reason) && !text.contains(&format!("\"{reason}\""))
        };
        let gone: Vec<_> = known.iter().filter(is_gone).collect();
        assert!(gone.is_empty(), "no longer a reason: {gone:?}");
    }

    #[test]
    fn remedies_fit_on_a_line_of_a_table() {
        for (reason, text) in REMEDIES {
            assert!(
                !text.contains(['\n', '|']) && !text.ends_with('.'),
                "{reason}"
            );
            assert_eq!(remedy(reason), Some(*text));
        }
        assert_eq!(remedy("no-such-reason"), None);
    }
}
