//! A recording as a list of texts, for people who read or compare recordings.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Recording;

/// Keys with binary values that nobody reads: their length and SHA-256 are
/// shown.
const BINARY: [&str; 4] = ["attestation_object", "csr", "certificates", "embedded_root"];

/// One value of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The path of its key, for example `facts.serial` or `nonces[0].sent`.
    pub path: String,
    /// The value; of a certificate or other long binary value, its length and
    /// SHA-256.
    pub text: String,
}

/// A value that two recordings do not have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The path of its key.
    pub path: String,
    /// What the first recording says.
    pub before: Option<String>,
    /// What the second recording says.
    pub after: Option<String>,
}

impl Recording {
    /// Every value of the file. The keys at the top are in the order of the file,
    /// those within them by name.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let json = self.to_json();
        let Ok(Value::Object(object)) = serde_json::from_str(&json) else {
            return Vec::new();
        };
        let mut fields = Vec::new();
        // The file is pretty-printed: a key at the top has two spaces before it.
        let keys = json.lines().filter_map(|line| {
            let key = line.strip_prefix("  \"")?;
            Some(key.split_once('"')?.0)
        });
        for key in keys {
            if let Some(value) = object.get(key) {
                flatten(key, value, BINARY.contains(&key), &mut fields);
            }
        }
        fields
    }

    /// What another recording says differently, in the order of
    /// [`fields`](Self::fields).
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let (before, after) = (self.fields(), other.fields());
        let text = |fields: &[Field], path: &str| {
            let found = fields.iter().find(|field| field.path == path);
            found.map(|field| field.text.clone())
        };
        let added = (after.iter()).filter(|field| text(&before, &field.path).is_none());
        before
            .iter()
            .chain(added)
            .map(|field| Change {
                before: text(&before, &field.path),
                after: text(&after, &field.path),
                path: field.path.clone(),
            })
            .filter(|change| change.before != change.after)
            .collect()
    }
}

fn flatten(path: &str, value: &Value, is_binary: bool, fields: &mut Vec<Field>) {
    let text = match value {
        Value::Object(object) => {
            for (key, value) in object {
                flatten(&format!("{path}.{key}"), value, is_binary, fields);
            }
            return;
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), value, is_binary, fields);
            }
            return;
        }
        Value::String(text) if is_binary => described(text),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    fields.push(Field {
        path: path.to_owned(),
        text,
    });
}

fn described(base64url: &str) -> String {
    match BASE64URL_NOPAD.decode(base64url.as_bytes()) {
        Ok(bytes) => format!(
            "{} bytes, SHA-256 {}",
            bytes.len(),
            HEXLOWER.encode(&Sha256::digest(&bytes))
        ),
        Err(_) => base64url.to_owned(),
    }
}
