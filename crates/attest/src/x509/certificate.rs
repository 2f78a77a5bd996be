//! One X.509 certificate, taken apart without losing a byte of it.
//!
//! Everything is a slice of the input: names and keys are compared, and
//! signatures verified, over the bytes that were signed and not over what an
//! encoder would make of their meaning.

use const_oid::ObjectIdentifier;
use der::{Decode, SliceReader, Tag, Tagged, asn1::AnyRef};
use x509_cert::time::Time;

use super::{
    Fault, FaultKind,
    extension::Extension,
    limits::{MAX_CERTIFICATE_BYTES, MAX_EXTENSIONS, MAX_SERIAL_BYTES},
    name,
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
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Fault> {
        Self::check_size(der)?;
        let certificate = Self::parse(der)?;
        certificate.check_repetitions()?;
        Ok(certificate)
    }

    /// The first check of all, before anything is read.
    pub(crate) fn check_size(der: &[u8]) -> Result<(), Fault> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(Fault::new(
                FaultKind::CertificateTooLarge,
                format!("{} bytes, at most {MAX_CERTIFICATE_BYTES}", der.len()),
            ));
        }
        Ok(())
    }

    /// Takes a certificate apart. Refuses what is not DER, not version 3, has
    /// a bad serial number or two signature algorithms.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, Fault> {
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
            return Err(Fault::new(
                FaultKind::SignatureAlgorithmMismatch,
                "signatureAlgorithm differs from tbsCertificate.signature",
            ));
        }
        let issuer = fields.next()?;
        name::check(issuer).map_err(|fault| fault.at("issuer"))?;
        let mut validity = Elements::of(fields.content(tlv::SEQUENCE)?);
        let not_before = seconds(validity.next()?)?;
        let not_after = seconds(validity.next()?)?;
        validity.finish()?;
        let subject = fields.next()?;
        name::check(subject).map_err(|fault| fault.at("subject"))?;
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
    pub(crate) fn check_repetitions(&self) -> Result<(), Fault> {
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
                return Err(Fault::new(
                    FaultKind::DuplicateExtension(extension.oid),
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
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, Fault> {
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
fn seconds(time: Element<'_>) -> Result<u64, Fault> {
    // RFC 5280 section 4.1.2.5: "CAs conforming to this profile MUST always
    // encode certificate validity dates through the year 2049 as UTCTime".
    if time.tag == tlv::GENERALIZED_TIME && time.content < b"2050".as_slice() {
        return Err(Malformed("a year before 2050 is a GeneralizedTime").into());
    }
    Ok(Time::from_der(time.whole)?.to_unix_duration().as_secs())
}

/// RFC 5280 section 4.1.2.1: "When extensions are used, as expected in this
/// profile, version MUST be 3 (value is 2)."
fn check_version(fields: &mut Elements<'_>) -> Result<(), Fault> {
    const VERSION_3: &[u8] = &[0x02, 0x01, 0x02];

    if fields.optional(tlv::CONTEXT_0)? == Some(VERSION_3) {
        Ok(())
    } else {
        Err(Fault::new(
            FaultKind::CertificateVersion,
            "the version is not 3",
        ))
    }
}

/// RFC 5280 section 4.1.2.2: "The serial number MUST be a positive integer
/// [..]. Conforming CAs MUST NOT use serialNumber values longer than 20
/// octets."
fn check_serial(serial: &[u8]) -> Result<(), Fault> {
    let fault = match serial {
        [] => "is empty",
        [0] => "is zero",
        [0, second, ..] if *second < 0x80 => "has a leading zero byte",
        [first, ..] if *first >= 0x80 => "is negative",
        _ if serial.len() > MAX_SERIAL_BYTES => "has more than 20 bytes",
        _ => return Ok(()),
    };
    Err(Fault::new(
        FaultKind::CertificateSerialNumber,
        format!("the serial number {fault}"),
    ))
}

fn read_extensions<'a>(fields: &mut Elements<'a>) -> Result<Vec<Extension<'a>>, Fault> {
    if fields.is_finished() {
        return Ok(Vec::new());
    }
    let mut list = tlv::only(fields.content(tlv::CONTEXT_3)?, tlv::SEQUENCE)?;
    let mut extensions = Vec::with_capacity(16);
    while !list.is_finished() {
        if extensions.len() == MAX_EXTENSIONS {
            return Err(Fault::new(
                FaultKind::TooManyExtensions,
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
