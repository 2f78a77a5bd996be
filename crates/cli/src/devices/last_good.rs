//! The last list of devices that was in force, kept beside the database: a
//! server whose list is at fault starts from it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use assay_engine::sha256;
use data_encoding::HEXLOWER;

use super::{DeviceList, ListReading, MAX_DEVICE_LIST};
use crate::{dir::Dir, files, permissions::Owners};

/// How the names of these files begin.
const PREFIX: &str = "devices.last-good";

/// `devices.last-good.csv` in the server's directory; of a list that is somewhere
/// else than usual, with a part of the hash of its path in the name: the last
/// list of one file is none of another one.
#[derive(Clone, Debug)]
pub struct LastGood(PathBuf);

impl LastGood {
    /// The list that `admission.devices` names where nothing is said.
    pub const USUAL_LIST: &str = "devices.csv";

    /// That of a server whose configuration names this list.
    pub fn of(dir: &Dir, configured: &Path) -> Self {
        let name = match configured == Path::new(Self::USUAL_LIST) {
            true => format!("{PREFIX}.csv"),
            false => {
                let hash = sha256(configured.as_os_str().as_bytes());
                format!("{PREFIX}-{}.csv", HEXLOWER.encode(&hash[..4]))
            }
        };
        Self(dir.path().join(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn folder(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("."))
    }

    /// What [`LastGood::keep`] writes first.
    fn unfinished(&self) -> PathBuf {
        self.0.with_extension("csv.new")
    }

    /// Whether `path` leads to a file with a name that is kept for these.
    pub fn is_at(&self, path: &Path) -> bool {
        let Some(place) = files::place(path) else {
            return false;
        };
        let is_named =
            (place.file_name()).is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
        is_named && place.parent() == self.folder().canonicalize().ok().as_deref()
    }

    /// The list, where there is one that can be used. A symbolic link in its
    /// place is none, nor is a file that others can have written.
    pub fn read(&self) -> Option<ListReading> {
        let is_file = fs::symlink_metadata(&self.0).is_ok_and(|found| found.is_file());
        let owners = Owners::of(self.folder()).ok()?;
        let read = || {
            files::read_checked(&self.0, MAX_DEVICE_LIST, |found| {
                let fault = owners.judge(&self.0, found);
                ensure!(fault.is_none(), "others can write it");
                Ok(())
            })
        };
        let bytes = is_file.then(|| read().ok())??;
        DeviceList::read(&bytes).ok()
    }

    /// Removes those of lists that the configuration named before.
    fn remove_others(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.folder())? {
            let entry = entry?;
            let is_one = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes());
            if is_one && entry.path() != self.0 && !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Keeps the list of this content, durably, whole or not at all. What has
    /// its name is replaced; a link is not followed.
    pub fn keep(&self, bytes: &[u8]) -> io::Result<()> {
        let is_file = fs::symlink_metadata(&self.0).is_ok_and(|found| found.is_file());
        if is_file && files::read(&self.0, MAX_DEVICE_LIST).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        // One name, so that a process that is killed leaves one file at most:
        // the database lets only one server in.
        let new = self.unfinished();
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&new, &self.0)) {
            // The first error is the one to report.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        self.remove_others()?;
        File::open(self.folder())?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const LIST: &str = "serial,udid,comment\nC02XK0AAJHD2,,\n";

    #[test]
    fn it_is_replaced_whole_with_mode_600_and_no_link_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let last_good = LastGood::of(&Dir::new(home.path()), Path::new("devices.csv"));
        assert!(last_good.read().is_none());
        for (name, is_own) in [
            ("devices.csv", false),
            ("./devices.last-good.csv", true),
            ("devices.last-good.csv.new", true),
        ] {
            assert_eq!(last_good.is_at(&home.path().join(name)), is_own, "{name}");
        }
        let elsewhere = home.path().join("elsewhere");
        fs::write(&elsewhere, LIST).unwrap();
        symlink(&elsewhere, last_good.path()).unwrap();
        assert!(last_good.read().is_none());
        // What a killed process left is in no way.
        fs::write(home.path().join("devices.last-good.csv.new"), "half").unwrap();
        let longer = format!("{LIST}C02XK0AAJHD3,,\n");
        last_good.keep(longer.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), LIST);
        assert_eq!(last_good.read().unwrap().list.len(), 2);
        let metadata = fs::symlink_metadata(last_good.path()).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
        // One that cannot be used is none.
        fs::write(last_good.path(), "serial").unwrap();
        assert!(last_good.read().is_none());
        // A directory in its place is an error, and leaves nothing behind.
        fs::remove_file(last_good.path()).unwrap();
        fs::create_dir(last_good.path()).unwrap();
        last_good.keep(LIST.as_bytes()).unwrap_err();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }
}
