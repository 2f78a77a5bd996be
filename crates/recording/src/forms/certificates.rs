//! Certificates and CSRs in DER, and PKCS #7.

use der::{
    Decode, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, ObjectIdentifier},
};

use super::{Certainty, Content, FormError, Layer, Looked, MAX_CERTIFICATES, Note, Search, order};

/// `id-signedData` (RFC 5652 section 5.1).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// What a SEQUENCE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Certificate,
    Csr,
    SignedData,
}

impl Search {
    /// One element of DER or several behind each other.
    pub(super) fn der(&mut self, input: &[u8], certainty: Certainty) -> Looked {
        let elements = elements(input);
        let kinds: Option<Vec<Kind>> = elements
            .as_ref()
            .and_then(|list| list.iter().map(|der| kind(der)).collect());
        let is_named = certainty == Certainty::Named;
        let list = match (kinds.as_deref(), elements) {
            (Some([Kind::SignedData]), _) => return self.pkcs7(input),
            (Some([Kind::Csr]), _) => return Ok(self.csr(input)),
            (Some(kinds), Some(list)) if kinds.iter().all(|kind| *kind == Kind::Certificate) => {
                list.into_iter().map(<[u8]>::to_vec).collect()
            }
            // With other bytes behind it: it is shown with that fault.
            _ if is_named && kind(input) == Some(Kind::Certificate) => vec![input.to_owned()],
            _ if is_named && kind(input) == Some(Kind::Csr) => return Ok(self.csr(input)),
            _ => return Ok(false),
        };
        self.within(Layer::Der, |search| search.certificates(list))?;
        Ok(true)
    }

    fn csr(&mut self, input: &[u8]) -> bool {
        self.within(Layer::Der, |search| {
            search.found(Content::Csr(input.to_owned()), Vec::new());
        });
        true
    }

    /// Certificates in DER, as they came.
    ///
    /// # Errors
    /// They are more than a chain or bundle may have.
    pub(super) fn certificates(&mut self, list: Vec<Vec<u8>>) -> Result<(), FormError> {
        if list.len() > MAX_CERTIFICATES {
            return Err(FormError::TooManyCertificates(list.len()));
        }
        for (chain, notes) in order::chains(list) {
            self.found(Content::Certificates(chain), notes);
        }
        Ok(())
    }

    /// The certificates of a SignedData, whose order means nothing: they are a
    /// SET. RFC 5652 section 5.1:
    ///
    /// ```text
    /// SignedData ::= SEQUENCE {
    ///   version CMSVersion,
    ///   digestAlgorithms DigestAlgorithmIdentifiers,
    ///   encapContentInfo EncapsulatedContentInfo,
    ///   certificates [0] IMPLICIT CertificateSet OPTIONAL,
    ///   crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
    ///   signerInfos SignerInfos }
    /// ```
    pub(super) fn pkcs7(&mut self, input: &[u8]) -> Looked {
        let read = signed_certificates(input);
        let list = read.map_err(|error| FormError::Broken {
            form: "PKCS #7",
            fault: format!("{error} (BER that is not DER is not read)"),
        })?;
        if list.is_empty() {
            return Err(FormError::NoEvidence {
                form: "PKCS #7",
                lacks: "it has no certificates",
            });
        }
        self.within(Layer::Pkcs7, |search| {
            let before = search.pieces.len();
            search.certificates(list)?;
            // A SET has no order that could be wrong.
            for piece in &mut search.pieces[before..] {
                (piece.notes).retain(|note| !matches!(note, Note::Reordered | Note::Reversed));
            }
            Ok(true)
        })
    }
}

/// The elements that follow each other to the end of the input.
fn elements(mut input: &[u8]) -> Option<Vec<&[u8]>> {
    let mut list = Vec::new();
    while !input.is_empty() && list.len() <= MAX_CERTIFICATES {
        let (_, rest) = AnyRef::from_der_partial(input).ok()?;
        let (one, _) = input.split_at_checked(input.len() - rest.len())?;
        list.push(one);
        input = rest;
    }
    Some(list)
}

/// Whether this is one complete certificate, by its shape.
pub(super) fn is_certificate(der: &[u8]) -> bool {
    matches!(elements(der).as_deref(), Some([one]) if kind(one) == Some(Kind::Certificate))
}

/// Certificates and CSRs are both `SEQUENCE { SEQUENCE { .. }, .. }`; what is
/// first inside tells them apart.
fn kind(input: &[u8]) -> Option<Kind> {
    let (outer, _) = AnyRef::from_der_partial(input).ok()?;
    outer.tag().assert_eq(Tag::Sequence).ok()?;
    let mut fields = SliceReader::new(outer.value()).ok()?;
    let first = AnyRef::decode(&mut fields).ok()?;
    if first.tag() == Tag::ObjectIdentifier {
        let is_signed_data = first.decode_as::<ObjectIdentifier>() == Ok(SIGNED_DATA);
        return is_signed_data.then_some(Kind::SignedData);
    }
    first.tag().assert_eq(Tag::Sequence).ok()?;
    let mut fields = SliceReader::new(first.value()).ok()?;
    let mut tags = Vec::new();
    while !fields.is_finished() && tags.len() < 4 {
        tags.push(AnyRef::decode(&mut fields).ok()?.tag());
    }
    match tags.as_slice() {
        // TBSCertificate: the version, [0]; left out in version 1, whose fourth
        // field is the validity.
        [Tag::ContextSpecific { .. }, ..] | [Tag::Integer, _, _, Tag::Sequence] => {
            Some(Kind::Certificate)
        }
        // CertificationRequestInfo: version, subject, key, attributes.
        [Tag::Integer, Tag::Sequence, Tag::Sequence, ..] => Some(Kind::Csr),
        _ => None,
    }
}

fn signed_certificates(input: &[u8]) -> der::Result<Vec<Vec<u8>>> {
    let context_0 = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(0),
    };
    let outer = AnyRef::from_der(input)?;
    let mut fields = SliceReader::new(outer.value())?;
    // The type, which was looked at.
    AnyRef::decode(&mut fields)?;
    let content = AnyRef::decode(&mut fields)?;
    content.tag().assert_eq(context_0)?;
    let signed = AnyRef::decode(&mut SliceReader::new(content.value())?)?;
    let mut fields = SliceReader::new(signed.value())?;
    for _ in ["version", "digestAlgorithms", "encapContentInfo"] {
        AnyRef::decode(&mut fields)?;
    }
    let mut list = Vec::new();
    if !fields.is_finished() {
        let set = AnyRef::decode(&mut fields)?;
        if set.tag() == context_0 {
            let mut set = SliceReader::new(set.value())?;
            while !set.is_finished() && list.len() <= MAX_CERTIFICATES {
                list.push(set.tlv_bytes()?.to_vec());
            }
        }
    }
    Ok(list)
}
