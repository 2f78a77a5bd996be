//! What a file holds, by its content.

use assay_proto::{AttestationResponse, Base64Url};
use der::{Decode, Reader, SliceReader, Tag, Tagged, asn1::AnyRef};
use rustls_pki_types::pem::{PemObject, SectionKind};

use super::InspectError;
use crate::certificates::pem_fault;

/// What was found; not yet decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Certificates in DER, one or many.
    Certificates(Vec<Vec<u8>>),
    /// A CSR in DER.
    Csr(Vec<u8>),
    /// A CBOR map.
    Object(Vec<u8>),
}

/// Tells the things apart. The first bytes of DER and CBOR cannot begin a
/// text, so that binary forms are never taken for encoded ones.
///
/// # Errors
/// The input is none of them.
pub(super) fn detect(input: &[u8]) -> Result<Found, InspectError> {
    // No binary form begins with a byte order mark; files of text may.
    let input = input.strip_prefix("\u{feff}".as_bytes()).unwrap_or(input);
    if let Some(found) = plain(input) {
        return found;
    }
    // Base64 wraps any of the plain forms, itself not again.
    let text = std::str::from_utf8(input).map_err(|_| InspectError::Unknown)?;
    let text: String = text.split_ascii_whitespace().collect();
    if text.is_empty() {
        return Err(InspectError::Empty);
    }
    plain(&base64(&text).ok_or(InspectError::Unknown)?).unwrap_or(Err(InspectError::Unknown))
}

/// Everything but base64; `None` is none of it.
fn plain(input: &[u8]) -> Option<Result<Found, InspectError>> {
    match input {
        // A SEQUENCE with a long length.
        [0x30, 0x80..=0xff, ..] => Some(der(input)),
        // A map, of definite or indefinite length.
        [0xa0..=0xbf, ..] => Some(Ok(Found::Object(input.to_owned()))),
        _ if holds(input, b"-----BEGIN ") => Some(pem(input)),
        _ if input.trim_ascii_start().starts_with(b"{") => Some(json(input)),
        _ => None,
    }
}

fn holds(input: &[u8], marker: &[u8]) -> bool {
    input.windows(marker.len()).any(|window| window == marker)
}

/// Certificates and CSRs are both `SEQUENCE { SEQUENCE { .. }, .. }`; what
/// stands first inside tells them apart.
fn der(input: &[u8]) -> Result<Found, InspectError> {
    let tags = || {
        let (outer, _) = AnyRef::from_der_partial(input)?;
        let info = AnyRef::decode(&mut SliceReader::new(outer.value())?)?;
        info.tag().assert_eq(Tag::Sequence)?;
        let mut fields = SliceReader::new(info.value())?;
        let mut tags = Vec::new();
        while !fields.is_finished() && tags.len() < 4 {
            tags.push(AnyRef::decode(&mut fields)?.tag());
        }
        Ok::<_, der::Error>(tags)
    };
    match tags().unwrap_or_default().as_slice() {
        // TBSCertificate: the version, [0]; left out in version 1, whose
        // fourth field is the validity.
        [Tag::ContextSpecific { .. }, ..] | [Tag::Integer, _, _, Tag::Sequence] => {
            Ok(Found::Certificates(vec![input.to_owned()]))
        }
        // CertificationRequestInfo: version, subject, key, attributes.
        [Tag::Integer, Tag::Sequence, Tag::Sequence, ..] => Ok(Found::Csr(input.to_owned())),
        _ => Err(InspectError::Unknown),
    }
}

/// Text around the sections and sections of other kinds are skipped, as files
/// of certificates often have them.
fn pem(input: &[u8]) -> Result<Found, InspectError> {
    let mut certificates = Vec::new();
    let mut requests = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(input) {
        match section.map_err(|error| InspectError::PemBroken(pem_fault(&error)))? {
            (SectionKind::Certificate, der) => certificates.push(der),
            (SectionKind::Csr, der) => requests.push(der),
            _ => {}
        }
    }
    match (certificates.is_empty(), requests.pop()) {
        (true, None) => Err(InspectError::PemOther),
        (false, None) => Ok(Found::Certificates(certificates)),
        (true, Some(request)) if requests.is_empty() => Ok(Found::Csr(request)),
        (_, Some(_)) => Err(InspectError::PemMixed),
    }
}

/// The payload of a response to a device-attest-01 challenge.
fn json(input: &[u8]) -> Result<Found, InspectError> {
    serde_json::from_slice::<AttestationResponse>(input)
        .ok()
        .and_then(|response| base64(&response.att_obj?))
        .map(Found::Object)
        .ok_or(InspectError::JsonWithoutObject)
}

/// Either alphabet, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    Some(Base64Url::decode(&text).ok()?.0)
}
