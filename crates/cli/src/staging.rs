//! Creates a server's directory in a staging directory beside its place, so
//! that a failure leaves nothing behind.
//!
//! The staging directory is locked (flock) while its process lives, and
//! contains a file that marks it as unfinished. So the next `init` or `restore`
//! into the same place can recognize and remove the staging directory of a
//! killed process.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use rustix::{
    fs::{Access, OFlags},
    process::geteuid,
};

use crate::{
    files, permissions,
    stop::{OrStop, Stop},
};

/// The file that marks an unfinished directory.
const MARK: &str = ".assay-unfinished";
const MARK_TEXT: &str = "assay: a server's directory that is not finished\n";

/// A staging directory that is renamed to `target` when it is finished, and is
/// removed otherwise.
pub struct Staging {
    target: PathBuf,
    parent: PathBuf,
    path: PathBuf,
    finished: bool,
    /// The open directory, locked.
    _lock: File,
}

impl Staging {
    /// Starts to create `target`, which must be empty or not exist.
    pub fn create(target: &Path) -> Result<Self, Stop> {
        check_target(target)?;
        let shown = target.display().to_string();
        let absolute = std::path::absolute(target).or_usage(&shown)?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(Stop::usage(anyhow!(
                "{shown} cannot be a server's directory"
            )));
        };
        fs::create_dir_all(parent).or_usage(format_args!(
            "cannot create the folder {}: name another directory with --dir",
            parent.display()
        ))?;
        let beginning = format!(".{}.new-", name.to_string_lossy());
        remove_leftovers(parent, &beginning);
        let path = parent.join(format!("{beginning}{}", std::process::id()));
        let doing = format!("cannot create a server in {shown}");
        // An existing file or directory is not overwritten.
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let denied = permissions::denied(parent, Access::WRITE_OK | Access::EXEC_OK);
                return Err(Stop::usage(anyhow!("{doing}: {denied}")));
            }
            made => made.or_fault(&doing)?,
        }
        let begun = begin(&path).or_fault(&doing);
        let lock = begun.inspect_err(|_| drop(fs::remove_dir_all(&path)))?;
        Ok(Self {
            parent: parent.to_owned(),
            path,
            finished: false,
            target: absolute,
            _lock: lock,
        })
    }

    /// The path of the staging directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it to its final place, durably.
    pub fn finish(mut self) -> Result<(), Stop> {
        let shown = self.target.display().to_string();
        let doing = format!("cannot create a server in {shown}");
        self.sync().or_fault(&doing)?;
        match fs::rename(&self.path, &self.target) {
            // Another process was faster; its files are not overwritten.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                return Err(not_empty(&self.target));
            }
            renamed => renamed.or_fault(&doing)?,
        }
        self.finished = true;
        // The server is complete even if the process is killed before this.
        fs::remove_file(self.target.join(MARK)).or_fault(&doing)?;
        File::open(&self.target)
            .and_then(|target| target.sync_all())
            .or_fault(&doing)?;
        File::open(&self.parent)
            .and_then(|parent| parent.sync_all())
            .or_fault(&doing)
    }

    fn sync(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_dir() {
                File::open(path)?.sync_all()?;
            }
        }
        File::open(&self.path)?.sync_all()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // The caller reports the error that led here.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Refuses a target that cannot become a server's directory.
fn check_target(target: &Path) -> Result<(), Stop> {
    let shown = target.display();
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).or_usage(format_args!(
                "cannot inspect {shown}: name another directory with --dir"
            ));
        }
        Ok(found) if found.is_symlink() => {
            return Err(Stop::usage(anyhow!(
                "{shown} is a symbolic link, which a new directory cannot replace: name its target with --dir"
            )));
        }
        Ok(found) if !found.is_dir() => {
            return Err(Stop::usage(anyhow!(
                "{shown} is not a directory: nothing is ever overwritten; name another directory with --dir"
            )));
        }
        Ok(_) => {}
    }
    let is_empty = fs::read_dir(target).map(|mut entries| entries.next().is_none());
    if let Err(error) = &is_empty
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        let denied = permissions::denied(target, Access::READ_OK);
        return Err(Stop::usage(anyhow!(denied)));
    }
    match is_empty.or_usage(format_args!(
        "cannot read {shown}: name another directory with --dir"
    ))? {
        true => Ok(()),
        false => Err(not_empty(target)),
    }
}

fn not_empty(target: &Path) -> Stop {
    Stop::usage(anyhow!(
        "{} is not empty: nothing is ever overwritten; name another directory with --dir",
        target.display()
    ))
}

/// Locks a new directory, then writes the mark. A process that sees the mark
/// and gets the lock knows that the creator has ended.
fn begin(path: &Path) -> io::Result<File> {
    let lock = File::open(path)?;
    lock.try_lock()?;
    let mut mark = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path.join(MARK))?;
    mark.write_all(MARK_TEXT.as_bytes())?;
    Ok(lock)
}

/// Removes staging directories of killed processes in `parent` whose names have
/// this prefix. Directories that cannot be removed remain: a new one has its
/// own name.
fn remove_leftovers(parent: &Path, beginning: &str) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(beginning));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            let path = entry.path();
            match remove_leftover(&path) {
                Ok(false) => {}
                Ok(true) => tracing::warn!(
                    event = "leftover_removed",
                    path = %path.display(),
                    "removed the unfinished directory of an init or restore that was killed"
                ),
                Err(error) => tracing::warn!(
                    event = "leftover_kept",
                    path = %path.display(),
                    %error,
                    "cannot remove the unfinished directory of an init or restore that was killed: remove it by hand"
                ),
            }
        }
    }
}

/// Removes a staging directory whose process has ended.
fn remove_leftover(path: &Path) -> io::Result<bool> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path);
    // Not a directory, or owned by another user: leave it.
    let Ok(directory) = opened else {
        return Ok(false);
    };
    let is_own = directory.metadata()?.uid() == geteuid().as_raw();
    let mark = files::read(&path.join(MARK), files::SMALL);
    if !is_own || !mark.is_ok_and(|mark| mark == MARK_TEXT.as_bytes()) {
        return Ok(false);
    }
    match directory.try_lock() {
        Ok(()) => fs::remove_dir_all(path).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_init_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ca");
        let at = |name: &str| folder.path().join(name);
        let marked = |name: &str, text: &str| {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join(MARK), text).unwrap();
            fs::write(at(name).join("content"), "").unwrap();
        };
        marked(".ca.new-1", MARK_TEXT);
        marked(".ca.new-2", "something else");
        marked(".ca.new-x", MARK_TEXT);
        marked(".other.new-3", MARK_TEXT);
        marked("elsewhere", MARK_TEXT);
        fs::create_dir(at(".ca.new-4")).unwrap();
        std::os::unix::fs::symlink(at("elsewhere"), at(".ca.new-5")).unwrap();
        // A live process holds its lock.
        marked(".ca.new-6", MARK_TEXT);
        let held = File::open(at(".ca.new-6")).unwrap();
        held.try_lock().unwrap();
        let staging = Staging::create(&target).unwrap();
        assert!(!at(".ca.new-1").exists());
        for kept in [".ca.new-2", ".ca.new-x", ".other.new-3", "elsewhere"] {
            assert!(at(kept).join("content").exists(), "{kept}");
        }
        for kept in [".ca.new-4", ".ca.new-5", ".ca.new-6"] {
            assert!(at(kept).exists(), "{kept}");
        }
        drop(held);
        staging.finish().unwrap();
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
        drop(fs::remove_dir(&target));
        drop(Staging::create(&target).unwrap());
        assert!(!at(".ca.new-6").exists());
        assert!(!target.exists());
    }

    #[test]
    fn of_two_at_once_the_second_overwrites_nothing_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ca");
        let staging = Staging::create(&target).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join("assay.toml"), "of the other").unwrap();
        let said = staging.finish().unwrap_err().to_string();
        assert!(
            said.contains("is not empty: nothing is ever overwritten"),
            "{said}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_replaced_is_named_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        fs::create_dir(folder.path().join("empty")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("empty"), &link).unwrap();
        fs::write(&file, "").unwrap();
        let said = |target: &Path| Staging::create(target).err().unwrap().to_string();
        assert!(
            said(&link).contains("is a symbolic link"),
            "{}",
            said(&link)
        );
        assert!(
            said(&file).contains("is not a directory"),
            "{}",
            said(&file)
        );
        let below = said(&file.join("ca"));
        assert!(
            below.contains("name another directory with --dir"),
            "{below}"
        );
    }
}
