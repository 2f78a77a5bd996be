//! Names that the operator gives to directories and profiles.

use std::fmt;

use crate::urls::Route;

/// The longest name, in bytes.
const LONGEST: usize = 32;

/// The name of the directory and profile that exist without configuration.
const DEFAULT: &str = "default";

/// The name of a directory, an ACME endpoint. The default directory is named
/// `default`, which appears in no URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryName(Option<Name>);

/// The name of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(Option<Name>);

/// Why a text is not a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// The text is the default directory's name.
    #[error("it is the name of the default directory, whose URLs contain no name")]
    Default,
    /// The text does not have the form of a name.
    #[error(
        "a name is at most {LONGEST} lower-case ASCII letters, digits and hyphens, and not empty"
    )]
    Form,
    /// URLs of the default directory begin with the text.
    #[error("URLs of the default directory begin with it: choose another name")]
    Reserved,
}

/// A text in the form of a name. Stored inline, so orders carry names without
/// allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name {
    /// Padded with zeros.
    bytes: [u8; LONGEST],
    len: u8,
}

impl DirectoryName {
    /// The default directory.
    pub const DEFAULT: Self = Self(None);

    /// Parses the name of a directory that is not the default one.
    ///
    /// # Errors
    /// A wrong form, `default`, or the first path segment of a route.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        if text == DEFAULT {
            return Err(NameFault::Default);
        }
        if Route::ALL.iter().any(|route| route.first_segment() == text) {
            return Err(NameFault::Reserved);
        }
        Name::parse(text).map(|name| Self(Some(name)))
    }

    /// Parses a stored name. A route that was added later reserves its word
    /// only for new directories.
    ///
    /// # Errors
    /// A wrong form.
    pub fn stored(text: &str) -> Result<Self, NameFault> {
        Name::parse(text).map(|name| Self(Some(name)))
    }

    /// Returns the name used in URLs; `None` for the default directory.
    #[must_use]
    pub fn in_urls(&self) -> Option<&str> {
        self.0.as_ref().map(Name::as_str)
    }
}

impl ProfileName {
    /// The default profile.
    pub const DEFAULT: Self = Self(None);

    /// Parses a name.
    ///
    /// # Errors
    /// [`NameFault::Form`].
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        match text {
            DEFAULT => Ok(Self::DEFAULT),
            text => Name::parse(text).map(|name| Self(Some(name))),
        }
    }

    /// Returns the name used in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or(DEFAULT, Name::as_str)
    }
}

impl Name {
    fn parse(text: &str) -> Result<Self, NameFault> {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let mut bytes = [0; LONGEST];
        let Some(place) = bytes.get_mut(..text.len()) else {
            return Err(NameFault::Form);
        };
        if text.is_empty() || !text.bytes().all(is_part) {
            return Err(NameFault::Form);
        }
        place.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).map_err(|_| NameFault::Form)?;
        Ok(Self { bytes, len })
    }

    fn as_str(&self) -> &str {
        // Parsing allows only ASCII.
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for DirectoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_urls().unwrap_or(DEFAULT))
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_name_stays_readable_when_a_route_takes_its_word() {
        for route in Route::ALL {
            let word = route.first_segment();
            assert_eq!(DirectoryName::parse(word), Err(NameFault::Reserved));
            let stored = DirectoryName::stored(word).unwrap();
            assert_eq!(stored.in_urls(), Some(word));
        }
        assert!(DirectoryName::stored("A/B").is_err());
    }

    #[test]
    fn a_name_is_short_and_plain() {
        let longest = "a".repeat(LONGEST);
        for text in ["a", "wifi-2", "7", "-", longest.as_str()] {
            let directory = DirectoryName::parse(text).unwrap();
            assert_eq!(directory.in_urls(), Some(text));
            assert_eq!(directory.to_string(), text);
            assert_eq!(ProfileName::parse(text).unwrap().as_str(), text);
        }
        let too_long = "a".repeat(LONGEST + 1);
        for text in ["", "A", "a_b", "a/b", "a.b", "é", "{a}", " a", &too_long] {
            assert_eq!(DirectoryName::parse(text), Err(NameFault::Form), "{text}");
            assert_eq!(ProfileName::parse(text), Err(NameFault::Form), "{text}");
        }
        assert!(DirectoryName::parse("a").unwrap() < DirectoryName::parse("a-").unwrap());
    }

    #[test]
    fn the_default_has_its_name_but_no_url() {
        assert_eq!(ProfileName::parse("default"), Ok(ProfileName::DEFAULT));
        assert_eq!(DirectoryName::parse("default"), Err(NameFault::Default));
        assert_eq!(DirectoryName::DEFAULT.in_urls(), None);
        assert_eq!(DirectoryName::DEFAULT.to_string(), "default");
        assert_eq!(DirectoryName::default(), DirectoryName::DEFAULT);
    }

    #[test]
    fn no_directory_is_named_as_a_route_begins() {
        for route in Route::ALL {
            let first = route.first_segment();
            assert_eq!(DirectoryName::parse(first), Err(NameFault::Reserved));
            // Profiles do not appear in URLs.
            assert!(ProfileName::parse(first).is_ok(), "{first}");
        }
        for first in ["directory", "new-nonce", "account", "order", "limits"] {
            assert_eq!(DirectoryName::parse(first), Err(NameFault::Reserved));
        }
    }
}
