//! The root for Managed Device Attestation.

/// Apple Enterprise Attestation Root CA, DER (P-384, 2022-02-16 to
/// 2047-02-20, SHA-256
/// `ccf59ef8fcb3017d97f8b5fa6fa90e7a3f9283f76b55ac6cf6eda8b8b949f05b`).
pub(crate) const DER: &[u8] =
    include_bytes!("../../roots/apple-enterprise-attestation-root-ca.der");

/// Its name for people.
pub(crate) const NAME: &str = "Apple Enterprise Attestation Root CA";
