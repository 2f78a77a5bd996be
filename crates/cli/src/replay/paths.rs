//! Which files the arguments mean.

use std::{
    collections::HashSet,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};

use crate::files;

/// A file to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub path: PathBuf,
    /// The folder of the command line in which it was found, by its index; `None`
    /// if the command line names the file itself.
    pub folder: Option<usize>,
}

/// The files that the command line means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of the command line; those of a folder sorted.
    pub files: Vec<Listed>,
    /// The folders that the command line names.
    pub folders: Vec<PathBuf>,
    /// `*.json` with a name that begins with a dot, which a recursive search
    /// leaves out.
    pub hidden: Vec<PathBuf>,
}

/// Lists the files: a folder means its `*.json`, if `recursive` also those of
/// the folders in it, without hidden files and folders. A symbolic link to a
/// folder is followed, but no folder is visited twice, so that a loop of links
/// ends.
///
/// # Errors
/// A folder cannot be read; standard input is named twice.
pub fn list(paths: &[PathBuf], recursive: bool) -> anyhow::Result<Listing> {
    let mut listing = Listing::default();
    let standard_input = paths.iter().filter(|path| files::is_standard_input(path));
    ensure!(
        standard_input.count() <= 1,
        "- is named twice: standard input can be read once"
    );
    for path in paths {
        if files::is_standard_input(path) || !path.is_dir() {
            listing.files.push(Listed {
                path: path.clone(),
                folder: None,
            });
            continue;
        }
        let folder = listing.folders.len();
        listing.folders.push(path.clone());
        let mut found = walk(path, recursive, &mut listing.hidden)?;
        found.sort();
        listing.files.extend(found.into_iter().map(|path| Listed {
            path,
            folder: Some(folder),
        }));
    }
    listing.hidden.sort();
    Ok(listing)
}

/// The files, where each folder must have one.
#[cfg_attr(
    not(feature = "lab"),
    allow(dead_code, reason = "for --end-to-end, and for tests")
)]
pub fn expand(paths: &[PathBuf], recursive: bool) -> anyhow::Result<Vec<PathBuf>> {
    let Listing { files, folders, .. } = list(paths, recursive)?;
    for (index, folder) in folders.iter().enumerate() {
        let is_in = |file: &Listed| file.folder == Some(index);
        ensure!(files.iter().any(is_in), empty(folder));
    }
    Ok(files.into_iter().map(|file| file.path).collect())
}

/// The error for a folder without a recording.
pub fn empty(folder: &Path) -> String {
    format!(
        "{} has no recording in it: a folder means its *.json",
        folder.display()
    )
}

/// Whether a report may be written there: not over one of the recordings.
pub fn check_report<'a>(
    mut files: impl Iterator<Item = &'a Path>,
    report: &Path,
) -> anyhow::Result<()> {
    let Ok(report) = report.canonicalize() else {
        return Ok(());
    };
    let same = |file: &&Path| file.canonicalize().is_ok_and(|file| file == report);
    match files.find(same) {
        None => Ok(()),
        Some(file) => Err(anyhow!(
            "the report would be written over the recording {}: name another file",
            file.display()
        )),
    }
}

/// Every `*.json` in a folder, in no order.
fn walk(folder: &Path, recursive: bool, hidden: &mut Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut visited = HashSet::new();
    let mut waiting = vec![folder.to_owned()];
    let mut found = Vec::new();
    // A stack, not recursion: how deep folders are is not ours to decide.
    while let Some(folder) = waiting.pop() {
        let shown = folder.display();
        let reading = || format!("cannot read {shown}");
        let metadata = fs::metadata(&folder).with_context(reading)?;
        if !visited.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        let mut inner = Vec::new();
        for entry in folder.read_dir().with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let path = entry.path();
            let is_hidden = entry.file_name().as_bytes().starts_with(b".");
            let kind = entry.file_type().with_context(reading)?;
            // A link that leads nowhere is a file, which then cannot be read.
            let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
            let is_json = path
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
            match (is_folder, is_json) {
                (true, _) if recursive && !is_hidden => inner.push(path),
                (false, true) if recursive && is_hidden => hidden.push(path),
                (false, true) => found.push(path),
                _ => {}
            }
        }
        // The last is visited first. If two links lead to one folder, the same
        // one of them is followed each time.
        inner.sort_by(|one, other| other.cmp(one));
        waiting.extend(inner);
    }
    Ok(found)
}
