//! What goes into a certificate: profiles and their templates.

use std::fmt;

use assay_ca::{SubjectAltName, SubjectAttribute};

use crate::{domain::DeviceFacts, error::IssuanceRefusal, text::disturbs};

/// What a certificate looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The subject, most general attribute first.
    pub subject: Vec<(SubjectField, Template)>,
    /// The subject alternative names.
    pub san: Vec<SanRule>,
    /// The longest and usual lifetime, in seconds.
    pub lifetime: u64,
    /// What becomes of names that the CSR asks for beyond the order's.
    pub csr_names: CsrNames,
}

/// What becomes of the subject and the rfc822, dns, URI and UPN names of a CSR:
/// requests of the payload that no one proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrNames {
    /// They are dropped.
    Ignore,
    /// The CSR is refused.
    Refuse,
}

/// An attribute of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are X.520's")]
pub enum SubjectField {
    CommonName,
    Country,
    Organization,
    OrganizationalUnit,
    SerialNumber,
}

/// Where a subject alternative name comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SanRule {
    /// The ordered hardware modules.
    HardwareModule,
    /// The ordered permanent identifiers.
    PermanentIdentifier,
    /// A URI.
    Uri(Template),
}

/// A text with places for attested values: `{serial}`, `{udid}`,
/// `{spki-sha256}` (64 hex digits).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Serial,
    SpkiSha256,
    Text(String),
    Udid,
}

/// Why a profile's text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A subject part without "=".
    #[error("{0:?} is not of the form ATTRIBUTE=VALUE")]
    NoEquals(String),
    /// An unknown attribute of the subject.
    #[error("the subject attribute {0:?} is not one of CN, O, OU, C, serialNumber")]
    UnknownAttribute(String),
    /// An unknown place within braces.
    #[error("{{{0}}} is not one of {{serial}}, {{udid}}, {{spki-sha256}}")]
    UnknownPlace(String),
    /// A kind of subject alternative name that is not known.
    #[error("{0:?} is not one of \"permanent-identifier\", \"hardware-module\", \"uri:TEMPLATE\"")]
    UnknownSan(String),
    /// A brace that is not closed, or closed without being open.
    #[error("{0:?} has an unbalanced brace")]
    Unbalanced(String),
}

/// Attested values for a template's places.
pub struct Attested<'a> {
    /// What was attested of the device.
    pub facts: &'a DeviceFacts,
    /// SHA-256 of the attested key's SubjectPublicKeyInfo.
    pub spki_sha256: &'a [u8; 32],
}

impl Profile {
    /// The privacy-preserving profile: the subject's common name is the hex
    /// SHA-256 of the key, there are no other names, 90 days.
    #[must_use]
    pub fn privacy_preserving() -> Self {
        Self {
            subject: vec![(SubjectField::CommonName, Template(vec![Part::SpkiSha256]))],
            san: Vec::new(),
            lifetime: 90 * 86_400,
            csr_names: CsrNames::Ignore,
        }
    }

    /// Reads a subject such as `CN={spki-sha256},O=Example`: attributes
    /// separated by commas, most general first; a comma within a value is
    /// written `\,`.
    ///
    /// # Errors
    /// The first part at fault.
    pub fn parse_subject(text: &str) -> Result<Vec<(SubjectField, Template)>, ProfileError> {
        let mut parts = vec![String::new()];
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match (letter, letters.peek()) {
                ('\\', Some(',')) => {
                    letters.next();
                    if let Some(part) = parts.last_mut() {
                        part.push(',');
                    }
                }
                (',', _) => parts.push(String::new()),
                _ => {
                    if let Some(part) = parts.last_mut() {
                        part.push(letter);
                    }
                }
            }
        }
        parts
            .iter()
            .filter(|part| !part.trim().is_empty())
            .map(|part| {
                let (name, value) = part
                    .split_once('=')
                    .ok_or_else(|| ProfileError::NoEquals(part.clone()))?;
                let field = match name.trim() {
                    "C" => SubjectField::Country,
                    "CN" => SubjectField::CommonName,
                    "O" => SubjectField::Organization,
                    "OU" => SubjectField::OrganizationalUnit,
                    "serialNumber" => SubjectField::SerialNumber,
                    other => return Err(ProfileError::UnknownAttribute(other.to_owned())),
                };
                Ok((field, Template::parse(value.trim())?))
            })
            .collect()
    }
}

impl SanRule {
    /// Reads one entry of a profile's `san`.
    ///
    /// # Errors
    /// When it is of no known kind, or its template is at fault.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        match text {
            "hardware-module" => Ok(Self::HardwareModule),
            "permanent-identifier" => Ok(Self::PermanentIdentifier),
            _ => match text.strip_prefix("uri:") {
                Some(template) => Template::parse(template).map(Self::Uri),
                None => Err(ProfileError::UnknownSan(text.to_owned())),
            },
        }
    }

    pub(crate) fn uri(
        template: &Template,
        attested: &Attested<'_>,
    ) -> Result<SubjectAltName, IssuanceRefusal> {
        template
            .fill(attested, percent_encode)
            .map(SubjectAltName::Uri)
    }
}

impl SubjectField {
    pub(crate) fn with(
        self,
        template: &Template,
        attested: &Attested<'_>,
    ) -> Result<SubjectAttribute, IssuanceRefusal> {
        let value = template.fill(attested, str::to_owned)?;
        Ok(match self {
            Self::CommonName => SubjectAttribute::CommonName(value),
            Self::Country => SubjectAttribute::Country(value),
            Self::Organization => SubjectAttribute::Organization(value),
            Self::OrganizationalUnit => SubjectAttribute::OrganizationalUnit(value),
            Self::SerialNumber => SubjectAttribute::SerialNumber(value),
        })
    }
}

/// A device's value that may stand in a name: whoever reads that must not take
/// it for another.
pub(crate) fn legible<'a>(value: &'a str, place: &'static str) -> Result<&'a str, IssuanceRefusal> {
    if value.chars().any(disturbs) {
        Err(IssuanceRefusal::NameDoesNotFit(place))
    } else {
        Ok(value)
    }
}

fn stated<'a>(value: Option<&'a str>, attribute: &'static str) -> Result<&'a str, IssuanceRefusal> {
    let value = value.ok_or(IssuanceRefusal::AttributeNotAttested(attribute))?;
    legible(value, attribute)
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// An unknown place or an unbalanced brace.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let unbalanced = || ProfileError::Unbalanced(text.to_owned());
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if before.contains('}') {
                return Err(unbalanced());
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (place, behind) = after.split_once('}').ok_or_else(unbalanced)?;
            parts.push(match place {
                "serial" => Part::Serial,
                "spki-sha256" => Part::SpkiSha256,
                "udid" => Part::Udid,
                other => return Err(ProfileError::UnknownPlace(other.to_owned())),
            });
            rest = behind;
        }
        if rest.contains('}') {
            return Err(unbalanced());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    fn fill(
        &self,
        attested: &Attested<'_>,
        escape: fn(&str) -> String,
    ) -> Result<String, IssuanceRefusal> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::SpkiSha256 => {
                    text.push_str(&data_encoding::HEXLOWER.encode(attested.spki_sha256));
                }
                Part::Serial => {
                    let serial = attested.facts.serial.as_deref();
                    text.push_str(&escape(stated(serial, "serial")?));
                }
                Part::Udid => {
                    let udid = attested.facts.udid.as_deref();
                    text.push_str(&escape(stated(udid, "udid")?));
                }
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Serial => f.write_str("{serial}"),
            Part::SpkiSha256 => f.write_str("{spki-sha256}"),
            Part::Text(text) => f.write_str(text),
            Part::Udid => f.write_str("{udid}"),
        })
    }
}

/// Everything but RFC 3986's unreserved characters, percent-encoded.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> DeviceFacts {
        DeviceFacts {
            serial: Some("C02/é".to_owned()),
            ..DeviceFacts::default()
        }
    }

    #[test]
    fn templates_are_filled_with_attested_values_only() {
        let facts = facts();
        let attested = Attested {
            facts: &facts,
            spki_sha256: &[0xab; 32],
        };
        let uri = Template::parse("urn:device:{serial}:{spki-sha256}").unwrap();
        assert_eq!(uri.to_string(), "urn:device:{serial}:{spki-sha256}");
        assert_eq!(
            SanRule::uri(&uri, &attested),
            Ok(SubjectAltName::Uri(format!(
                "urn:device:C02%2F%C3%A9:{}",
                "ab".repeat(32)
            )))
        );
        let missing = Template::parse("{udid}").unwrap();
        assert_eq!(
            SubjectField::CommonName.with(&missing, &attested),
            Err(IssuanceRefusal::AttributeNotAttested("udid"))
        );
    }

    #[test]
    fn subjects() {
        let facts = facts();
        let attested = Attested {
            facts: &facts,
            spki_sha256: &[0; 32],
        };
        let subject = Profile::parse_subject("C=DE,O=Example\\, Inc., CN={serial}").unwrap();
        let filled: Vec<_> = subject
            .iter()
            .map(|(field, template)| field.with(template, &attested).unwrap())
            .collect();
        assert_eq!(
            filled,
            [
                SubjectAttribute::Country("DE".to_owned()),
                SubjectAttribute::Organization("Example, Inc.".to_owned()),
                SubjectAttribute::CommonName("C02/é".to_owned()),
            ]
        );
        assert_eq!(
            Profile::parse_subject("X=1"),
            Err(ProfileError::UnknownAttribute("X".to_owned()))
        );
        assert_eq!(
            Profile::parse_subject("CN"),
            Err(ProfileError::NoEquals("CN".to_owned()))
        );
    }

    #[test]
    fn bad_templates() {
        for text in ["{", "}", "a}b{serial}", "{serial", "{serial}}"] {
            assert_eq!(
                Template::parse(text),
                Err(ProfileError::Unbalanced(text.to_owned()))
            );
        }
        assert_eq!(
            Template::parse("{Serial}"),
            Err(ProfileError::UnknownPlace("Serial".to_owned()))
        );
        assert_eq!(
            SanRule::parse("dns"),
            Err(ProfileError::UnknownSan("dns".to_owned()))
        );
    }
}
