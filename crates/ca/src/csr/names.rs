//! What a CSR asks to be called.

use std::{collections::HashSet, net::IpAddr};

use const_oid::{
    AssociatedOid,
    db::{rfc4519::COMMON_NAME, rfc5912::ID_EXTENSION_REQ},
};
use der::{
    Decode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, ObjectIdentifier},
};
use x509_cert::{
    attr::AttributeTypeAndValue,
    ext::{
        Extension,
        pkix::{
            BasicConstraints, KeyUsage, SubjectAltName,
            name::{GeneralName, OtherName},
        },
    },
    name::Name,
};

use super::CsrError;
use crate::{
    HardwareModuleName, PermanentIdentifierName, hardware_module::ID_ON_HARDWARE_MODULE_NAME,
    oid::is_minimal, permanent_identifier::ID_ON_PERMANENT_IDENTIFIER,
};

/// `szOID_CERT_EXTENSIONS`, Microsoft's own attribute for the extensions that a
/// CSR asks for, of the same content as extensionRequest.
const CERTIFICATE_EXTENSIONS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");

/// `szOID_NT_PRINCIPAL_NAME`, the user principal name: what Apple's payload
/// calls ntPrincipalName. Its value is a UTF8String.
const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// The subject and the subject alternative names of a CSR, and whether it
/// wants to be a CA. All texts are as encoded: no case folding, no
/// normalisation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RequestedNames {
    /// The subject in the form of RFC 4514, for display.
    pub subject: String,
    /// Whether the subject has no attribute at all.
    pub subject_is_empty: bool,
    /// The subject's `commonName` values. RFC 8555 section 7.4: requested
    /// identifiers "MUST appear either in the commonName portion of the
    /// requested subject name or in an extensionRequest attribute".
    pub common_names: Vec<String>,
    /// Other names `PermanentIdentifier` (RFC 4043).
    pub permanent_identifiers: Vec<PermanentIdentifierName>,
    /// Other names `HardwareModuleName` (RFC 4108).
    pub hardware_modules: Vec<HardwareModuleName>,
    /// `dNSName`.
    pub dns: Vec<String>,
    /// `rfc822Name`.
    pub emails: Vec<String>,
    /// `uniformResourceIdentifier`.
    pub uris: Vec<String>,
    /// `iPAddress`.
    pub ips: Vec<IpAddr>,
    /// Other names that are user principal names.
    pub upns: Vec<String>,
    /// How many names of any other kind there are.
    pub others: usize,
    /// Whether basicConstraints with cA, or a key usage of keyCertSign or
    /// cRLSign, is requested.
    pub wants_ca: bool,
}

/// RFC 2986 section 4.1, with the values undecoded: most types are skipped.
///
/// ```text
/// Attribute { ATTRIBUTE:IOSet } ::= SEQUENCE {
///     type   ATTRIBUTE.&id({IOSet}),
///     values SET SIZE(1..MAX) OF ATTRIBUTE.&Type({IOSet}{@type})
/// }
/// ```
#[derive(Sequence)]
struct Attribute<'a> {
    oid: ObjectIdentifier,
    values: AnyRef<'a>,
}

impl RequestedNames {
    pub(super) fn read(subject: AnyRef<'_>, attributes: AnyRef<'_>) -> Result<Self, CsrError> {
        let mut names = Self::default();
        names.read_subject(subject)?;
        names.read_attributes(attributes)?;
        Ok(names)
    }

    fn read_subject(&mut self, subject: AnyRef<'_>) -> Result<(), CsrError> {
        let subject: Name = subject
            .decode_as()
            .map_err(|_| CsrError::Malformed("subject"))?;
        self.subject_is_empty = subject.is_empty();
        for AttributeTypeAndValue { oid, value } in subject.iter() {
            check_minimal(oid, "subject")?;
            // A BMPString would pass as UTF-8 here and read as something else.
            let text = matches!(
                value.tag(),
                Tag::Utf8String | Tag::PrintableString | Tag::Ia5String
            );
            if *oid == COMMON_NAME
                && text
                && let Ok(value) = std::str::from_utf8(value.value())
            {
                self.common_names.push(value.to_owned());
            }
        }
        self.subject = subject.to_string();
        Ok(())
    }

    /// Attributes other than the extension request (a challenge password, for
    /// one) are skipped.
    fn read_attributes(&mut self, attributes: AnyRef<'_>) -> Result<(), CsrError> {
        let malformed = |_| CsrError::Malformed("attributes");
        let expected = Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(0),
        };
        if attributes.tag() != expected {
            return Err(CsrError::Malformed("attributes"));
        }
        let mut reader = SliceReader::new(attributes.value()).map_err(malformed)?;
        let mut requested = None;
        while !reader.is_finished() {
            let attribute = Attribute::decode(&mut reader).map_err(malformed)?;
            check_minimal(&attribute.oid, "attributes")?;
            let requests = [ID_EXTENSION_REQ, CERTIFICATE_EXTENSIONS].contains(&attribute.oid);
            if requests && requested.replace(attribute.values).is_some() {
                return Err(CsrError::DuplicateAttribute);
            }
        }
        let Some(requested) = requested else {
            return Ok(());
        };
        // RFC 2985 section 5.4.2: extensionRequest is "SINGLE VALUE TRUE".
        if requested.tag() != Tag::Set {
            return Err(CsrError::Malformed("attributes"));
        }
        let (extensions, further) =
            Vec::<Extension>::from_der_partial(requested.value()).map_err(malformed)?;
        if !further.is_empty() {
            return Err(CsrError::DuplicateAttribute);
        }
        self.read_extensions(&extensions)
    }

    fn read_extensions(&mut self, extensions: &[Extension]) -> Result<(), CsrError> {
        let mut seen = HashSet::new();
        for extension in extensions {
            check_minimal(&extension.extn_id, "extensionRequest")?;
            // RFC 5280 section 4.2: "A certificate MUST NOT include more than
            // one instance of a particular extension."
            if !seen.insert(extension.extn_id) {
                return Err(CsrError::DuplicateExtension);
            }
            let value = extension.extn_value.as_bytes();
            match extension.extn_id {
                SubjectAltName::OID => self.read_names(value)?,
                BasicConstraints::OID => {
                    let constraints = BasicConstraints::from_der(value)
                        .map_err(|_| CsrError::Malformed("basicConstraints"))?;
                    self.wants_ca |= constraints.ca;
                }
                KeyUsage::OID => {
                    let usage =
                        KeyUsage::from_der(value).map_err(|_| CsrError::Malformed("keyUsage"))?;
                    self.wants_ca |= usage.key_cert_sign() || usage.crl_sign();
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a `GeneralNames`. An empty one is let pass: it asks for nothing,
    /// and Apple's encoder writes it for names that it does not know.
    fn read_names(&mut self, san: &[u8]) -> Result<(), CsrError> {
        let malformed = |_| CsrError::Malformed("subjectAltName");
        let names = AnyRef::from_der(san).map_err(malformed)?;
        if names.tag() != Tag::Sequence {
            return Err(CsrError::Malformed("subjectAltName"));
        }
        let mut reader = SliceReader::new(names.value()).map_err(malformed)?;
        let mut seen = HashSet::new();
        while !reader.is_finished() {
            let name_der = reader.tlv_bytes().map_err(malformed)?;
            if !seen.insert(name_der) {
                return Err(CsrError::DuplicateName);
            }
            match GeneralName::from_der(name_der).map_err(malformed)? {
                GeneralName::OtherName(name) => self.read_other_name(&name)?,
                GeneralName::Rfc822Name(email) => self.emails.push(email.to_string()),
                GeneralName::DnsName(dns) => self.dns.push(dns.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => self.uris.push(uri.to_string()),
                GeneralName::IpAddress(octets) => self
                    .ips
                    .push(ip_address(octets.as_bytes()).ok_or(CsrError::Malformed("iPAddress"))?),
                GeneralName::DirectoryName(_)
                | GeneralName::EdiPartyName(_)
                | GeneralName::RegisteredId(_) => self.others += 1,
            }
        }
        Ok(())
    }

    fn read_other_name(&mut self, name: &OtherName) -> Result<(), CsrError> {
        check_minimal(&name.type_id, "subjectAltName")?;
        match name.type_id {
            ID_ON_PERMANENT_IDENTIFIER => self
                .permanent_identifiers
                .push(PermanentIdentifierName::from_other_name(&name.value)?),
            ID_ON_HARDWARE_MODULE_NAME => self
                .hardware_modules
                .push(HardwareModuleName::from_other_name(&name.value)?),
            UPN => self.upns.push(
                name.value
                    .decode_as()
                    .map_err(|_| CsrError::Malformed("user principal name"))?,
            ),
            _ => self.others += 1,
        }
        Ok(())
    }
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

/// An identifier that is spelt otherwise is another one to the decoder, and
/// would be passed over as unknown.
fn check_minimal(oid: &ObjectIdentifier, place: &'static str) -> Result<(), CsrError> {
    if is_minimal(oid) {
        Ok(())
    } else {
        Err(CsrError::NonMinimal(place))
    }
}
