//! Files and folders that somebody else may have put there.

use std::{
    ffi::OsStr,
    fs::{self, Metadata, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::Access;

use crate::permissions;

/// The largest configuration, certificate or key file, in bytes.
pub const SMALL: u64 = 1024 * 1024;

/// The whole of a regular file of at most `limit` bytes. A pipe or a device is
/// refused before it can hold anything up.
pub fn read(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    read_checked(path, limit, |_| Ok(()))
}

/// The same of a file that `check` approves of: the one that was opened, whatever
/// is at its path meanwhile.
pub fn read_checked(
    path: &Path,
    limit: u64,
    check: impl FnOnce(&Metadata) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path);
    let file = match file {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            bail!(permissions::denied(path, Access::READ_OK))
        }
        opened => opened.with_context(|| format!("cannot read {shown}"))?,
    };
    let metadata = file
        .metadata()
        .with_context(|| format!("cannot read {shown}"))?;
    ensure!(metadata.is_file(), "{shown} is not a regular file");
    check(&metadata)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {shown}"))?;
    ensure!(
        bytes.len() as u64 <= limit,
        "{shown} is larger than {limit} bytes"
    );
    Ok(bytes)
}

/// The same for text.
pub fn read_text(path: &Path, limit: u64) -> anyhow::Result<String> {
    String::from_utf8(read(path, limit)?)
        .with_context(|| format!("{} is not UTF-8 text", path.display()))
}

/// Whether a command means standard input: the file `-`.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// What a user names as the input of a command, evidence or a recording: a
/// regular file, or standard input (`-`), which may be a pipe; at most `limit`
/// bytes.
pub fn read_input(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    if !is_standard_input(path) {
        return read(path, limit);
    }
    let mut bytes = Vec::new();
    io::stdin()
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .context("cannot read standard input")?;
    ensure!(
        bytes.len() as u64 <= limit,
        "standard input is larger than {limit} bytes"
    );
    Ok(bytes)
}

/// Replaces the content of a file, whole or not at all, and synchronises it to
/// the disk. Mode and owner stay. A symbolic link is refused: it would become a
/// file, or its target be changed.
pub fn rewrite(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let writing = || format!("cannot write {}", path.display());
    let metadata = path.symlink_metadata().with_context(writing)?;
    ensure!(
        metadata.is_file(),
        "cannot write {}: it is not a regular file",
        path.display()
    );
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let replaced = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        let own = file.as_file().metadata()?;
        if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
            fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
        }
        // After the owner, whose change may clear bits of the mode.
        file.as_file().set_permissions(metadata.permissions())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    replaced().with_context(writing)
}

/// Writes a file into a folder, whole or not at all. What had the name before
/// is replaced; a symbolic link is not followed. The mode is `mode`, less what
/// the umask takes away.
pub fn replace(folder: &Path, name: &OsStr, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(folder.join(name))?;
    Ok(())
}

/// Where `path` leads to through symbolic links, or where a file would be that is
/// not there.
pub fn place(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    })
}

/// What distinguishes one state of a file from another. The time of the last
/// change of the inode is among it: no program can set that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    changed: (i64, i64),
    /// In bytes.
    pub length: u64,
    place: (u64, u64),
}

/// What the file is like.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        length: metadata.len(),
        place: (metadata.dev(), metadata.ino()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_rewritten_with_its_mode_and_a_link_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        rewrite(&file, b"after").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"after");
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o604);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let error = format!("{:#}", rewrite(&link, b"again").unwrap_err());
        assert!(error.ends_with("link: it is not a regular file"), "{error}");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"after");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read_text(&file, 5).unwrap(), "12345");
        let error = |path: &Path| format!("{:#}", read(path, 4).unwrap_err());
        assert!(error(&file).ends_with("file is larger than 4 bytes"));
        assert!(error(dir.path()).ends_with("is not a regular file"));
        assert!(error(Path::new("/dev/zero")).ends_with("is not a regular file"));
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(error(&fifo).ends_with("is not a regular file"));
        fs::write(&file, [0xff]).unwrap();
        assert!(read_text(&file, 5).is_err());
    }
}
