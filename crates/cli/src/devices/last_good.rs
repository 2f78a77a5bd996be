//! The last list of devices that was in force, kept beside the database: a
//! server whose list is at fault starts from it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use assay_engine::admission::{DeviceList, ListReading};

use super::MAX_DEVICE_LIST;
use crate::{dir::Dir, files};

/// `devices.last-good.csv` in the server's directory.
#[derive(Clone, Debug)]
pub struct LastGood(PathBuf);

impl LastGood {
    /// That of a server.
    pub fn of(dir: &Dir) -> Self {
        Self(dir.path().join("devices.last-good.csv"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What [`LastGood::keep`] writes first.
    fn unfinished(&self) -> PathBuf {
        self.0.with_extension("csv.new")
    }

    /// Whether `path` leads to a file that is written here.
    pub fn is_at(&self, path: &Path) -> bool {
        files::are_one(path, &self.0) || files::are_one(path, &self.unfinished())
    }

    /// The list, where there is one that can be used. A symbolic link in its
    /// place is none.
    pub fn read(&self) -> Option<ListReading> {
        let is_file = fs::symlink_metadata(&self.0).is_ok_and(|found| found.is_file());
        let bytes = is_file.then(|| files::read(&self.0, MAX_DEVICE_LIST).ok())??;
        DeviceList::read(&bytes).ok()
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
        let folder = self.0.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
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
        let last_good = LastGood::of(&Dir::new(home.path()));
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
