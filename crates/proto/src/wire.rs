//! Strict JSON parsing of untrusted input, beyond what `serde` derives.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// The longest piece of untrusted text that an error quotes, in characters.
const LONGEST_QUOTE: usize = 128;

/// Truncates `text` to the length that an error may quote.
#[must_use]
pub fn truncate_quote(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

/// A value that must be a JSON object. `serde` also accepts an array for a
/// struct: even `[]` for a struct without fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// Reads `null` as an absent member, for `#[serde(default, deserialize_with)]`.
/// RFC 8555 does not define `null`, and many encoders write it for a missing
/// value. (An `Option` reads it so by default.)
pub(crate) fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads an array of JSON objects, for `#[serde(deserialize_with)]`.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewOrder;

    #[test]
    fn an_array_is_no_object_at_any_depth() {
        let order = r#"{"identifiers":[{"type":"a","value":"b","more":[1]}]}"#;
        let Object(read) = serde_json::from_str::<Object<NewOrder>>(order).unwrap();
        assert_eq!(read.identifiers[0].value, "b");
        for wrong in [
            r#"{"identifiers":[["a","b"]]}"#,
            r#"{"identifiers":["a"]}"#,
            r#"{"identifiers":[null]}"#,
            r#"{"identifiers":{"type":"a","value":"b"}}"#,
            r#"[[{"type":"a","value":"b"}]]"#,
            "[]",
            "null",
            "1",
        ] {
            let error = serde_json::from_str::<Object<NewOrder>>(wrong);
            assert!(error.is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_quote_is_cut_between_characters() {
        assert_eq!(truncate_quote("short"), "short");
        assert_eq!(truncate_quote(&"é".repeat(129)), "é".repeat(128));
    }
}
