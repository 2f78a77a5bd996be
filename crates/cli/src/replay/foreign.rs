//! Files in a folder that are no recordings: a report, a configuration. They are
//! skipped; a recording that is broken is not, nor a `*.json` that is no JSON.

use std::{fs, io::Read as _, path::Path};

use assay_recording::{FileName, MAX_RECORDING_BYTES};
use serde_json::Value;

/// The key that makes a JSON file a recording, of any version.
const KEY: &str = "assay_recording";

/// Why a file that is larger than any recording is none; `None` if it is not so
/// large, or may be a recording.
pub fn by_size(path: &Path) -> Option<String> {
    // A file that is no regular one is not opened: it may be a pipe.
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    if metadata.len() <= MAX_RECORDING_BYTES as u64 || is_servers(path) {
        return None;
    }
    let mut head = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(MAX_RECORDING_BYTES as u64)
        .read_to_end(&mut head)
        .ok()?;
    (!names_key(&head)).then(|| "it is larger than a recording can be".to_owned())
}

/// Why a file that cannot be read as a recording is none; `None` if it is a
/// broken one.
pub fn by_content(path: &Path, file: &[u8]) -> Option<String> {
    if is_servers(path) {
        return None;
    }
    match serde_json::from_slice(file) {
        Ok(Value::Object(object)) if object.contains_key(KEY) => None,
        // A list of recordings, perhaps.
        Ok(_) if names_key(file) => None,
        Ok(_) => Some(format!("it is JSON without \"{KEY}\"")),
        // A recording that a crash or a tool has cut off, emptied or encoded
        // otherwise: a test that silently loses its input stays green.
        Err(_) => None,
    }
}

/// Whether there is a recording, or something like one, at this place.
pub fn is_recording(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else {
        return false;
    };
    let mut head = Vec::new();
    let read = file.take(MAX_RECORDING_BYTES as u64).read_to_end(&mut head);
    // A report of an earlier run may quote the key.
    read.is_ok() && head.trim_ascii_start().starts_with(b"{") && names_key(&head)
}

fn is_servers(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| FileName::parse(name).is_some())
}

fn names_key(file: &[u8]) -> bool {
    file.windows(KEY.len())
        .any(|window| window == KEY.as_bytes())
}
