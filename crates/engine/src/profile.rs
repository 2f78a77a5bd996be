//! Certificate profiles and their templates.

mod text;

use std::fmt;

use assay_ca::{SubjectAltName, SubjectAttribute};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{domain::DeviceFacts, error::IssuanceRefusal, text::is_unsafe_to_print};

/// Everything but RFC 3986's unreserved characters.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The content of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The subject, most general attribute first.
    pub subject: Vec<(SubjectField, Template)>,
    /// The subject alternative names.
    pub san: Vec<SanRule>,
    /// The default and longest lifetime, in seconds.
    pub lifetime: u64,
    /// How to treat names in the CSR beyond the order's.
    pub csr_names: CsrNames,
}

/// How to treat the subject and the rfc822, dns, URI and UPN names of a CSR.
/// They come from the MDM payload; nothing proved them.
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

/// The source of a subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SanRule {
    /// The ordered hardware modules.
    HardwareModule,
    /// The ordered permanent identifiers.
    PermanentIdentifier,
    /// A URI.
    Uri(Template),
}

/// A text with placeholders for attested values: `{serial}`, `{udid}`,
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

/// Why a text of a profile is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A part of the subject without "=".
    #[error("{0:?} is not of the form ATTRIBUTE=VALUE")]
    NoEquals(String),
    /// An unknown attribute of the subject.
    #[error("the subject attribute {0:?} is not one of CN, O, OU, C, serialNumber")]
    UnknownAttribute(String),
    /// An unknown placeholder in braces.
    #[error("{{{0}}} is not one of {{serial}}, {{udid}}, {{spki-sha256}}")]
    UnknownPlace(String),
    /// An unknown kind of subject alternative name.
    #[error("{0:?} is not one of \"permanent-identifier\", \"hardware-module\", \"uri:TEMPLATE\"")]
    UnknownSan(String),
    /// A country code other than two capital letters.
    #[error("C={0} is not an ISO 3166 country code: write two capital letters, for example C=DE")]
    Country(String),
    /// The same subject alternative name twice.
    #[error("{0:?} is there twice: write it once")]
    RepeatedSan(String),
    /// A URI without a scheme, or with characters that URIs do not allow.
    #[error(
        "{0:?} is not a complete URI: it must begin with a scheme, for example uri:urn:serial:{{serial}} or uri:https://..., and contain no spaces"
    )]
    NotAUri(String),
    /// A URI with a "%" that encodes nothing.
    #[error(
        "{0:?} is not a URI: % must be followed by two hexadecimal digits (%25 is the character itself). Variables of an MDM are not replaced here: write {{serial}}, {{udid}} or {{spki-sha256}}"
    )]
    PercentEncoding(String),
    /// A brace is not closed, or closed without being opened.
    #[error("{0:?} has an unbalanced brace")]
    Unbalanced(String),
}

/// Attested values for the placeholders of a template.
pub struct TemplateValues<'a> {
    /// What was attested about the device.
    pub facts: &'a DeviceFacts,
    /// SHA-256 of the attested key's SubjectPublicKeyInfo.
    pub spki_sha256: &'a [u8; 32],
}

impl Profile {
    /// The privacy-preserving profile: the subject's common name is the hex
    /// SHA-256 of the key, there are no other names, the lifetime is 90 days.
    #[must_use]
    pub fn privacy_preserving() -> Self {
        Self {
            subject: vec![(SubjectField::CommonName, Template(vec![Part::SpkiSha256]))],
            san: Vec::new(),
            lifetime: 90 * 86_400,
            csr_names: CsrNames::Ignore,
        }
    }

    /// Parses a subject such as `CN={spki-sha256},O=Example`: attributes
    /// separated by commas, most general first; a comma within a value is
    /// written `\,`.
    ///
    /// # Errors
    /// For the first invalid part.
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
                let template = Template::parse(value.trim())?;
                if field == SubjectField::Country && !template.may_be_country() {
                    return Err(ProfileError::Country(value.trim().to_owned()));
                }
                Ok((field, template))
            })
            .collect()
    }

    /// Parses a profile's `san`.
    ///
    /// # Errors
    /// For the first invalid or repeated entry.
    pub fn parse_san(entries: &[String]) -> Result<Vec<SanRule>, ProfileError> {
        let mut rules = Vec::new();
        for entry in entries {
            let rule = SanRule::parse(entry)?;
            if rules.contains(&rule) {
                return Err(ProfileError::RepeatedSan(entry.clone()));
            }
            rules.push(rule);
        }
        Ok(rules)
    }

    /// Returns whether subject or SAN name the device or its key. Otherwise all
    /// certificates have the same names.
    #[must_use]
    pub fn names_device(&self) -> bool {
        self.subject.iter().any(|(_, template)| template.varies())
            || self.san.iter().any(SanRule::varies)
    }

    /// Returns text in subject and SAN that looks like a variable of an MDM
    /// product, such as `$SERIALNUMBER`. Nothing replaces it here: it goes into
    /// every certificate unchanged.
    #[must_use]
    pub fn foreign_variables(&self) -> Vec<String> {
        let subject = self.subject.iter().map(|(_, template)| template);
        let uris = self.san.iter().filter_map(|rule| match rule {
            SanRule::Uri(template) => Some(template),
            SanRule::HardwareModule | SanRule::PermanentIdentifier => None,
        });
        let mut found: Vec<_> = subject.chain(uris).flat_map(Template::variables).collect();
        found.dedup();
        found
    }
}

impl SanRule {
    fn varies(&self) -> bool {
        match self {
            Self::HardwareModule | Self::PermanentIdentifier => true,
            Self::Uri(template) => template.varies(),
        }
    }

    /// Parses one entry of a profile's `san`.
    ///
    /// # Errors
    /// When its kind is unknown or its template is invalid.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        match text {
            "hardware-module" => Ok(Self::HardwareModule),
            "permanent-identifier" => Ok(Self::PermanentIdentifier),
            _ => match text.strip_prefix("uri:") {
                Some(template) => {
                    let parsed = Template::parse(template)?;
                    if !parsed.may_be_uri() {
                        return Err(ProfileError::NotAUri(text.to_owned()));
                    }
                    match parsed.is_percent_encoded() {
                        true => Ok(Self::Uri(parsed)),
                        false => Err(ProfileError::PercentEncoding(text.to_owned())),
                    }
                }
                None => Err(ProfileError::UnknownSan(text.to_owned())),
            },
        }
    }

    pub(crate) fn uri(
        template: &Template,
        attested: &TemplateValues<'_>,
    ) -> Result<SubjectAltName, IssuanceRefusal> {
        template
            .fill(attested, |value| {
                utf8_percent_encode(value, NOT_UNRESERVED).to_string()
            })
            .map(SubjectAltName::Uri)
    }
}

impl SubjectField {
    pub(crate) fn with(
        self,
        template: &Template,
        attested: &TemplateValues<'_>,
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

/// Checks that a device's value is readable in a name: a reader must not take
/// it for another one.
pub(crate) fn legible<'a>(value: &'a str, place: &'static str) -> Result<&'a str, IssuanceRefusal> {
    if value.chars().any(is_unsafe_to_print) {
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
    /// Parses a template.
    ///
    /// # Errors
    /// An unknown placeholder or an unbalanced brace.
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

    /// ISO 3166-1, as X.520 has countryName: two capital letters. Building the
    /// certificate checks templates whose length is not 2.
    fn may_be_country(&self) -> bool {
        match self.0.as_slice() {
            [Part::Text(code)] if code.chars().count() == 2 => {
                code.bytes().all(|byte| byte.is_ascii_uppercase())
            }
            _ => true,
        }
    }

    /// RFC 5280 section 4.2.1.6: "The name MUST NOT be a relative URI, and it MUST
    /// follow the URI syntax and encoding rules specified in [RFC3986]. The name
    /// MUST include both a scheme [...] and a scheme-specific-part".
    fn may_be_uri(&self) -> bool {
        // RFC 3986 section 3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
        let Some(Part::Text(first)) = self.0.first() else {
            return false;
        };
        let Some((scheme, rest)) = first.split_once(':') else {
            return false;
        };
        let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && (scheme.bytes()).all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let has_more = self.0.len() > 1 || !rest.is_empty();
        // Section 2: all other characters must be percent-encoded.
        let all_may_stand = self.0.iter().all(|part| match part {
            Part::Text(text) => {
                (text.bytes()).all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte))
            }
            Part::Serial | Part::SpkiSha256 | Part::Udid => true,
        });
        is_scheme && has_more && all_may_stand
    }

    /// Returns whether it contains a placeholder.
    fn varies(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// RFC 3986 section 2.1: pct-encoded = "%" HEXDIG HEXDIG. A placeholder cannot
    /// complete one: its value is encoded by itself.
    fn is_percent_encoded(&self) -> bool {
        self.0.iter().all(|part| match part {
            Part::Text(text) => text.split('%').skip(1).all(|rest| {
                let digits = rest.as_bytes().get(..2);
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }),
            Part::Serial | Part::SpkiSha256 | Part::Udid => true,
        })
    }

    /// Returns `$NAME` and `%NAME%` in the text between placeholders.
    fn variables(&self) -> Vec<String> {
        let name_length = |text: &str| {
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let length = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
            let begins = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
            if begins { length } else { 0 }
        };
        let mut found = Vec::new();
        for part in &self.0 {
            let Part::Text(text) = part else { continue };
            for (at, _) in text.match_indices('$') {
                let length = name_length(&text[at + 1..]);
                if length > 0 {
                    found.push(text[at..=at + length].to_owned());
                }
            }
            for (at, _) in text.match_indices('%') {
                let length = name_length(&text[at + 1..]);
                let end = at + 1 + length;
                if length > 3 && text[end..].starts_with('%') {
                    found.push(text[at..=end].to_owned());
                }
            }
        }
        found
    }

    fn fill(
        &self,
        attested: &TemplateValues<'_>,
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

#[cfg(test)]
mod tests;
