//! What JSON from strangers needs beyond `serde`'s derived shapes.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// The longest piece of a stranger's text that an error quotes, in letters.
const LONGEST_QUOTE: usize = 128;

/// `text`, cut to what an error may quote.
#[must_use]
pub fn cut(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

/// A value that stands as a JSON object. `serde` reads an array as a struct,
/// too: `[]` for one without any field.
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

/// `null` as an absent member, for `#[serde(default, deserialize_with)]`. RFC
/// 8555 does not say what it means, and many encoders write it for a value that
/// is not there. (An `Option` is read so by itself.)
pub(crate) fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// An array of JSON objects, for `#[serde(deserialize_with)]`.
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
    fn a_quote_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(129)), "é".repeat(128));
    }
}
