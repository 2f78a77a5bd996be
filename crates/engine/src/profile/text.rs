//! A profile as the texts that a configuration has: reading them again gives
//! the same profile.

use super::{CsrNames, Profile, SanRule, SubjectField};

impl Profile {
    /// The subject as [`parse_subject`](Self::parse_subject) reads it.
    #[must_use]
    pub fn subject_text(&self) -> String {
        let attributes = self.subject.iter().map(|(field, template)| {
            let mut value = template.to_string().replace(',', "\\,");
            // A backslash would escape the comma behind it. White space around
            // a value is not part of it.
            if value.ends_with('\\') {
                value.push(' ');
            }
            format!("{}={value}", field.as_str())
        });
        attributes.collect::<Vec<_>>().join(",")
    }

    /// The subject alternative names as [`parse_san`](Self::parse_san) reads
    /// them.
    #[must_use]
    pub fn san_texts(&self) -> Vec<String> {
        (self.san.iter())
            .map(|rule| match rule {
                SanRule::HardwareModule => "hardware-module".to_owned(),
                SanRule::PermanentIdentifier => "permanent-identifier".to_owned(),
                SanRule::Uri(template) => format!("uri:{template}"),
            })
            .collect()
    }
}

impl CsrNames {
    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Refuse => "refuse",
        }
    }

    /// Reads its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ignore, Self::Refuse]
            .into_iter()
            .find(|one| one.as_str() == text)
    }
}

impl SubjectField {
    fn as_str(self) -> &'static str {
        match self {
            Self::CommonName => "CN",
            Self::Country => "C",
            Self::Organization => "O",
            Self::OrganizationalUnit => "OU",
            Self::SerialNumber => "serialNumber",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_back_from_its_texts() {
        for subject in [
            "",
            "CN={spki-sha256}",
            "C=DE,O=Example\\, Inc.,OU=a b,serialNumber={serial},CN={udid}-{serial}",
            "O=ends with a backslash\\ ,CN=x",
            "O=backslash and comma\\\\,x,CN=x",
            "O=\\,\\,,CN=\\",
        ] {
            for san in [
                vec![],
                vec!["hardware-module", "permanent-identifier"],
                vec![
                    "uri:urn:a:{serial}:{udid}",
                    "uri:https://x/{spki-sha256}?a,b",
                ],
            ] {
                let san: Vec<_> = san.into_iter().map(str::to_owned).collect();
                let profile = Profile {
                    subject: Profile::parse_subject(subject).unwrap(),
                    san: Profile::parse_san(&san).unwrap(),
                    ..Profile::privacy_preserving()
                };
                let again = Profile::parse_subject(&profile.subject_text());
                assert_eq!(again.as_ref(), Ok(&profile.subject), "{subject}");
                assert_eq!(profile.san_texts(), san);
            }
        }
        for names in [CsrNames::Ignore, CsrNames::Refuse] {
            assert_eq!(CsrNames::parse(names.as_str()), Some(names));
        }
        assert_eq!(CsrNames::parse("take"), None);
    }
}
