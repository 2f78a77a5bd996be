//! The committed corpus, `testdata/evidence`: what is good stays good, and
//! what is bad stays bad for the same reason.

use std::{fs, path::PathBuf};

use assay_attest::{TrustAnchor, Verifier};
use serde::{Deserialize, Serialize};

use crate::laboratory::{FRESHNESS, Laboratory, NOW, backends, faults::faults, goods::goods};

/// `manifest.json`.
#[derive(Deserialize, Serialize)]
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

/// Writes the corpus anew under a new authority, if asked to.
fn write() {
    let laboratory = Laboratory::new();
    for folder in ["good", "bad"] {
        // It is not there the first time.
        let _ = fs::remove_dir_all(directory().join(folder));
        fs::create_dir_all(directory().join(folder)).unwrap();
    }
    for (name, object) in goods(&laboratory) {
        fs::write(directory().join(format!("good/{name}.cbor")), object).unwrap();
    }
    for fault in faults(&laboratory) {
        let file = format!("bad/{}.{}.cbor", fault.reason, fault.name);
        let path = directory().join(&file);
        assert!(!path.exists(), "two faults are called {file}");
        fs::write(path, fault.object).unwrap();
    }
    fs::write(
        directory().join("root.der"),
        laboratory.authority.root_der(),
    )
    .unwrap();
    let manifest = Manifest {
        now: NOW,
        freshness: hex::encode(FRESHNESS),
    };
    let mut json = serde_json::to_string_pretty(&manifest).unwrap();
    json.push('\n');
    fs::write(directory().join("manifest.json"), json).unwrap();
}

#[test]
fn the_corpus_is_judged_as_its_names_say() {
    if std::env::var_os("ASSAY_WRITE_CORPUS").is_some() {
        write();
    }
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
