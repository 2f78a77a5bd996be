//! Forges the evidence of one simulated device, good or with one fault, and
//! whole corpora of it. No server is asked.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use assay_simulator::{
    Device, DeviceError, KeyType,
    authority::AttestationAuthority,
    corpus::{self, CorpusError, CorpusFile},
    evidence::DeviceProperties,
    faults::{ForgeError, Shape},
};
use sha2::{Digest, Sha256};

/// The longest nonce of a DeviceInformation query, in bytes (Apple's schema
/// `information.device.yaml`, key `DeviceAttestationNonce`).
pub const MAX_NONCE_LEN: usize = 32;

/// What the freshness code is made from.
#[derive(Clone, Debug)]
pub enum Freshness {
    /// The token of the corpus.
    Corpus,
    /// The token of a challenge.
    Token(String),
    /// The code itself.
    Code(Vec<u8>),
}

/// A request for evidence.
pub struct Request<'a> {
    /// What is forged.
    pub shape: Shape,
    /// The authority that signs.
    pub authority: &'a AttestationAuthority,
    /// What the evidence states of the device.
    pub properties: DeviceProperties,
    /// The kind of the device's key.
    pub key: KeyType,
    /// What the freshness code is made from.
    pub freshness: Freshness,
    /// When it is made, in seconds since the Unix epoch.
    pub time: u64,
}

/// Forged evidence.
pub struct Forged {
    /// The attestation object, CBOR.
    pub object: Vec<u8>,
    /// Its freshness code.
    pub freshness: Vec<u8>,
}

/// Why evidence cannot be forged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device has no key.
    #[error("cannot make the device's key")]
    Device(#[from] DeviceError),
    /// This device or authority cannot have that fault.
    #[error("cannot forge that")]
    Forge(#[from] ForgeError),
}

/// Forges evidence: the same bytes for the same request.
///
/// # Errors
/// See [`Error`].
pub fn forge(request: &Request<'_>) -> Result<Forged, Error> {
    let device: Device = corpus::device(request.properties.clone(), request.key)?;
    let mut forger = corpus::forger(request.authority, &device);
    forger.now = request.time;
    match &request.freshness {
        Freshness::Corpus => {}
        Freshness::Token(token) => {
            forger.freshness = Sha256::digest(token).to_vec();
            forger.key_authorization = corpus::key_authorization(token);
        }
        Freshness::Code(code) => forger.freshness.clone_from(code),
    }
    Ok(Forged {
        object: request.shape.forge(&forger)?.attestation_object(),
        freshness: forger.freshness,
    })
}

/// A corpus that is committed, and the same bytes each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corpus {
    /// `testdata/evidence`
    Evidence,
    /// `testdata/recordings`
    Recordings,
}

impl Corpus {
    /// Forges its files.
    ///
    /// # Errors
    /// A file cannot be forged.
    pub fn files(self) -> Result<Vec<CorpusFile>, CorpusError> {
        match self {
            Self::Evidence => corpus::files(),
            Self::Recordings => corpus::recordings(),
        }
    }

    /// Writes its files into `dir`. A file of its kind that it does not have is
    /// removed if `force`.
    ///
    /// # Errors
    /// There is such a file and no `force`; a folder or a file cannot be written.
    pub fn write(self, dir: &Path, files: &[CorpusFile], force: bool) -> anyhow::Result<()> {
        let (folders, kind) = match self {
            Self::Evidence => (vec![dir.join("good"), dir.join("bad")], "cbor"),
            Self::Recordings => (vec![dir.to_owned()], "json"),
        };
        let own: HashSet<_> = files.iter().map(|file| dir.join(&file.path)).collect();
        let mut others = Vec::new();
        for folder in folders {
            let found = others_in(&folder, kind, &own);
            let cannot = || format!("cannot write to {}", folder.display());
            others.extend(found.with_context(cannot)?);
        }
        if let Some(other) = others.first().filter(|_| !force) {
            bail!(
                "{} is no file of the corpus, and would be removed: name another folder, or give --force",
                other.display()
            );
        }
        for other in others {
            fs::remove_file(&other)
                .with_context(|| format!("cannot remove {}", other.display()))?;
        }
        for file in files {
            let path = dir.join(&file.path);
            fs::write(&path, &file.bytes)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Creates the folder, or finds the files of this kind in it that are not `own`.
fn others_in(folder: &Path, kind: &str, own: &HashSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut others = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_of_kind = path.extension().is_some_and(|extension| extension == kind);
        if is_of_kind && !own.contains(&path) {
            others.push(path);
        }
    }
    Ok(others)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "what cannot be set up fails the test that needs it"
    )]

    use super::*;

    #[test]
    fn a_corpus_takes_the_place_of_its_kind_alone() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("good");
        fs::create_dir(&good).unwrap();
        for name in ["old.cbor", "README.md"] {
            fs::write(good.join(name), "").unwrap();
        }
        let files = Corpus::Evidence.files().unwrap();
        let error = Corpus::Evidence
            .write(dir.path(), &files, false)
            .unwrap_err();
        assert!(format!("{error:#}").contains("old.cbor is no file of the corpus"));
        assert_eq!(fs::read_dir(&good).unwrap().count(), 2);
        Corpus::Evidence.write(dir.path(), &files, true).unwrap();
        assert!(!good.join("old.cbor").exists());
        assert!(good.join("README.md").exists());
        for file in &files {
            assert_eq!(fs::read(dir.path().join(&file.path)).unwrap(), file.bytes);
        }
        let taken = dir.path().join("file");
        fs::write(&taken, "").unwrap();
        let error = Corpus::Recordings.write(&taken, &[], true).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.starts_with("cannot write to "), "{said}");
    }

    #[test]
    fn the_token_and_its_hash_as_a_code_make_the_same_evidence() {
        let authority = corpus::authority().unwrap();
        let forged = |freshness| {
            let request = Request {
                shape: Shape::default(),
                authority: &authority,
                properties: DeviceProperties::mac(corpus::SERIAL, corpus::UDID),
                key: KeyType::P256,
                freshness,
                time: corpus::NOW,
            };
            forge(&request).unwrap().object
        };
        let token = forged(Freshness::Token("token".to_owned()));
        let code = Sha256::digest("token").to_vec();
        assert_eq!(token, forged(Freshness::Code(code)));
        assert_ne!(token, forged(Freshness::Corpus));
    }
}
