//! The committed corpus, `testdata/evidence`: what is good stays good, and
//! what is bad stays bad for the same reason.

use std::{fs, path::PathBuf};

use assay_attest::{TrustAnchor, Verifier};
use serde::Deserialize;

use crate::laboratory::backends;

/// `manifest.json`, as far as a validator needs it.
#[derive(Deserialize)]
struct Manifest {
    /// The time of every judgement, seconds since the Unix epoch.
    now: u64,
    /// The freshness code that every object answers, hexadecimal.
    freshness: String,
}

fn directory() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/evidence"
    ))
}

#[test]
fn the_corpus_is_judged_as_its_names_say() {
    let manifest: Manifest =
        serde_json::from_slice(&fs::read(directory().join("manifest.json")).unwrap()).unwrap();
    let freshness: [u8; 32] = hex::decode(manifest.freshness).unwrap().try_into().unwrap();
    let root = fs::read(directory().join("root.der")).unwrap();

    for backend in backends() {
        let anchor = TrustAnchor::laboratory(&root, "corpus").unwrap();
        let verifier = Verifier::new(vec![TrustAnchor::apple(), anchor], backend);
        for folder in ["good", "bad"] {
            let mut seen = 0;
            for entry in fs::read_dir(directory().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let object = fs::read(&path).unwrap();
                let verdict = verifier
                    .verify_object(&object, &freshness, manifest.now)
                    .map_err(|refusal| refusal.reason.as_str());
                match folder {
                    "good" => assert_eq!(verdict.err(), None, "{name}"),
                    _ => assert_eq!(verdict.err(), name.split('.').next(), "{name}"),
                }
                seen += 1;
            }
            assert!(seen >= 10, "{folder} holds only {seen} objects");
        }
    }
}
