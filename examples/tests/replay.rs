//! A test-suite that needs no Apple hardware: copy this file beside your own tests, and your
//! recordings into a folder of yours. Each is judged at its recorded time, so that the verdict is
//! the same a year later.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{fs, path::Path};

use assay_attest::{RustCrypto, TrustAnchor, Verifier};
use assay_recording::Recording;

#[test]
fn recorded_attestations_get_the_recorded_verdicts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/recordings");

    // Apple's root is built in. A laboratory's is named here, and not taken from the files.
    let pem = fs::read(folder.join("laboratory-root.pem")).unwrap();
    let (_, root) = pem_rfc7468::decode_vec(&pem).unwrap();
    let laboratory = TrustAnchor::laboratory(&root, "laboratory").unwrap();
    let roots = vec![TrustAnchor::apple(), laboratory];
    let verifier = Verifier::new(roots, Box::new(RustCrypto));

    let mut judged = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let recording = Recording::parse(&fs::read(&path).unwrap()).unwrap();
            let verdict = recording.judge(&verifier, recording.time().seconds());
            assert_eq!(recording.differences(&verdict), [], "{}", path.display());
            judged += 1;
        }
    }
    assert!(judged > 0, "no recordings: is the folder the right one?");
}
