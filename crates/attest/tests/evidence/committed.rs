//! The committed objects of `testdata/evidence`, read without the crate under
//! test.

use std::{fs, path::PathBuf};

use assay_attest::{Reason, SignatureVerifier, TrustAnchor, Verifier};
use minicbor::Decoder;
use serde::Deserialize;

/// The folder, and how its objects are to be judged.
pub(crate) struct Committed {
    pub(crate) freshness: [u8; 32],
    pub(crate) now: u64,
    pub(crate) root: Vec<u8>,
}

impl Committed {
    pub(crate) fn read() -> Self {
        #[derive(Deserialize)]
        struct Manifest {
            freshness: String,
            now: u64,
        }

        let manifest = fs::read(directory().join("manifest.json")).unwrap();
        let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
        Self {
            freshness: hex::decode(manifest.freshness).unwrap().try_into().unwrap(),
            now: manifest.now,
            root: fs::read(directory().join("root.der")).unwrap(),
        }
    }

    /// The objects of a folder by their names, less ".cbor".
    pub(crate) fn objects(folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut objects: Vec<(String, Vec<u8>)> = fs::read_dir(directory().join(folder))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let name = name.strip_suffix(".cbor").unwrap().to_owned();
                (name, fs::read(&path).unwrap())
            })
            .collect();
        assert!(objects.len() >= 10, "{folder} holds hardly anything");
        objects.sort();
        objects
    }

    pub(crate) fn good(name: &str) -> Vec<u8> {
        fs::read(directory().join(format!("good/{name}.cbor"))).unwrap()
    }

    /// A verifier that trusts the root of the folder alone.
    pub(crate) fn verifier(&self, backend: Box<dyn SignatureVerifier>) -> Verifier {
        let root = TrustAnchor::laboratory(&self.root, "testdata").unwrap();
        Verifier::new(vec![root], backend)
    }

    /// Why an object is refused; `None` where it verifies.
    pub(crate) fn refused(&self, verifier: &Verifier, object: &[u8]) -> Option<Reason> {
        verifier
            .verify_object(object, &self.freshness, self.now)
            .err()
            .map(|refusal| refusal.reason)
    }
}

/// The byte strings of `x5c`, slices of the object; `None` where it is none of
/// the form {"fmt": .., "attStmt": {"x5c": [bytes, ..]}}.
pub(crate) fn x5c(object: &[u8]) -> Option<Vec<&[u8]>> {
    let mut decoder = Decoder::new(object);
    enter(&mut decoder, "attStmt")?;
    enter(&mut decoder, "x5c")?;
    (0..decoder.array().ok()??)
        .map(|_| decoder.bytes().ok())
        .collect()
}

/// Goes to the value of this key of the map that begins here.
fn enter(decoder: &mut Decoder<'_>, wanted: &str) -> Option<()> {
    for _ in 0..decoder.map().ok()?? {
        if decoder.probe().str().ok() == Some(wanted) {
            return decoder.skip().ok();
        }
        decoder.skip().ok()?;
        decoder.skip().ok()?;
    }
    None
}

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/evidence"
    ))
}
