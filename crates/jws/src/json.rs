//! A strict JSON parser with typed errors.
//!
//! serde's derive reports a duplicate or mistyped member as text. This parser
//! keeps each such error as a value; only a syntax error stops it.

use std::{borrow::Cow, collections::HashSet, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Why the bytes are not exactly one well-formed JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A member name appears more than once.
    #[error("a member name appears more than once; names must be unique")]
    DuplicateMember,
    /// The value is well-formed JSON of another type.
    #[error("expected a JSON object")]
    NotAnObject,
    /// The bytes are not UTF-8.
    #[error("not UTF-8 (RFC 8259 section 8.1)")]
    NotUtf8,
    /// The bytes are not JSON, or are nested too deeply.
    #[error("not well-formed JSON (RFC 8259)")]
    Syntax,
    /// Data follows the object.
    #[error("unexpected data after the end of the JSON object")]
    TrailingData,
}

/// Parses `json` as exactly one object of shape `T`.
pub(crate) fn parse<'a, T: Shape<'a>>(json: &'a [u8]) -> Result<T, JsonError> {
    // Checked once for the whole text, because serde_json does not check the
    // strings of ignored members.
    let text = str::from_utf8(json).map_err(|_| JsonError::NotUtf8)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Value::<T>::deserialize(&mut reader).map_err(|_| JsonError::Syntax)?;
    reader.end().map_err(|_| JsonError::TrailingData)?;
    match value {
        Value::Object(object) => object,
        _ => Err(JsonError::NotAnObject),
    }
}

/// What to keep of an object or an array.
pub(crate) trait Shape<'de>: Default {
    /// Reads the value of the member `name` from `map`, exactly once. Called at
    /// most once per name.
    fn member<A: MapAccess<'de>>(&mut self, _name: &str, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }

    /// Reads one string of an array.
    fn element(&mut self, _text: &str) {}
}

/// Keeps nothing.
impl Shape<'_> for () {}

/// Any JSON value, of which only strings and the shape `T` are kept.
pub(crate) enum Value<'de, T = ()> {
    Array(T),
    Object(Result<T, JsonError>),
    Scalar,
    Text(Cow<'de, str>),
}

impl<'de, T> Value<'de, T> {
    /// The string, if it is one.
    pub(crate) fn text(self) -> Option<Cow<'de, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Array(_) | Self::Object(_) | Self::Scalar => None,
        }
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Value<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor(PhantomData))
    }
}

struct ValueVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for ValueVisitor<T> {
    type Value = Value<'de, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Scalar)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut shape = T::default();
        while let Some(element) = seq.next_element::<Value<'de>>()? {
            if let Value::Text(text) = element {
                shape.element(&text);
            }
        }
        Ok(Value::Array(shape))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut shape = T::default();
        let mut seen = HashSet::new();
        let mut duplicate = false;
        // Names arrive unescaped, so "\u0061lg" is a duplicate of "alg".
        while let Some(name) = map.next_key::<Value<'de>>()?.and_then(Value::text) {
            if seen.contains(&name) {
                duplicate = true;
                map.next_value::<IgnoredAny>()?;
            } else {
                shape.member(&name, &mut map)?;
                seen.insert(name);
            }
        }
        Ok(Value::Object(if duplicate {
            Err(JsonError::DuplicateMember)
        } else {
            Ok(shape)
        }))
    }
}
