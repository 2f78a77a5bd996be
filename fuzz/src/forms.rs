//! Any bytes as evidence in any form: nothing panics or takes long, and what is
//! found in an encoding of the input is what is found in the input.

use std::sync::LazyLock;

use assay_attest::{AwsLc, TrustAnchor, Verifier};
use assay_recording::forms::{self, Content, Layer};
use data_encoding::BASE64;

use crate::testdata::{CORPUS, files};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let root = TrustAnchor::laboratory(&CORPUS.root, "corpus").unwrap();
    Verifier::new(vec![TrustAnchor::apple(), root], Box::new(AwsLc))
});

/// The keys of the good objects: all that can be proved under their root, whose
/// key is lost.
static PROVED: LazyLock<Vec<[u8; 32]>> = LazyLock::new(|| {
    let prove = |(name, object): (String, Vec<u8>)| {
        let device = VERIFIER.verify_object(&object, &CORPUS.freshness, CORPUS.now);
        device
            .unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
            .spki_sha256
    };
    files("evidence/good").into_iter().map(prove).collect()
});

/// Reads `input`.
pub fn run(input: &[u8]) {
    let Ok(pieces) = forms::read(input) else {
        return;
    };
    assert!((1..=forms::MAX_PIECES).contains(&pieces.len()));
    for piece in &pieces {
        assert!(!piece.form.is_empty(), "{piece:?}");
        if let Content::Object(object) = &piece.content
            && let Some(key) = proves(object)
        {
            assert!(PROVED.contains(&key), "forged: {piece:?}");
        }
    }
    // A form in base64 is the same form; text around evidence is not a form.
    let is_form = |layer: &Layer| !matches!(layer, Layer::Text | Layer::Utf16);
    if let [piece] = pieces.as_slice()
        && piece.form.iter().all(is_form)
        && piece.form.len() < 8
        && !matches!(&piece.content, Content::Object(object) if proves(object).is_none())
        && let Ok(again) = forms::read(BASE64.encode(input).as_bytes())
    {
        assert_eq!(again[0].content, piece.content);
    }
}

/// The key that an object proves.
fn proves(object: &[u8]) -> Option<[u8; 32]> {
    let device = VERIFIER.verify_object(object, &CORPUS.freshness, CORPUS.now);
    Some(device.ok()?.spki_sha256)
}
