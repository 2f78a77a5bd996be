use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// The files that are meant: a folder means its *.json, sorted by name.
pub fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(json_files(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn json_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = folder.display();
    let reading = || format!("cannot read {shown}");
    let mut files = Vec::new();
    for entry in folder.read_dir().with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    ensure!(
        !files.is_empty(),
        "{shown} has no recording in it: a folder means its *.json"
    );
    files.sort();
    Ok(files)
}
