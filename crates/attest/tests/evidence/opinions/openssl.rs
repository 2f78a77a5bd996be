//! The program `openssl verify`.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use pem_rfc7468::LineEnding;

use super::{Committed, Difference, compare, x5c};

/// Bad ones that OpenSSL accepts, who is right, and why. Sections are those of
/// RFC 5280 where nothing else is said.
const ACCEPTS: &[Difference] = &[
    (
        "certificate-malformed.leaf-trailing-byte",
        "We: what follows the certificate was signed by nobody; the program reads a PEM block's first element and drops the rest.",
    ),
    (
        "certificate-malformed.subject-not-in-order",
        "We: DER orders the members of a set (X.690 section 11.6); OpenSSL compares names in a form of its own.",
    ),
    (
        "certificate-serial-number.serial-number-21-bytes",
        "We: RFC 5280 section 4.1.2.2 wants positive numbers of at most 20 bytes of every conforming CA, and asks validators only to handle others gracefully.",
    ),
    (
        "certificate-serial-number.serial-number-negative",
        "We: the same.",
    ),
    (
        "certificate-serial-number.serial-number-zero",
        "We: the same.",
    ),
    (
        "certificate-too-large.leaf-17-kib",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    (
        "certificate-version",
        "We: section 4.1.2.1 wants version 3 where there are extensions, as there are here.",
    ),
    (
        "duplicate-key",
        "Both: OpenSSL is given the chain; that the object around it has two readings it cannot know.",
    ),
    (
        "extension-malformed.explicit-ca-false",
        "We: DER leaves default values out (X.690 section 11.5); OpenSSL reads BER here.",
    ),
    (
        "extension-malformed.key-purpose-empty",
        "We: section 4.2.1.12 wants at least one purpose; OpenSSL takes a list of none for a key without purposes.",
    ),
    (
        "extension-malformed.key-usage-with-unused-bits",
        "We: DER sets unused bits to zero (X.690 section 11.2.1); OpenSSL clears them.",
    ),
    (
        "extension-malformed.path-length-without-ca",
        "We: section 4.2.1.9 forbids pathLenConstraint without cA; OpenSSL ignores it in a leaf unless told to be strict.",
    ),
    (
        "format-malformed",
        "Both: the object's format is no part of the chain.",
    ),
    (
        "format-not-supported",
        "Both: the object's format is no part of the chain.",
    ),
    (
        "freshness-length",
        "Both: OpenSSL knows nothing of freshness codes.",
    ),
    (
        "freshness-mismatch",
        "Both: OpenSSL knows nothing of freshness codes.",
    ),
    (
        "freshness-missing",
        "Both: OpenSSL knows nothing of freshness codes, nor that a leaf must come first.",
    ),
    (
        "freshness-repeated",
        "We: section 4.2 forbids a second extension of a kind; OpenSSL looks for one only among those that it knows.",
    ),
    (
        "incomplete-chain.root-alone",
        "Both: the root vouches for itself, and for no device.",
    ),
    (
        "incomplete-chain.leaf-under-the-root",
        "Both: the path is good, but attestation leaves come from an intermediate, and a root that signs one directly is not one of this hierarchy.",
    ),
    (
        "issuer-mismatch.another-root-sent-along",
        "Both: OpenSSL searches for a path among what it is given and leaves the rest aside; for us x5c is the path.",
    ),
    (
        "issuer-mismatch.intermediate-twice",
        "Both: OpenSSL searches for a path among what it is given and leaves the rest aside; for us x5c is the path.",
    ),
    (
        "key-not-supported.key-compressed",
        "Both: RFC 5480 section 2.2 allows this encoding, which no Secure Enclave writes.",
    ),
    (
        "key-not-supported.key-ed25519",
        "Both: a good key, but of no Secure Enclave.",
    ),
    (
        "key-not-supported.key-p521",
        "Both: a good key, but of no Secure Enclave.",
    ),
    (
        "key-usage.intermediate-without-key-usage",
        "We: section 4.2.1.3 has conforming CAs include it, and Apple's do; section 6.1.4 (n) leaves a validator the choice.",
    ),
    (
        "leaf-is-ca",
        "We: who may sign certificates is no device; OpenSSL was not asked what the leaf may do.",
    ),
    (
        "misplaced-root",
        "Both: OpenSSL searches for a path among what it is given and leaves the rest aside; for us x5c is the path.",
    ),
    (
        "name-constraints",
        "Both: OpenSSL applies them, and these are empty; we refuse what we do not apply.",
    ),
    ("object-not-cbor", "Both: the fault lies behind the chain."),
    (
        "object-too-large",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    (
        "property-malformed",
        "Both: OpenSSL does not read Apple's properties.",
    ),
    (
        "property-repeated",
        "We: section 4.2 forbids a second extension of a kind; OpenSSL looks for one only among those that it knows.",
    ),
    (
        "signature-algorithm-not-supported.signature-algorithm-null-parameters",
        "We: RFC 5758 section 3.2 has ECDSA's parameters left out.",
    ),
    ("too-deep", "Both: the fault lies behind the chain."),
    (
        "too-many-attributes",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    (
        "too-many-extensions",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    ("too-many-items", "Both: the fault lies behind the chain."),
    ("trailing-bytes", "Both: the fault lies behind the chain."),
    (
        "unknown-critical-extension.key-purpose-in-the-intermediate",
        "Both: OpenSSL processes key purposes, and was asked for none; we do not process those of a CA.",
    ),
    (
        "unknown-critical-extension.policy-constraints-in-the-intermediate",
        "Both: OpenSSL processes policies; we do not.",
    ),
    (
        "webauthn-anonymous",
        "Both: OpenSSL knows nothing of attestation formats.",
    ),
];

/// Good ones that it refuses.
const REFUSES: &[Difference] = &[(
    "unknown-extensions-that-are-not-critical",
    "Both: the intermediate's key purposes are not DER; they are not critical and we do not process them, OpenSSL does (section 4.2: a validator may ignore what it does not recognise).",
)];

struct OpenSsl {
    folder: PathBuf,
}

impl OpenSsl {
    /// Files of each judge have a folder of their own: tests run at once.
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, certificates: &[&[u8]]) -> PathBuf {
        let pem: String = certificates
            .iter()
            .map(|der| pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).unwrap())
            .collect();
        let path = self.folder.join(name);
        fs::write(&path, pem).unwrap();
        path
    }

    fn verify(
        &self,
        committed: &Committed,
        chain: &[&[u8]],
        options: &[&str],
    ) -> Result<(), String> {
        let root = self.write("root.pem", &[&committed.root]);
        let leaf = self.write("leaf.pem", &chain[..1]);
        let mut command = Command::new("openssl");
        command
            .args(["verify", "-no-CApath", "-no-CAstore", "-attime"])
            .arg(committed.now.to_string())
            .args(options)
            .arg("-CAfile")
            .arg(root);
        if chain.len() > 1 {
            let others = self.write("others.pem", &chain[1..]);
            command.arg("-untrusted").arg(others);
        }
        let Output {
            status,
            stdout,
            stderr,
        } = command.arg(leaf).output().unwrap();
        // What it wants to say stands now here, now there.
        let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        match status.code() {
            Some(0) => Ok(()),
            _ => Err(said),
        }
    }
}

#[test]
fn openssl_agrees_or_the_table_says_why_not() {
    let openssl = OpenSsl::new("openssl");
    compare(
        |committed, chain| openssl.verify(committed, chain, &[]),
        ACCEPTS,
        REFUSES,
    );
}

/// Not apt for this hierarchy: Apple's leaves have no key identifiers, which
/// section 4.2.1.1 demands ("MUST be included in all certificates generated by
/// conforming CAs"). They are all that a strict OpenSSL has against a good
/// chain.
#[test]
fn strict_openssl_misses_key_identifiers_and_nothing_else() {
    let openssl = OpenSsl::new("openssl-strict");
    let committed = Committed::read();
    for (name, object) in Committed::objects("good") {
        if REFUSES.iter().any(|refused| refused.0 == name) {
            continue;
        }
        let chain = x5c(&object).unwrap();
        let said = openssl
            .verify(&committed, &chain, &["-x509_strict"])
            .unwrap_err();
        let errors: Vec<&str> = said
            .lines()
            .filter_map(|line| line.split_once(" depth lookup: "))
            .map(|(_, error)| error)
            .collect();
        assert_eq!(errors[0], "Missing Authority Key Identifier", "{name}");
        for error in &errors {
            assert!(
                error.starts_with("Missing ") && error.ends_with(" Key Identifier"),
                "{name}: {error}"
            );
        }
    }
}
