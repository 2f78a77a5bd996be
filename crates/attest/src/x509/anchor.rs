//! The certificates at which a path ends.

use super::{
    Fault,
    certificate::Certificate,
    path,
    signature::{RustCrypto, SignatureVerifier},
};

/// A self-signed certificate that obeys the rules for a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) der: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) key_identifier: Option<Vec<u8>>,
    pub(crate) path_length: Option<u8>,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

/// Why a certificate is no anchor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AnchorFault {
    /// It cannot be read.
    Certificate(Fault),
    /// Another key signed it, or none.
    NotSelfSigned,
    /// It may not issue certificates.
    Path(Fault),
}

impl Anchor {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, AnchorFault> {
        let certificate = Certificate::read(der).map_err(AnchorFault::Certificate)?;
        let path_length = path::check_ca(&certificate).map_err(AnchorFault::Path)?;
        let algorithm = path::signature_algorithm(&certificate).map_err(AnchorFault::Path)?;
        let key_identifier = path::key_identifier(&certificate).map_err(AnchorFault::Path)?;
        if certificate.issuer != certificate.subject
            || RustCrypto
                .verify(
                    algorithm,
                    certificate.spki,
                    certificate.tbs,
                    certificate.signature,
                )
                .is_err()
        {
            return Err(AnchorFault::NotSelfSigned);
        }
        Ok(Self {
            der: der.to_owned(),
            subject: certificate.subject.to_owned(),
            spki: certificate.spki.to_owned(),
            key_identifier: key_identifier.map(<[u8]>::to_owned),
            path_length,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        })
    }
}
