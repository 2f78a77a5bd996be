//! Subject alternative names for CSRs, encoded by hand: rcgen does not support PermanentIdentifier,
//! and tests need names that correct encoders do not write.

use crate::evidence::der;

/// A name that a device requests in its CSR. Apple's client sends the types that the payload
/// supports: rfc822Name, dNSName, URI and ntPrincipalName.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubjectAltName {
    /// dNSName.
    Dns(String),
    /// rfc822Name.
    Email(String),
    /// otherName PermanentIdentifier (RFC 4043) with an identifierValue and no assigner.
    /// Apple's client never sends one; other clients do.
    PermanentIdentifier(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// otherName user principal name (Microsoft), Apple's `ntPrincipalName`.
    UserPrincipalName(String),
}

impl SubjectAltName {
    /// The GeneralName (RFC 5280 section 4.2.1.6).
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Dns(name) => der::element(0x82, name.as_bytes()),
            Self::Email(name) => der::element(0x81, name.as_bytes()),
            // PermanentIdentifier ::= SEQUENCE {
            //   identifierValue UTF8String OPTIONAL, assigner OBJECT IDENTIFIER OPTIONAL }
            Self::PermanentIdentifier(value) => {
                other_name("1.3.6.1.5.5.7.8.3", &der::sequence(&[utf8_string(value)]))
            }
            Self::Uri(name) => der::element(0x86, name.as_bytes()),
            Self::UserPrincipalName(name) => {
                other_name("1.3.6.1.4.1.311.20.2.3", &utf8_string(name))
            }
        }
    }
}

/// The value of a subjectAltName extension: GeneralNames.
pub(crate) fn encode(names: &[SubjectAltName]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(SubjectAltName::encode).collect();
    der::sequence(&names)
}

fn utf8_string(text: &str) -> Vec<u8> {
    der::element(0x0c, text.as_bytes())
}

/// OtherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY }, here with the
/// implicit tag [0] of a GeneralName.
fn other_name(type_id: &str, value: &[u8]) -> Vec<u8> {
    let content = [der::oid(type_id), der::element(0xa0, value)].concat();
    der::element(0xa0, &content)
}
