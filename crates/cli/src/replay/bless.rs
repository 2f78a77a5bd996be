//! `--bless`: rewrites recordings so that they say the new judgement.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use assay_recording::{Claims, Difference, MAX_RECORDING_BYTES, Recording};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::{
    ser::{PrettyFormatter, Serializer},
    value::RawValue,
};

use super::{
    Outcome, Replayed, Row,
    batch::{Batch, Opened},
    roots,
};
use crate::{
    files,
    stop::{OrStop as _, Stop},
};

/// Rewrites every recording that is different, or none: everything that can be
/// wrong is checked before the first is written.
///
/// # Errors
/// A recording cannot be judged, must not be rewritten, or cannot be written.
pub fn bless(rows: &mut [Row], folders: &[PathBuf], batch: &Batch) -> Result<(), Stop> {
    let refused = |file: &str, error: &dyn fmt::Display| {
        Stop::usage(anyhow!("nothing was blessed: {file}: {error}"))
    };
    let mut planned = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        match &row.outcome {
            Outcome::Skipped(_) => continue,
            Outcome::Unreadable(error) => return Err(refused(&row.file, error)),
            Outcome::Judged(replayed) if replayed.differences.is_empty() => continue,
            Outcome::Judged(replayed) => {
                if let Some(advice) = replayed.advice.as_ref().filter(|one| one.is_embedded()) {
                    let why = format!("it is different because a root is not trusted: {advice}");
                    return Err(refused(&row.file, &why));
                }
                if lacks_its_root(replayed) {
                    let advice = replayed.advice.as_ref().map(ToString::to_string);
                    let advice = advice.unwrap_or_else(|| "pass its root with --root FILE".into());
                    let why = format!(
                        "it verified when it was recorded, and no trusted root vouches for it now: {advice}"
                    );
                    return Err(refused(&row.file, &why));
                }
                let folder = row.listed.folder.and_then(|folder| folders.get(folder));
                may_be_written(&row.listed.path, folder.map(PathBuf::as_path))
                    .and_then(|()| rewritten(&row.listed.path, &replayed.differences, batch))
                    .map_err(|error| refused(&row.file, &format!("{error:#}")))?;
                planned.push(index);
            }
        }
    }
    for index in planned {
        let Some(row) = rows.get_mut(index) else {
            continue;
        };
        let Outcome::Judged(replayed) = &mut row.outcome else {
            continue;
        };
        let path = &row.listed.path;
        // Read again, so that only one of them is in memory.
        if let Some(text) = rewritten(path, &replayed.differences, batch).or_fault(&row.file)? {
            files::rewrite(path, text.as_bytes()).or_fault("blessing broke off")?;
        }
        replayed.blessed = true;
    }
    Ok(())
}

/// Whether evidence that verified is refused now because of its root: then the
/// command line lacks a root, and the recording is not at fault.
fn lacks_its_root(replayed: &Replayed) -> bool {
    let verified = replayed.recorded.is_accepted() || replayed.recorded_facts.is_some();
    verified && replayed.finding.as_ref().is_some_and(roots::concerns)
}

/// Whether a file may be replaced: not through a symbolic link, and not outside
/// of the folder that the command line names.
fn may_be_written(path: &Path, folder: Option<&Path>) -> anyhow::Result<()> {
    ensure!(
        !files::is_standard_input(path),
        "standard input cannot be rewritten: name the file"
    );
    let reading = || format!("cannot read {}", path.display());
    if path.symlink_metadata().with_context(reading)?.is_symlink() {
        let target = path.canonicalize().with_context(reading)?;
        bail!(
            "it is a symbolic link, which is not followed: bless {}",
            target.display()
        );
    }
    let place = path.canonicalize().with_context(reading)?;
    if let Some(folder) = folder {
        let folder = folder.canonicalize().with_context(reading)?;
        ensure!(
            place.starts_with(&folder),
            "a symbolic link leads out of {} to it, and is not followed: bless {}",
            folder.display(),
            place.display()
        );
    }
    Ok(())
}

/// The file with the claims of the new judgement; `None` if it has them already
/// (it was named twice).
///
/// # Errors
/// Its differences are not the ones that were shown.
fn rewritten(path: &Path, shown: &[Difference], batch: &Batch) -> anyhow::Result<Option<String>> {
    let file = files::read(path, MAX_RECORDING_BYTES as u64)?;
    let Opened {
        recording,
        verifier,
        at,
        ..
    } = batch.open_bytes(&file)?;
    let claims = recording.judge(&verifier, at);
    let differences = recording.differences(&claims);
    if differences.is_empty() {
        return Ok(None);
    }
    ensure!(
        differences == shown,
        "it changed after it was judged: replay it again"
    );
    let text = String::from_utf8(file).context("it is not UTF-8")?;
    let text = with_claims(&text, &claims)?;
    // What is written must be the recording with other claims, and no more.
    let written = Recording::parse(text.as_bytes())?;
    let mut expected = recording.into_contents();
    expected.claims = claims;
    ensure!(
        *written.contents() == expected,
        "its new text would not be the same recording: report this as a bug"
    );
    Ok(Some(text))
}

/// The text of a recording with other claims. All other members keep their order
/// and their text.
fn with_claims(file: &str, claims: &Claims) -> anyhow::Result<String> {
    let Object(mut members) = serde_json::from_str(file)?;
    let layout = Layout::of(file);
    let mut set = |key: &str, value: Option<String>, after: &[&str]| {
        let place = |wanted: &str| members.iter().position(|(key, _)| key == wanted);
        match (value, place(key)) {
            (Some(value), Some(index)) => members[index].1 = value,
            (Some(value), None) => {
                let index = after.iter().find_map(|key| place(key));
                let index = index.map_or(members.len(), |index| index + 1);
                members.insert(index, (key.to_owned(), value));
            }
            (None, Some(index)) => {
                members.remove(index);
            }
            (None, None) => {}
        }
    };
    set("verdict", Some(layout.value(&claims.verdict)?), &[]);
    let facts = claims.facts.as_ref();
    let facts = facts.map(|facts| layout.value(facts)).transpose()?;
    set("facts", facts, &["verdict"]);
    let root = claims.root_sha256.as_ref();
    let root = root.map(|root| layout.value(root)).transpose()?;
    set("root_sha256", root, &["facts", "verdict"]);
    layout.object(&members)
}

/// A JSON object, its members as they are written, in their order.
struct Object(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((key, value.get().to_owned()));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// How a JSON file is laid out, so that a diff shows what changed.
struct Layout<'a> {
    /// The indentation of the outermost members; `None` if they are in one line.
    indent: Option<&'a str>,
    /// White space at the end.
    end: &'a str,
}

impl<'a> Layout<'a> {
    fn of(file: &'a str) -> Self {
        let content = file.trim_end();
        let indent = content.trim_start().split_once('\n').map(|(_, lines)| {
            let text = lines.trim_start_matches([' ', '\t']);
            &lines[..lines.len() - text.len()]
        });
        Self {
            indent,
            end: &file[content.len()..],
        }
    }

    /// A value of an outermost member.
    fn value(&self, value: &impl Serialize) -> anyhow::Result<String> {
        let Some(indent) = self.indent else {
            return Ok(serde_json::to_string(value)?);
        };
        let mut text = Vec::new();
        let formatter = PrettyFormatter::with_indent(indent.as_bytes());
        value.serialize(&mut Serializer::with_formatter(&mut text, formatter))?;
        let text = String::from_utf8(text)?;
        Ok(text.replace('\n', &format!("\n{indent}")))
    }

    fn object(&self, members: &[(String, String)]) -> anyhow::Result<String> {
        let colon = if self.indent.is_some() { ": " } else { ":" };
        let members: Vec<_> = members
            .iter()
            .map(|(key, value)| {
                let key = serde_json::to_string(key)?;
                let indent = self.indent.unwrap_or_default();
                Ok(format!("{indent}{key}{colon}{value}"))
            })
            .collect::<anyhow::Result<_>>()?;
        let end = self.end;
        Ok(match self.indent {
            Some(_) => format!("{{\n{}\n}}{end}", members.join(",\n")),
            None => format!("{{{}}}{end}", members.join(",")),
        })
    }
}
