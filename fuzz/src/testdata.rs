//! What is good in `testdata/`: all that may be accepted.

use std::{fs, path::PathBuf, sync::LazyLock};

use serde::Deserialize;

/// Every file of a folder below `testdata/`: its name up to the first dot, and
/// its content.
pub(crate) fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(directory().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let stem = name.split('.').next().unwrap().to_owned();
            (stem, fs::read(&path).unwrap())
        })
        .collect();
    assert!(!files.is_empty(), "testdata/{folder} is empty");
    files.sort();
    files
}

/// The corpus of evidence: its root, and how it is to be judged.
pub(crate) struct Corpus {
    pub(crate) freshness: [u8; 32],
    pub(crate) now: u64,
    pub(crate) root: Vec<u8>,
}

pub(crate) static CORPUS: LazyLock<Corpus> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Manifest {
        freshness: String,
        now: u64,
    }

    let read = |name: &str| fs::read(directory().join("evidence").join(name)).unwrap();
    let manifest: Manifest = serde_json::from_slice(&read("manifest.json")).unwrap();
    let freshness = data_encoding::HEXLOWER.decode(manifest.freshness.as_bytes());
    Corpus {
        freshness: freshness.unwrap().try_into().unwrap(),
        now: manifest.now,
        root: read("root.der"),
    }
});

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata"))
}
