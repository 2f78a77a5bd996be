//! One X.509 certificate, taken apart without losing a byte of it.
//!
//! Everything is a slice of the input: names and keys are compared, and
//! signatures verified, over the bytes that were signed and not over what an
//! encoder would make of their meaning.

use const_oid::ObjectIdentifier;
use der::{Decode, SliceReader, Tag, Tagged, asn1::AnyRef};
use x509_cert::time::Time;

use crate::{
    extension::Extension,
    limits::{MAX_CERTIFICATE_BYTES, MAX_EXTENSIONS, MAX_NAME_ATTRIBUTES, MAX_SERIAL_BYTES},
    reason::{Finding, Reason},
    signature::SignatureAlgorithm,
    tlv::{self, Element, Elements, Malformed},
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
        let mut outer = tlv::only(der, tlv::SEQUENCE)?;
        let tbs = outer.next()?;
        let outer_algorithm = outer.next()?.whole;
        let signature = whole_bytes(outer.content(tlv::BIT_STRING)?)?;
        outer.finish()?;

        let mut fields = Elements::of(tbs.tagged(tlv::SEQUENCE)?);
        check_version(&mut fields)?;
        let serial = fields.content(tlv::INTEGER)?;
        check_serial(serial)?;
        let inner_algorithm = fields.next()?.whole;
        // RFC 5280 section 4.1.1.2: "This field MUST contain the same
        // algorithm identifier as the signature field in the sequence
        // tbsCertificate".
        if inner_algorithm != outer_algorithm {
            return Err(Finding::new(
                Reason::SignatureAlgorithmMismatch,
                "signatureAlgorithm differs from tbsCertificate.signature",
            ));
        }
        let issuer = fields.next()?;
        check_name(issuer).map_err(|finding| finding.at("issuer"))?;
        let mut validity = Elements::of(fields.content(tlv::SEQUENCE)?);
        let not_before = seconds(validity.next()?)?;
        let not_after = seconds(validity.next()?)?;
        validity.finish()?;
        let subject = fields.next()?;
        check_name(subject).map_err(|finding| finding.at("subject"))?;
        let spki = fields.next()?.whole;
        let extensions = read_extensions(&mut fields)?;
        // RFC 5280 section 4.1.2.8: "CAs conforming to this profile MUST NOT
        // generate certificates with unique identifiers." They would stand
        // before the extensions, whose reader refuses them as trailing data.
        fields.finish()?;

        Ok(Self {
            der,
            tbs: tbs.whole,
            serial,
            algorithm: AlgorithmIdentifier::parse(outer_algorithm)?,
            signature,
            issuer: issuer.whole,
            subject: subject.whole,
            not_before,
            not_after,
            spki,
            extensions,
        })
    }

    /// RFC 5280 section 4.2: "A certificate MUST NOT include more than one
    /// instance of a particular extension."
    pub(crate) fn check_repetitions(&self) -> Result<(), Finding> {
        // Sorted, equal ones are neighbours; where there are none, that was all.
        let mut sorted: Vec<_> = (self.extensions.iter())
            .map(|extension| extension.oid.as_bytes())
            .collect();
        sorted.sort_unstable();
        if sorted.windows(2).all(|pair| pair[0] != pair[1]) {
            return Ok(());
        }
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
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, Finding> {
        let mut fields = tlv::only(der, tlv::SEQUENCE)?;
        let oid = tlv::object_identifier(fields.content(tlv::OBJECT_IDENTIFIER)?)?;
        let parameters = if fields.is_finished() {
            None
        } else {
            Some(AnyRef::from_der(fields.next()?.whole)?)
        };
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

/// The bytes of a BIT STRING, from its content: without unused bits.
fn whole_bytes(bits: &[u8]) -> Result<&[u8], Malformed> {
    match bits {
        [0, bytes @ ..] => Ok(bytes),
        _ => Err(Malformed("a BIT STRING of whole bytes has unused bits")),
    }
}

/// Seconds since the Unix epoch.
fn seconds(time: Element<'_>) -> Result<u64, Finding> {
    // RFC 5280 section 4.1.2.5: "CAs conforming to this profile MUST always
    // encode certificate validity dates through the year 2049 as UTCTime".
    if time.tag == tlv::GENERALIZED_TIME && time.content < b"2050" {
        return Err(Malformed("a year before 2050 is a GeneralizedTime").into());
    }
    Ok(Time::from_der(time.whole)?.to_unix_duration().as_secs())
}

/// RFC 5280 section 4.1.2.1: "When extensions are used, as expected in this
/// profile, version MUST be 3 (value is 2)."
fn check_version(fields: &mut Elements<'_>) -> Result<(), Finding> {
    const VERSION_3: &[u8] = &[0x02, 0x01, 0x02];

    if fields.optional(tlv::CONTEXT_0)? == Some(VERSION_3) {
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
fn check_name(name: Element<'_>) -> Result<(), Finding> {
    let mut rdns = Elements::of(name.tagged(tlv::SEQUENCE)?);
    // RFC 5280 section 4.1.2.4: "The issuer field MUST contain a non-empty
    // distinguished name (DN)."
    if rdns.is_finished() {
        return Err(Malformed("the name is empty").into());
    }
    let mut count = 0;
    while !rdns.is_finished() {
        let mut attributes = Elements::of(rdns.content(tlv::SET)?);
        if attributes.is_finished() {
            return Err(Malformed("a relative name is empty").into());
        }
        let mut before: Option<&[u8]> = None;
        while !attributes.is_finished() {
            count += 1;
            if count > MAX_NAME_ATTRIBUTES {
                return Err(Finding::new(
                    Reason::TooManyAttributes,
                    format!("more than {MAX_NAME_ATTRIBUTES}"),
                ));
            }
            let attribute = attributes.next()?;
            // X.690 section 11.6: "The encodings of the component values of a
            // set-of value shall appear in ascending order".
            if before.is_some_and(|before| attribute.whole < before) {
                return Err(Malformed("a relative name is not in order").into());
            }
            before = Some(attribute.whole);
            check_attribute(attribute)?;
        }
    }
    Ok(())
}

fn check_attribute(attribute: Element<'_>) -> Result<(), Malformed> {
    let mut fields = Elements::of(attribute.tagged(tlv::SEQUENCE)?);
    if !tlv::is_minimal(fields.content(tlv::OBJECT_IDENTIFIER)?) {
        return Err(Malformed("an attribute's identifier is not DER"));
    }
    let value = fields.next()?;
    fields.finish()?;
    let readable = match value.tag {
        tlv::UTF8_STRING => std::str::from_utf8(value.content).is_ok(),
        tlv::PRINTABLE_STRING => (value.content.iter())
            .all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte)),
        tlv::IA5_STRING => value.content.is_ascii(),
        _ => false,
    };
    if readable {
        Ok(())
    } else {
        Err(Malformed("an attribute is not a string of its type"))
    }
}

fn read_extensions<'a>(fields: &mut Elements<'a>) -> Result<Vec<Extension<'a>>, Finding> {
    if fields.is_finished() {
        return Ok(Vec::new());
    }
    let mut list = tlv::only(fields.content(tlv::CONTEXT_3)?, tlv::SEQUENCE)?;
    let mut extensions = Vec::with_capacity(16);
    while !list.is_finished() {
        if extensions.len() == MAX_EXTENSIONS {
            return Err(Finding::new(
                Reason::TooManyExtensions,
                format!("more than {MAX_EXTENSIONS}"),
            ));
        }
        extensions.push(Extension::decode(list.content(tlv::SEQUENCE)?)?);
    }
    Ok(extensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_until_2049_are_utc_times() {
        let read = |tag: u8, text: &str| {
            let der = [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            let time = Elements::of(&der).next().unwrap();
            seconds(time).ok()
        };
        assert_eq!(read(0x17, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read(0x18, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(read(0x18, "20491231235959Z"), None);
        assert_eq!(read(0x18, "19700101000000Z"), None);
    }
}
