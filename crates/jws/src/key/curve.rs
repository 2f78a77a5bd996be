use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm,
};

use crate::Algorithm;

/// The parameters of a curve of RFC 7518 section 6.2.1.1.
pub(crate) struct Curve {
    pub(crate) algorithm: Algorithm,
    /// Octets of one coordinate, and of r or s.
    pub(crate) coordinate_len: usize,
    /// The `crv` value.
    pub(crate) name: &'static str,
    /// The constant prefix of the DER SubjectPublicKeyInfo (RFC 5480 section
    /// 2), up to and including the 0x04 of the uncompressed point.
    pub(crate) spki_prefix: &'static [u8],
    pub(crate) verifier: &'static EcdsaVerificationAlgorithm,
}

/// The curves that ECDSA keys may use.
pub(crate) static CURVES: [Curve; 3] = [
    Curve {
        algorithm: Algorithm::Es256,
        coordinate_len: 32,
        name: "P-256",
        spki_prefix: b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
            \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
        verifier: &ECDSA_P256_SHA256_FIXED,
    },
    Curve {
        algorithm: Algorithm::Es384,
        coordinate_len: 48,
        name: "P-384",
        spki_prefix: b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
            \x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04",
        verifier: &ECDSA_P384_SHA384_FIXED,
    },
    Curve {
        algorithm: Algorithm::Es512,
        coordinate_len: 66,
        name: "P-521",
        spki_prefix: b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
            \x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04",
        verifier: &ECDSA_P521_SHA512_FIXED,
    },
];

/// The constant prefix of the DER SubjectPublicKeyInfo of Ed25519 (RFC 8410
/// section 4); the 32 octets of the key follow.
pub(crate) const ED25519_SPKI_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
