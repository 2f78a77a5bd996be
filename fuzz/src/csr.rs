//! Any bytes as a certification request: only who has a key can make one for it.

use std::sync::LazyLock;

use assay_ca::{Csr, MAX_CSR_LEN};

use crate::testdata::files;

/// How the SubjectPublicKeyInfo of Ed25519 begins (RFC 8410 section 4). Some of
/// these keys have a small order, and anybody can sign for them: whoever asks
/// for a certificate over one gets what he asks for.
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70";

/// The good requests: nobody has their keys any more.
static SIGNED: LazyLock<Vec<Csr>> = LazyLock::new(|| {
    files("csr/good")
        .into_iter()
        .map(|(name, der)| Csr::parse(&der).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
});

/// Parses `der`.
pub fn run(der: &[u8]) {
    let Ok(csr) = Csr::parse(der) else { return };
    assert!(der.len() <= MAX_CSR_LEN);
    assert!(
        SIGNED.contains(&csr) || csr.spki_der().starts_with(ED25519),
        "forged: {csr:?}"
    );
    let key_stands_there = der
        .windows(csr.spki_der().len())
        .any(|part| part == csr.spki_der());
    assert!(key_stands_there, "the key is not the request's");
    assert_eq!(*csr.spki_sha256(), assay_engine::sha256(csr.spki_der()));
}
