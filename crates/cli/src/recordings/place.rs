//! Where recordings may lie.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use anyhow::ensure;

use crate::dir::Dir;

/// Recordings have a folder of their own, which nothing else of the server's is
/// in.
pub fn check_place(dir: &Dir, directory: &Path) -> anyhow::Result<()> {
    let folder = resolved(&dir.resolve(directory));
    let own = [
        dir.db(),
        dir.ca(),
        dir.attestation(),
        dir.config(),
        dir.control(),
    ];
    let taken = own.iter().any(|own| folder.starts_with(resolved(own)));
    ensure!(
        !taken && folder != resolved(dir.path()) && !folder.as_os_str().as_bytes().contains(&0),
        "recording.directory is {directory:?}, which is no place for recordings: name a folder of their own"
    );
    Ok(())
}

/// Where a path leads: through its symbolic links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut place = PathBuf::new();
    for step in path.components() {
        match step {
            Component::ParentDir => {
                place.pop();
            }
            step => place.push(step),
        }
        if let Ok(real) = place.canonicalize() {
            place = real;
        }
    }
    place
}
