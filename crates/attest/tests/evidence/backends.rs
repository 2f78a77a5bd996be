//! The two back-ends accept the same signatures.

use assay_attest::{BadSignature, SignatureAlgorithm};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use rcgen::{
    KeyPair, PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512, PublicKeyData, RsaKeySize,
    SigningKey,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::laboratory::backends;

const MESSAGE: &[u8] = b"the part of a certificate that is signed";

/// What every back-end says.
fn verdict(
    algorithm: SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let [first, second] =
        backends().map(|backend| backend.verify(algorithm, spki, message, signature));
    assert_eq!(first, second, "the back-ends differ for {algorithm:?}");
    first
}

fn digest(algorithm: SignatureAlgorithm) -> Vec<u8> {
    match algorithm {
        SignatureAlgorithm::EcdsaSha256 => Sha256::digest(MESSAGE).to_vec(),
        SignatureAlgorithm::EcdsaSha384 => Sha384::digest(MESSAGE).to_vec(),
        _ => Sha512::digest(MESSAGE).to_vec(),
    }
}

#[test]
fn any_curve_goes_with_any_hash() {
    use p256::pkcs8::EncodePublicKey;

    let p256 = p256::ecdsa::SigningKey::from_slice(&[0x17; 32]).unwrap();
    let p384 = p384::ecdsa::SigningKey::from_slice(&[0x17; 48]).unwrap();
    let p256_spki = p256.verifying_key().to_public_key_der().unwrap();
    let p384_spki = p384.verifying_key().to_public_key_der().unwrap();
    for algorithm in [
        SignatureAlgorithm::EcdsaSha256,
        SignatureAlgorithm::EcdsaSha384,
        SignatureAlgorithm::EcdsaSha512,
    ] {
        let hash = digest(algorithm);
        let small: p256::ecdsa::Signature = p256.sign_prehash(&hash).unwrap();
        let large: p384::ecdsa::Signature = p384.sign_prehash(&hash).unwrap();
        for (spki, other, signature) in [
            (&p256_spki, &p384_spki, small.to_der().as_bytes().to_vec()),
            (&p384_spki, &p256_spki, large.to_der().as_bytes().to_vec()),
        ] {
            let spki = spki.as_bytes();
            assert_eq!(verdict(algorithm, spki, MESSAGE, &signature), Ok(()));
            let refused = Err(BadSignature);
            assert_eq!(verdict(algorithm, spki, b"other", &signature), refused);
            assert_eq!(
                verdict(algorithm, other.as_bytes(), MESSAGE, &signature),
                refused
            );
            for other in SignatureAlgorithm::ALL {
                if *other != algorithm {
                    assert_eq!(verdict(*other, spki, MESSAGE, &signature), refused);
                }
            }
            for place in 0..signature.len() {
                let mut mutated = signature.clone();
                mutated[place] ^= 1;
                assert_eq!(verdict(algorithm, spki, MESSAGE, &mutated), refused);
                assert_eq!(
                    verdict(algorithm, spki, MESSAGE, &signature[..place]),
                    refused
                );
            }
            let trailing = [signature.as_slice(), &[0]].concat();
            assert_eq!(verdict(algorithm, spki, MESSAGE, &trailing), refused);
        }
    }
}

#[test]
fn degenerate_ecdsa_signatures_are_refused() {
    use p256::pkcs8::EncodePublicKey;

    let key = p256::ecdsa::SigningKey::from_slice(&[0x17; 32]).unwrap();
    let spki = key.verifying_key().to_public_key_der().unwrap();
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let order = [&[0x02, 0x21, 0x00], order.unwrap().as_slice()].concat();
    let (zero, one) = (b"\x02\x01\x00".to_vec(), b"\x02\x01\x01".to_vec());
    for (r, s) in [
        (&zero, &one),
        (&one, &zero),
        (&zero, &zero),
        (&order, &one),
        (&one, &order),
        (&one, &one),
    ] {
        let numbers = [r.as_slice(), s].concat();
        let length = u8::try_from(numbers.len()).unwrap();
        let signature = [[0x30, length].as_slice(), &numbers].concat();
        assert_eq!(
            verdict(
                SignatureAlgorithm::EcdsaSha256,
                spki.as_bytes(),
                MESSAGE,
                &signature
            ),
            Err(BadSignature)
        );
    }
}

#[test]
fn rsa_keys_of_2048_to_4096_bits_verify() {
    for (template, algorithm) in [
        (&PKCS_RSA_SHA256, SignatureAlgorithm::RsaSha256),
        (&PKCS_RSA_SHA384, SignatureAlgorithm::RsaSha384),
        (&PKCS_RSA_SHA512, SignatureAlgorithm::RsaSha512),
    ] {
        let key = KeyPair::generate_rsa_for(template, RsaKeySize::_2048).unwrap();
        let spki = key.subject_public_key_info();
        let signature = key.sign(MESSAGE).unwrap();
        assert_eq!(verdict(algorithm, &spki, MESSAGE, &signature), Ok(()));
        let refused = Err(BadSignature);
        assert_eq!(verdict(algorithm, &spki, b"other", &signature), refused);
        assert_eq!(verdict(algorithm, &spki, MESSAGE, &signature[1..]), refused);
        let long = [&[0], signature.as_slice()].concat();
        assert_eq!(verdict(algorithm, &spki, MESSAGE, &long), refused);
        for place in (0..signature.len()).step_by(16) {
            let mut mutated = signature.clone();
            mutated[place] ^= 1;
            assert_eq!(verdict(algorithm, &spki, MESSAGE, &mutated), refused);
        }
    }
}
