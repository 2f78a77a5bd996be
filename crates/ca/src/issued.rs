//! Parses and encodes issued certificates.

use der::{Decode, Encode};
use pem_rfc7468::LineEnding;

use crate::{
    SerialNumber,
    tbs::{Certificate, TbsCertificate},
};

/// Encodes a certificate as PEM (RFC 7468), with a final newline. `None` if the
/// result exceeds the address space.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> Option<String> {
    pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).ok()
}

/// Extracts the serial number of a certificate that this CA may have issued.
/// `None` for any input that this CA does not write. Nothing else is checked:
/// the caller must compare the whole certificate with the recorded one.
#[must_use]
pub fn serial_number_of(der: &[u8]) -> Option<SerialNumber> {
    let certificate = Certificate::from_der(der).ok()?;
    let tbs_der = certificate.tbs_certificate.to_der().ok()?;
    let tbs = TbsCertificate::from_der(&tbs_der).ok()?;
    SerialNumber::from_magnitude(tbs.serial_number.as_bytes()).ok()
}
