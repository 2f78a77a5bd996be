//! One X.509 certificate, taken apart without losing a byte of it.
//!
//! Everything is a slice of the input: names and keys are compared, and
//! signatures verified, over the bytes that were signed and not over what an
//! encoder would make of their meaning.

use const_oid::ObjectIdentifier;
use der::{
    Decode, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, BitStringRef},
};
use x509_cert::time::Time;

use crate::{
    extension::Extension,
    limits::{MAX_CERTIFICATE_BYTES, MAX_EXTENSIONS, MAX_SERIAL_BYTES},
    reason::{Finding, Reason},
    signature::SignatureAlgorithm,
};

/// ```text
/// Certificate  ::=  SEQUENCE  {
///      tbsCertificate       TBSCertificate,
///      signatureAlgorithm   AlgorithmIdentifier,
///      signatureValue       BIT STRING  }
///
/// TBSCertificate  ::=  SEQUENCE  {
///      version         [0]  EXPLICIT Version DEFAULT v1,
///      serialNumber         CertificateSerialNumber,
///      signature            AlgorithmIdentifier,
///      issuer               Name,
///      validity             Validity,
///      subject              Name,
///      subjectPublicKeyInfo SubjectPublicKeyInfo,
///      issuerUniqueID  [1]  IMPLICIT UniqueIdentifier OPTIONAL,
///      subjectUniqueID [2]  IMPLICIT UniqueIdentifier OPTIONAL,
///      extensions      [3]  EXPLICIT Extensions OPTIONAL }
/// ```
/// (RFC 5280 section 4.1)
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    /// The whole certificate.
    pub(crate) der: &'a [u8],
    /// What the signature covers: tag, length and content of the
    /// TBSCertificate as they came.
    pub(crate) tbs: &'a [u8],
    /// The content of the serial number's INTEGER.
    pub(crate) serial: &'a [u8],
    /// The AlgorithmIdentifier, the same inside and out.
    pub(crate) algorithm: AlgorithmIdentifier<'a>,
    /// The signature's bytes.
    pub(crate) signature: &'a [u8],
    /// The issuer's Name in DER.
    pub(crate) issuer: &'a [u8],
    /// The subject's Name in DER.
    pub(crate) subject: &'a [u8],
    /// Seconds since the Unix epoch.
    pub(crate) not_before: u64,
    /// Seconds since the Unix epoch.
    pub(crate) not_after: u64,
    /// The SubjectPublicKeyInfo in DER.
    pub(crate) spki: &'a [u8],
    /// In the order of the certificate; an identifier may stand here twice
    /// until [`check_repetitions`](Self::check_repetitions).
    pub(crate) extensions: Vec<Extension<'a>>,
}

impl<'a> Certificate<'a> {
    /// Takes a certificate apart that stands in a chain or above it: bounded,
    /// and without repeated extensions.
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Finding> {
        Self::check_size(der)?;
        let certificate = Self::parse(der)?;
        certificate.check_repetitions()?;
        Ok(certificate)
    }

    /// The first check of all, before anything is read.
    pub(crate) fn check_size(der: &[u8]) -> Result<(), Finding> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(Finding::new(
                Reason::CertificateTooLarge,
                format!("{} bytes, at most {MAX_CERTIFICATE_BYTES}", der.len()),
            ));
        }
        Ok(())
    }

    /// Takes a certificate apart. Refuses what is not DER, not version 3, has
    /// a bad serial number or two signature algorithms.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, Finding> {
        let mut whole = SliceReader::new(der)?;
        let mut outer = SliceReader::new(content(&mut whole, Tag::Sequence)?)?;
        whole.finish()?;
        let tbs = outer.tlv_bytes()?;
        let outer_algorithm = outer.tlv_bytes()?;
        let signature = whole_bytes(BitStringRef::decode(&mut outer)?)?;
        outer.finish()?;

        let mut reader = SliceReader::new(tbs)?;
        let mut fields = SliceReader::new(content(&mut reader, Tag::Sequence)?)?;
        check_version(&mut fields)?;
        let serial = content(&mut fields, Tag::Integer)?;
        check_serial(serial)?;
        let inner_algorithm = fields.tlv_bytes()?;
        // RFC 5280 section 4.1.1.2: "This field MUST contain the same
        // algorithm identifier as the signature field in the sequence
        // tbsCertificate".
        if inner_algorithm != outer_algorithm {
            return Err(Finding::new(
                Reason::SignatureAlgorithmMismatch,
                "signatureAlgorithm differs from tbsCertificate.signature",
            ));
        }
        let issuer = fields.tlv_bytes()?;
        check_name(issuer).map_err(|finding| finding.at("issuer"))?;
        let mut validity = SliceReader::new(content(&mut fields, Tag::Sequence)?)?;
        let not_before = Time::decode(&mut validity)?.to_unix_duration().as_secs();
        let not_after = Time::decode(&mut validity)?.to_unix_duration().as_secs();
        validity.finish()?;
        let subject = fields.tlv_bytes()?;
        check_name(subject).map_err(|finding| finding.at("subject"))?;
        let spki = fields.tlv_bytes()?;
        let extensions = read_extensions(&mut fields)?;
        // RFC 5280 section 4.1.2.8: "CAs conforming to this profile MUST NOT
        // generate certificates with unique identifiers." They would stand
        // before the extensions, whose reader refuses them as trailing data.
        fields.finish()?;

        Ok(Self {
            der,
            tbs,
            serial,
            algorithm: AlgorithmIdentifier::parse(outer_algorithm)?,
            signature,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            extensions,
        })
    }

    /// RFC 5280 section 4.2: "A certificate MUST NOT include more than one
    /// instance of a particular extension."
    pub(crate) fn check_repetitions(&self) -> Result<(), Finding> {
        for (index, extension) in self.extensions.iter().enumerate() {
            if self.extensions[..index]
                .iter()
                .any(|earlier| earlier.oid == extension.oid)
            {
                return Err(Finding::new(
                    extension.repetition(),
                    format!("extension {} stands there twice", extension.oid),
                ));
            }
        }
        Ok(())
    }

    /// The one extension with this identifier.
    pub(crate) fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension<'a>> {
        self.extensions
            .iter()
            .find(|extension| extension.oid == oid)
    }
}

/// `AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters
/// ANY DEFINED BY algorithm OPTIONAL }` (RFC 5280 section 4.1.1.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlgorithmIdentifier<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) parameters: Option<AnyRef<'a>>,
}

impl<'a> AlgorithmIdentifier<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let mut fields = SliceReader::new(content(&mut reader, Tag::Sequence)?)?;
        reader.finish()?;
        let oid = object_identifier(&mut fields)?;
        let parameters = Option::<AnyRef<'a>>::decode(&mut fields)?;
        fields.finish()?;
        Ok(Self { oid, parameters })
    }

    /// The signature algorithm of that name, if it is one of ours.
    pub(crate) fn signature(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::ALL.iter().copied().find(|algorithm| {
            algorithm.oid() == self.oid
                && match self.parameters {
                    None => true,
                    // RFC 4055 section 5: "the parameters MUST be NULL.
                    // Implementations MUST accept the parameters being
                    // absent as well as present." RFC 5758 section 3.2 for
                    // ECDSA: "the encoding MUST omit the parameters field".
                    Some(parameters) => algorithm.is_rsa() && parameters == AnyRef::NULL,
                }
        })
    }
}

/// The content of the next element, which must have this tag.
pub(crate) fn content<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    let element = AnyRef::decode(reader)?;
    element.tag().assert_eq(tag)?;
    Ok(element.value())
}

/// The next element, an OBJECT IDENTIFIER. X.690 section 8.19.2: "the leading
/// octet of the subidentifier shall not have the value 80". The decoder would
/// take such a one for another identifier, and what is there twice for two
/// things.
pub(crate) fn object_identifier(reader: &mut SliceReader<'_>) -> der::Result<ObjectIdentifier> {
    let arcs = content(reader, Tag::ObjectIdentifier)?;
    let mut leading = true;
    for byte in arcs {
        if leading && *byte == 0x80 {
            return Err(Tag::ObjectIdentifier.value_error().into());
        }
        leading = *byte < 0x80;
    }
    ObjectIdentifier::from_bytes(arcs).map_err(|_| Tag::ObjectIdentifier.value_error().into())
}

/// The bytes of a BIT STRING without unused bits.
pub(crate) fn whole_bytes(bits: BitStringRef<'_>) -> Result<&[u8], Finding> {
    bits.as_bytes().ok_or_else(|| {
        Finding::new(
            Reason::CertificateMalformed,
            "a BIT STRING of whole bytes has unused bits",
        )
    })
}

/// RFC 5280 section 4.1.2.1: "When extensions are used, as expected in this
/// profile, version MUST be 3 (value is 2)."
fn check_version(fields: &mut SliceReader<'_>) -> Result<(), Finding> {
    const VERSION_TAG: u8 = 0xa0;
    const VERSION_3: &[u8] = &[0x02, 0x01, 0x02];

    if fields.peek_byte() == Some(VERSION_TAG) && AnyRef::decode(fields)?.value() == VERSION_3 {
        Ok(())
    } else {
        Err(Finding::new(
            Reason::CertificateVersion,
            "the version is not 3",
        ))
    }
}

/// RFC 5280 section 4.1.2.2: "The serial number MUST be a positive integer
/// [..]. Conforming CAs MUST NOT use serialNumber values longer than 20
/// octets."
fn check_serial(serial: &[u8]) -> Result<(), Finding> {
    let fault = match serial {
        [] => "is empty",
        [0] => "is zero",
        [0, second, ..] if *second < 0x80 => "has a leading zero byte",
        [first, ..] if *first >= 0x80 => "is negative",
        _ if serial.len() > MAX_SERIAL_BYTES => "has more than 20 bytes",
        _ => return Ok(()),
    };
    Err(Finding::new(
        Reason::CertificateSerialNumber,
        format!("the serial number {fault}"),
    ))
}

/// `Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }`
/// (RFC 5280 section 4.1.2.4): not empty, and its strings of the types that
/// the section lets new certificates use, and of their characters.
fn check_name(name: &[u8]) -> Result<(), Finding> {
    let malformed = |detail: &str| Finding::new(Reason::CertificateMalformed, detail);
    let mut reader = SliceReader::new(name)?;
    let mut rdns = SliceReader::new(content(&mut reader, Tag::Sequence)?)?;
    // RFC 5280 section 4.1.2.4: "The issuer field MUST contain a non-empty
    // distinguished name (DN)."
    if rdns.is_finished() {
        return Err(malformed("the name is empty"));
    }
    while !rdns.is_finished() {
        let mut attributes = SliceReader::new(content(&mut rdns, Tag::Set)?)?;
        if attributes.is_finished() {
            return Err(malformed("a relative name is empty"));
        }
        let mut before: &[u8] = &[];
        while !attributes.is_finished() {
            let encoded = attributes.tlv_bytes()?;
            // X.690 section 11.6: "The encodings of the component values of a
            // set-of value shall appear in ascending order".
            if encoded < before {
                return Err(malformed("a relative name is not in order"));
            }
            before = encoded;
            let mut attribute = SliceReader::new(encoded)?;
            let mut attribute = SliceReader::new(content(&mut attribute, Tag::Sequence)?)?;
            object_identifier(&mut attribute)?;
            let value = AnyRef::decode(&mut attribute)?;
            attribute.finish()?;
            let readable = match value.tag() {
                Tag::Utf8String => std::str::from_utf8(value.value()).is_ok(),
                Tag::PrintableString => value
                    .value()
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte)),
                Tag::Ia5String => value.value().is_ascii(),
                _ => false,
            };
            if !readable {
                return Err(malformed("an attribute is not a string of its type"));
            }
        }
    }
    Ok(())
}

fn read_extensions<'a>(fields: &mut SliceReader<'a>) -> Result<Vec<Extension<'a>>, Finding> {
    let tag = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(3),
    };
    if fields.is_finished() {
        return Ok(Vec::new());
    }
    let mut reader = SliceReader::new(content(fields, tag)?)?;
    let mut list = SliceReader::new(content(&mut reader, Tag::Sequence)?)?;
    reader.finish()?;
    let mut extensions = Vec::with_capacity(16);
    while !list.is_finished() {
        if extensions.len() == MAX_EXTENSIONS {
            return Err(Finding::new(
                Reason::TooManyExtensions,
                format!("more than {MAX_EXTENSIONS}"),
            ));
        }
        extensions.push(Extension::decode(content(&mut list, Tag::Sequence)?)?);
    }
    Ok(extensions)
}
