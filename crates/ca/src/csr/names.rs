//! The names that a CSR requests.
//!
//! None of them reaches a certificate by itself: the profile and the evidence
//! decide what a certificate contains. So only the parts that influence a
//! decision are parsed strictly: the structure down to each name, device names
//! (`PermanentIdentifier`, `HardwareModuleName`), and a request to be a CA.
//! Everything else is dropped and its type is not checked; only its presence is
//! recorded, for operators who refuse it.

use std::{fmt::Write as _, net::IpAddr};

use const_oid::{
    AssociatedOid,
    db::{rfc4519::COMMON_NAME, rfc5912::ID_EXTENSION_REQ},
};
use der::{Decode, asn1::ObjectIdentifier};
use x509_cert::{
    ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName},
    name::Name,
};

use super::{
    CsrError,
    tlv::{self, Element, Elements, Spelling, spelling},
};
use crate::{
    HardwareModuleName, PermanentIdentifierName, hardware_module::ID_ON_HARDWARE_MODULE_NAME,
    permanent_identifier::ID_ON_PERMANENT_IDENTIFIER,
};

/// `szOID_CERT_EXTENSIONS`, Microsoft's attribute for requested extensions,
/// with the same content as extensionRequest.
const CERTIFICATE_EXTENSIONS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");

/// `szOID_NT_PRINCIPAL_NAME`, the user principal name, called ntPrincipalName
/// in Apple's payload. Its value is a UTF8String.
const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// The alternatives of GeneralName (RFC 5280 section 4.2.1.6) that are
/// distinguished, IMPLICIT: `[0]` is constructed, the others are primitive.
const OTHER_NAME: u8 = 0xa0;
const RFC822_NAME: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;
/// `[0]` EXPLICIT, around the value of an other name.
const EXPLICIT_0: u8 = 0xa0;

/// The subject and the subject alternative names of a CSR, and whether it
/// requests to be a CA. All strings are kept as encoded: no case folding, no
/// normalization. Only device names must follow their grammar.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RequestedNames {
    /// The subject in the form of RFC 4514, for display. If it cannot be
    /// decoded: `#` and its DER in hexadecimal.
    pub subject: String,
    /// Whether the subject has no attributes.
    pub subject_is_empty: bool,
    /// The subject's `commonName` values. RFC 8555 section 7.4: requested
    /// identifiers "MUST appear either in the commonName portion of the
    /// requested subject name or in an extensionRequest attribute".
    pub common_names: Vec<String>,
    /// Other names `PermanentIdentifier` (RFC 4043).
    pub permanent_identifiers: Vec<PermanentIdentifierName>,
    /// Other names `HardwareModuleName` (RFC 4108).
    pub hardware_modules: Vec<HardwareModuleName>,
    /// `dNSName`, as encoded.
    pub dns: Vec<String>,
    /// `rfc822Name`, which may contain non-ASCII characters.
    pub emails: Vec<String>,
    /// `uniformResourceIdentifier`, as encoded.
    pub uris: Vec<String>,
    /// `iPAddress`.
    pub ips: Vec<IpAddr>,
    /// Other names that are user principal names.
    pub upns: Vec<String>,
    /// The number of names of other kinds, or that cannot be decoded.
    pub others: usize,
    /// Whether the CSR requests basicConstraints with cA, or the key usage
    /// keyCertSign or cRLSign.
    pub wants_ca: bool,
}

impl RequestedNames {
    /// Reads the content of a subject and of the attributes, if there are any.
    pub(super) fn read(subject: Element<'_>, attributes: &[u8]) -> Result<Self, CsrError> {
        let mut names = Self::default();
        names.read_subject(subject);
        names.read_attributes(attributes)?;
        Ok(names)
    }

    fn read_subject(&mut self, subject: Element<'_>) {
        self.subject_is_empty = subject.content.is_empty();
        self.subject = Name::from_der(subject.whole)
            .map_or_else(|_| hexadecimal(subject.whole), |name| name.to_string());
        let mut sets = Elements::of(subject.content);
        while let Some(set) = sets.next() {
            let mut attributes = Elements::of(set.content);
            while let Some(attribute) = attributes.next() {
                self.common_names.extend(common_name(attribute));
            }
        }
    }

    /// Skips attributes other than the extension request, such as a challenge
    /// password.
    ///
    /// ```text
    /// Attribute { ATTRIBUTE:IOSet } ::= SEQUENCE {
    ///     type   ATTRIBUTE.&id({IOSet}),
    ///     values SET SIZE(1..MAX) OF ATTRIBUTE.&Type({IOSet}{@type})
    /// }
    /// ```
    /// (RFC 2986 section 4.1)
    fn read_attributes(&mut self, attributes: &[u8]) -> Result<(), CsrError> {
        let malformed = CsrError::Malformed("attributes");
        let mut attributes = Elements::of(attributes);
        let mut requested = None;
        while !attributes.is_finished() {
            let attribute = attributes.content(tlv::SEQUENCE).ok_or(malformed)?;
            let mut attribute = Elements::of(attribute);
            let oid = attribute.content(tlv::OBJECT_IDENTIFIER).ok_or(malformed)?;
            let request = is_one_of(
                oid,
                &[ID_EXTENSION_REQ, CERTIFICATE_EXTENSIONS],
                "attributes",
            );
            if request?.is_none() {
                continue;
            }
            let values = attribute.content(tlv::SET).ok_or(malformed)?;
            if !attribute.is_finished() {
                return Err(malformed);
            }
            if requested.replace(values).is_some() {
                return Err(CsrError::DuplicateAttribute);
            }
        }
        let Some(requested) = requested else {
            return Ok(());
        };
        // RFC 2985 section 5.4.2: extensionRequest is "SINGLE VALUE TRUE".
        let mut values = Elements::of(requested);
        let extensions = values.content(tlv::SEQUENCE).ok_or(malformed)?;
        if !values.is_finished() {
            return Err(CsrError::DuplicateAttribute);
        }
        self.read_extensions(extensions)
    }

    /// Reads an `Extensions`. An extension that is evaluated may occur once;
    /// the content of other extensions is not parsed.
    fn read_extensions(&mut self, extensions: &[u8]) -> Result<(), CsrError> {
        let malformed = CsrError::Malformed("extensionRequest");
        let known = [SubjectAltName::OID, BasicConstraints::OID, KeyUsage::OID];
        let mut seen = Vec::new();
        let mut extensions = Elements::of(extensions);
        while !extensions.is_finished() {
            let extension = extensions.content(tlv::SEQUENCE).ok_or(malformed)?;
            let mut extension = Elements::of(extension);
            let oid = extension.content(tlv::OBJECT_IDENTIFIER).ok_or(malformed)?;
            let Some(oid) = is_one_of(oid, &known, "extensionRequest")? else {
                continue;
            };
            // RFC 5280 section 4.2: "A certificate MUST NOT include more than
            // one instance of a particular extension."
            if seen.contains(&oid) {
                return Err(CsrError::DuplicateExtension);
            }
            seen.push(oid);
            // The critical flag is ignored.
            extension.optional(tlv::BOOLEAN).ok_or(malformed)?;
            let value = extension.content(tlv::OCTET_STRING).ok_or(malformed)?;
            if !extension.is_finished() {
                return Err(malformed);
            }
            match oid {
                SubjectAltName::OID => self.read_names(value)?,
                BasicConstraints::OID => {
                    let constraints = BasicConstraints::from_der(value)
                        .map_err(|_| CsrError::Malformed("basicConstraints"))?;
                    self.wants_ca |= constraints.ca;
                }
                _ => {
                    let usage =
                        KeyUsage::from_der(value).map_err(|_| CsrError::Malformed("keyUsage"))?;
                    self.wants_ca |= usage.key_cert_sign() || usage.crl_sign();
                }
            }
        }
        Ok(())
    }

    /// Reads a `GeneralNames`. An empty one is accepted: it requests nothing,
    /// and Apple's encoder writes it for names that it does not know. A
    /// repeated name has no additional effect.
    fn read_names(&mut self, san: &[u8]) -> Result<(), CsrError> {
        let malformed = CsrError::Malformed("subjectAltName");
        let mut names = tlv::only(san, tlv::SEQUENCE).ok_or(malformed)?;
        while !names.is_finished() {
            let name = names.next().ok_or(malformed)?;
            let text = str::from_utf8(name.content).map(str::to_owned);
            match (name.tag, text) {
                (OTHER_NAME, _) => self.read_other_name(name.content)?,
                (RFC822_NAME, Ok(email)) => self.emails.push(email),
                (DNS_NAME, Ok(dns)) => self.dns.push(dns),
                (URI, Ok(uri)) => self.uris.push(uri),
                (IP_ADDRESS, _) => match ip_address(name.content) {
                    Some(ip) => self.ips.push(ip),
                    None => self.others += 1,
                },
                _ => self.others += 1,
            }
        }
        Ok(())
    }

    /// ```text
    /// OtherName ::= SEQUENCE {
    ///      type-id    OBJECT IDENTIFIER,
    ///      value      [0] EXPLICIT ANY DEFINED BY type-id }
    /// ```
    /// (RFC 5280 section 4.2.1.6)
    fn read_other_name(&mut self, name: &[u8]) -> Result<(), CsrError> {
        let malformed = CsrError::Malformed("subjectAltName");
        let mut fields = Elements::of(name);
        let oid = fields.content(tlv::OBJECT_IDENTIFIER).ok_or(malformed)?;
        let known = [ID_ON_PERMANENT_IDENTIFIER, ID_ON_HARDWARE_MODULE_NAME];
        let device = is_one_of(oid, &known, "subjectAltName")?;
        let value = fields.content(EXPLICIT_0).filter(|_| fields.is_finished());
        match device {
            Some(ID_ON_PERMANENT_IDENTIFIER) => {
                let value = value.ok_or(malformed)?;
                let name = PermanentIdentifierName::from_other_name(value)?;
                self.permanent_identifiers.push(name);
            }
            Some(_) => {
                let value = value.ok_or(malformed)?;
                let name = HardwareModuleName::from_other_name(value)?;
                self.hardware_modules.push(name);
            }
            None => match value.and_then(|value| user_principal(oid, value)) {
                Some(upn) => self.upns.push(upn),
                None => self.others += 1,
            },
        }
        Ok(())
    }
}

/// Returns which of these identifiers an object identifier is, if any.
///
/// # Errors
/// It is one of them with padded arcs. Another decoder would read it as an
/// unknown identifier and skip it.
fn is_one_of(
    arcs: &[u8],
    known: &[ObjectIdentifier],
    place: &'static str,
) -> Result<Option<ObjectIdentifier>, CsrError> {
    for one in known {
        match spelling(arcs, one) {
            Spelling::Same => return Ok(Some(*one)),
            Spelling::Padded => return Err(CsrError::NonMinimal(place)),
            Spelling::Other => {}
        }
    }
    Ok(None)
}

/// RFC 4514 section 2.4: the form of a value that has no string form.
fn hexadecimal(der: &[u8]) -> String {
    der.iter().fold("#".to_owned(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The string of an `AttributeTypeAndValue` that is a commonName.
fn common_name(attribute: Element<'_>) -> Option<String> {
    let mut fields = Elements::of(attribute.tagged(tlv::SEQUENCE)?);
    let oid = fields.content(tlv::OBJECT_IDENTIFIER)?;
    let value = fields.next()?;
    // A BMPString could be valid UTF-8 but has other text.
    let text = [tlv::UTF8_STRING, tlv::PRINTABLE_STRING, tlv::IA5_STRING].contains(&value.tag);
    if !text || oid != COMMON_NAME.as_bytes() {
        return None;
    }
    str::from_utf8(value.content).ok().map(str::to_owned)
}

/// The string of an other name that is a user principal name.
fn user_principal(oid: &[u8], value: &[u8]) -> Option<String> {
    if oid != UPN.as_bytes() {
        return None;
    }
    let mut value = Elements::of(value);
    let text = value.content(tlv::UTF8_STRING)?;
    let text = str::from_utf8(text).ok()?;
    value.is_finished().then(|| text.to_owned())
}

/// RFC 5280 section 4.2.1.6: "For IP version 4, [...] the octet string MUST
/// contain exactly four octets. For IP version 6, [...] exactly sixteen
/// octets."
fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}
