//! A new server's directory, made beside its place first: a failure leaves
//! nothing behind.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::anyhow;

use crate::stop::{OrStop, Stop};

/// A directory that becomes `target` when it is finished, and goes when it is
/// not.
pub struct Staging {
    target: PathBuf,
    parent: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl Staging {
    /// Begins to make `target`, which must not exist or be empty.
    pub fn create(target: &Path) -> Result<Self, Stop> {
        match fs::read_dir(target).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => {
                return Err(Stop::usage(anyhow!(
                    "{} is not empty: nothing is ever overwritten; name another directory with --dir",
                    target.display()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).or_usage(target.display()),
        }
        let absolute = std::path::absolute(target).or_usage(target.display())?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(Stop::usage(anyhow!(
                "{} cannot be a server's directory",
                target.display()
            )));
        };
        fs::create_dir_all(parent).or_usage(parent.display())?;
        let name = name.to_string_lossy();
        let path = parent.join(format!(".{name}.new-{}", std::process::id()));
        // Whatever is there already is not ours.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .or_fault(format_args!("cannot make a server in {}", target.display()))?;
        Ok(Self {
            parent: parent.to_owned(),
            path,
            finished: false,
            target: absolute,
        })
    }

    /// The directory as long as it is not finished.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it into its place, durable.
    pub fn finish(mut self) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_dir() {
                File::open(path)?.sync_all()?;
            }
        }
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.finished = true;
        File::open(&self.parent)?.sync_all()?;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // The error that led here is the one to report.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
