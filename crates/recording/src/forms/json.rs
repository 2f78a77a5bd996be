//! JSON, read once and bounded: numbers and keywords are not kept, and the number
//! of values is limited.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::FormError;

/// Values in one document. A HAR of a thousand requests has a hundred thousand.
const MAX_VALUES: usize = 1_000_000;

/// A value, as far as evidence can be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// A number, a boolean, or null.
    Other,
    Text(String),
}

impl Json {
    /// The value of an object's first key of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find_map(|(key, value)| (key == name).then_some(value)),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The text that is the value of a key.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    /// The values of a key's array.
    pub(super) fn array_of(&self, name: &str) -> &[Self] {
        self.get(name).and_then(Self::array).unwrap_or_default()
    }
}

/// A whole document.
pub(super) fn parse(text: &str) -> Result<Json, FormError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let left = Cell::new(MAX_VALUES);
    Seed(&left)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| {
            // The text quotes nothing of the document but keys, and of those none
            // is named here.
            FormError::Broken {
                form: "JSON",
                fault: error.to_string(),
            }
        })
}

/// The document that a text begins with, and its length in bytes.
pub(super) fn parse_prefix(text: &str) -> Option<(Json, usize)> {
    // A stream says where its values end, and takes no seed.
    let left = Cell::new(MAX_VALUES);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Seed(&left).deserialize(&mut deserializer).ok()?;
    let mut ends = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    ends.next()?.ok()?;
    Some((value, ends.byte_offset()))
}

#[derive(Clone, Copy)]
struct Seed<'c>(&'c Cell<usize>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0
            .set(left.ok_or_else(|| D::Error::custom("it has more than 1,000,000 values"))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = entries.next_key()? {
            members.push((key, entries.next_value_seed(self)?));
        }
        Ok(Json::Object(members))
    }
}
