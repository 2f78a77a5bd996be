//! The portable back-end: pure Rust, on every target.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::{BoxedUint, pkcs1v15};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{BadSignature, SignatureAlgorithm, SignatureVerifier};
use crate::x509::key::PublicKey;

/// Verification by the RustCrypto crates `p256`, `p384` and `rsa`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl SignatureVerifier for RustCrypto {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        spki_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let key = PublicKey::for_verification(spki_der)?;
        match algorithm {
            SignatureAlgorithm::EcdsaSha256 => ecdsa(key, &Sha256::digest(message), signature),
            SignatureAlgorithm::EcdsaSha384 => ecdsa(key, &Sha384::digest(message), signature),
            SignatureAlgorithm::EcdsaSha512 => ecdsa(key, &Sha512::digest(message), signature),
            SignatureAlgorithm::RsaSha256 => {
                let verifier = pkcs1v15::VerifyingKey::<Sha256>::new(rsa_key(key)?);
                rsa(&verifier, &Sha256::digest(message), signature)
            }
            SignatureAlgorithm::RsaSha384 => {
                let verifier = pkcs1v15::VerifyingKey::<Sha384>::new(rsa_key(key)?);
                rsa(&verifier, &Sha384::digest(message), signature)
            }
            SignatureAlgorithm::RsaSha512 => {
                let verifier = pkcs1v15::VerifyingKey::<Sha512>::new(rsa_key(key)?);
                rsa(&verifier, &Sha512::digest(message), signature)
            }
        }
    }
}

fn ecdsa(key: PublicKey<'_>, digest: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    match key {
        PublicKey::P256(point) => {
            let key =
                p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| BadSignature)?;
            let signature =
                p256::ecdsa::Signature::from_der(signature).map_err(|_| BadSignature)?;
            key.verify_prehash(digest, &signature)
        }
        PublicKey::P384(point) => {
            let key =
                p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| BadSignature)?;
            let signature =
                p384::ecdsa::Signature::from_der(signature).map_err(|_| BadSignature)?;
            key.verify_prehash(digest, &signature)
        }
        PublicKey::Rsa { .. } => return Err(BadSignature),
    }
    .map_err(|_| BadSignature)
}

fn rsa_key(key: PublicKey<'_>) -> Result<rsa::PublicKey, BadSignature> {
    let PublicKey::Rsa {
        modulus, exponent, ..
    } = key
    else {
        return Err(BadSignature);
    };
    rsa::PublicKey::new(
        BoxedUint::from_be_slice_vartime(modulus),
        BoxedUint::from_be_slice_vartime(exponent),
    )
    .map_err(|_| BadSignature)
}

fn rsa(
    key: &impl PrehashVerifier<pkcs1v15::Signature>,
    digest: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let signature = pkcs1v15::Signature::try_from(signature).map_err(|_| BadSignature)?;
    key.verify_prehash(digest, &signature)
        .map_err(|_| BadSignature)
}
