//! The envelopes of `testdata/jws`, and the same with new keys. The name of
//! each file states the expected result.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
#[path = "common/corpus.rs"]
mod corpus;

use std::{fs, path::Path};

use assay_jws::{Envelope, PublicKey, Signer, Verified};
use common::URL;
use corpus::Files;

/// Reads the committed files of `testdata/jws`.
fn committed() -> Files {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/jws"));
    let mut files = Files::new();
    for folder in ["bad", "good", "keys"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.insert(name.to_owned(), fs::read(&path).unwrap());
        }
    }
    files
}

/// The names, without `.json`, and contents of the files of one folder.
fn of<'f>(files: &'f Files, folder: &str) -> impl Iterator<Item = (&'f str, &'f [u8])> {
    files.iter().filter_map(move |(path, content)| {
        let name = path.strip_prefix(folder)?.strip_prefix('/')?;
        Some((name.strip_suffix(".json")?, content.as_slice()))
    })
}

/// Parses and verifies an envelope, with the account key that its `kid` names.
fn appraise(files: &Files, name: &str, body: &[u8]) -> Result<Verified, String> {
    let envelope = if name.contains("--inner") {
        Envelope::parse_inner(body)
    } else {
        Envelope::parse(body)
    };
    let envelope = envelope.map_err(|error| kebab(&format!("{error:?}")))?;
    let key = match envelope.signer() {
        Signer::Jwk(key) => key.clone(),
        Signer::Kid(kid) => {
            let account = kid.rsplit('/').next().unwrap();
            PublicKey::from_jwk(&files[&format!("keys/{account}.json")]).unwrap()
        }
    };
    envelope
        .verify(&key)
        .map_err(|error| kebab(&format!("Signature{error:?}")))
}

/// `BadKey(Json(Syntax))` becomes `bad-key-json-syntax`.
fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for c in variant.chars().filter(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn good_verify(files: &Files) {
    assert_eq!(of(files, "good").count(), 19);
    for (name, body) in of(files, "good") {
        let verified =
            appraise(files, name, body).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            verified.padded_signature(),
            name.contains("--shortened"),
            "{name}"
        );
        assert_eq!(
            verified.is_empty(),
            name.contains("--post-as-get"),
            "{name}"
        );
        assert_eq!(
            verified.nonce().is_empty(),
            name.contains("--inner"),
            "{name}"
        );
        assert_eq!(verified.url(), URL, "{name}");
    }
}

fn bad_are_refused(files: &Files) {
    assert_eq!(of(files, "bad").count(), 75);
    for (name, body) in of(files, "bad") {
        let reason = appraise(files, name, body).err();
        assert_eq!(reason.as_deref(), name.split("--").next(), "{name}");
    }
}

#[test]
fn good_envelopes_verify() {
    good_verify(&committed());
}

#[test]
fn bad_envelopes_are_refused_for_the_reason_in_their_name() {
    bad_are_refused(&committed());
}

#[test]
fn envelopes_made_anew_are_the_same_and_judged_alike() {
    let files = corpus::files();
    assert!(files.keys().eq(committed().keys()));
    good_verify(&files);
    bad_are_refused(&files);
}
