//! The fast back-end.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::{BadSignature, SignatureAlgorithm, SignatureVerifier};
use crate::x509::key::PublicKey;

/// Verification by aws-lc-rs: about four times as fast as
/// [`RustCrypto`](super::RustCrypto), where it can be built.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

impl SignatureVerifier for AwsLc {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        spki_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        use SignatureAlgorithm::{
            EcdsaSha256, EcdsaSha384, EcdsaSha512, RsaSha256, RsaSha384, RsaSha512,
        };

        let (algorithm, key): (&'static dyn VerificationAlgorithm, &[u8]) =
            match (PublicKey::for_verification(spki_der)?, algorithm) {
                (PublicKey::P256(point), EcdsaSha256) => {
                    (&signature::ECDSA_P256_SHA256_ASN1, point)
                }
                (PublicKey::P256(point), EcdsaSha384) => {
                    (&signature::ECDSA_P256_SHA384_ASN1, point)
                }
                (PublicKey::P256(point), EcdsaSha512) => {
                    (&signature::ECDSA_P256_SHA512_ASN1, point)
                }
                (PublicKey::P384(point), EcdsaSha256) => {
                    (&signature::ECDSA_P384_SHA256_ASN1, point)
                }
                (PublicKey::P384(point), EcdsaSha384) => {
                    (&signature::ECDSA_P384_SHA384_ASN1, point)
                }
                (PublicKey::P384(point), EcdsaSha512) => {
                    (&signature::ECDSA_P384_SHA512_ASN1, point)
                }
                (PublicKey::Rsa { der, .. }, RsaSha256) => {
                    (&signature::RSA_PKCS1_2048_8192_SHA256, der)
                }
                (PublicKey::Rsa { der, .. }, RsaSha384) => {
                    (&signature::RSA_PKCS1_2048_8192_SHA384, der)
                }
                (PublicKey::Rsa { der, .. }, RsaSha512) => {
                    (&signature::RSA_PKCS1_2048_8192_SHA512, der)
                }
                (PublicKey::P256(_) | PublicKey::P384(_), RsaSha256 | RsaSha384 | RsaSha512)
                | (PublicKey::Rsa { .. }, EcdsaSha256 | EcdsaSha384 | EcdsaSha512) => {
                    return Err(BadSignature);
                }
            };
        UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }
}
