//! Reading what was issued.

use der::{Decode, Encode};
use pem_rfc7468::LineEnding;

use crate::{
    SerialNumber,
    tbs::{Certificate, TbsCertificate},
};

/// A certificate as PEM (RFC 7468), with a final newline; `None` where it is
/// larger than this machine's memory could hold.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> Option<String> {
    pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).ok()
}

/// The serial number of a certificate that this CA may have issued; `None`
/// for anything that is not of the form that this CA writes. Nothing else of
/// it is checked: the caller compares all its bytes with those on record.
#[must_use]
pub fn serial_number_of(der: &[u8]) -> Option<SerialNumber> {
    let certificate = Certificate::from_der(der).ok()?;
    let tbs_der = certificate.tbs_certificate.to_der().ok()?;
    let tbs = TbsCertificate::from_der(&tbs_der).ok()?;
    SerialNumber::from_magnitude(tbs.serial_number.as_bytes()).ok()
}
