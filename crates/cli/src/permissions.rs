//! Checks the ownership and the permissions of the server's files.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};
use rustix::{
    fs::{Access, access},
    process::geteuid,
};

/// The user ID of root.
const ROOT: u32 = 0;

/// What is wrong with the ownership or the permissions of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file is writable by its group.
    Group(String),
    /// Another user owns the file, or every user may write to it.
    Open {
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
}

/// The users whose files a server trusts.
#[derive(Clone, Copy, Debug)]
pub struct Owners {
    this: u32,
    directory: u32,
}

impl Owners {
    /// The trusted owners of the server in `dir`: root and the user of this
    /// process. If that is root, who may check another user's server, also the
    /// owner of the directory.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let this = geteuid().as_raw();
        let directory = match this {
            ROOT => fs::metadata(dir)?.uid(),
            _ => this,
        };
        Ok(Self { this, directory })
    }

    fn trusts(self, uid: u32) -> bool {
        [ROOT, self.this, self.directory].contains(&uid)
    }

    /// Checks a file or directory that influences decisions: a user that can write
    /// it controls them. `None` if it does not exist or is safe.
    pub fn check_file(self, path: &Path) -> Option<Fault> {
        self.judge(path, &fs::metadata(path).ok()?)
    }

    /// Checks everything on the path to `path` that could be used to replace
    /// the file: its directory, and each symbolic link with the directory that
    /// contains the link.
    pub fn check_path(self, path: &Path) -> Vec<Fault> {
        let mut faults = Vec::new();
        for step in way_to(path) {
            let fault = match fs::symlink_metadata(&step) {
                // The owner of a link controls its target, even in a directory
                // with the sticky bit. The mode of a link has no meaning.
                Ok(found) if found.is_symlink() => self.check_owner(&step, &found),
                Ok(found) => self.judge(&step, &found),
                Err(_) => None,
            };
            faults.extend(fault);
        }
        faults
    }

    /// Checks only the owner.
    fn check_owner(self, path: &Path, found: &fs::Metadata) -> Option<Fault> {
        let shown = path.display();
        (!self.trusts(found.uid())).then(|| Fault::Open {
            what: format!(
                "{shown} belongs to {}, who can change it at any time",
                user(found.uid())
            ),
            remedy: format!(
                "chown {}{} {shown}, and check its content",
                if found.is_symlink() { "-h " } else { "" },
                owner(self.directory)
            ),
        })
    }

    /// Checks the metadata of this file or directory.
    pub fn judge(self, path: &Path, found: &fs::Metadata) -> Option<Fault> {
        let shown = path.display();
        let mode = found.mode() & 0o7777;
        // In a directory with the sticky bit only a file's owner can replace
        // it.
        let sticky = found.is_dir() && mode & 0o1000 != 0;
        if let Some(fault) = self.check_owner(path, found) {
            return Some(fault);
        }
        if mode & 0o002 != 0 && !sticky {
            return Some(Fault::Open {
                what: format!("{shown} can be written by every user (mode {mode:o})"),
                remedy: format!("chmod o-w {shown}, and check its content"),
            });
        }
        (mode & 0o020 != 0 && !sticky).then(|| {
            Fault::Group(format!(
                "{shown} can be written by its group, {} (mode {mode:o})",
                group(found.gid())
            ))
        })
    }
}

/// The maximum number of symbolic links to follow, as in the kernel.
const MAX_LINKS: usize = 40;

/// The paths that determine which file is at `path`: its directory and the file
/// itself; before them each symbolic link on the way, with the directory of the
/// link. Directories above are not included, nor are paths that do not exist.
fn way_to(path: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parts = |path: &Path| -> Vec<OsString> {
        (path.components().rev())
            .map(|part| part.as_os_str().to_owned())
            .collect()
    };
    let mut left = parts(&absolute);
    let (mut way, mut reached, mut links) = (Vec::new(), PathBuf::new(), 0);
    while let Some(part) = left.pop() {
        if part == ".." {
            reached.pop();
            continue;
        }
        let folder = reached.clone();
        // The first component of an absolute target is the root.
        reached.push(&part);
        if let Ok(target) = fs::read_link(&reached) {
            links += 1;
            if links > MAX_LINKS {
                return way;
            }
            way.extend([folder.clone(), reached]);
            reached = folder;
            left.extend(parts(&target));
        } else if left.is_empty() {
            way.extend([folder, reached.clone()]);
        }
    }
    way
}

/// Gives files that root created below `made` to the owner of the directory
/// `dir`, whose server could not open them otherwise. Only files that belong to
/// root and have one hard link: a second link may be a file elsewhere.
pub fn give_to_owner_of(dir: &Path, made: &Path) -> io::Result<()> {
    let wanted = fs::metadata(dir)?;
    if !geteuid().is_root() || wanted.uid() == ROOT {
        return Ok(());
    }
    let found = fs::symlink_metadata(made)?;
    if found.is_dir() {
        for entry in fs::read_dir(made)? {
            give_to_owner_of(dir, &entry?.path())?;
        }
    }
    if found.uid() == ROOT && (found.is_dir() || found.nlink() == 1) {
        lchown(made, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    Ok(())
}

/// The owner of the directory, if this process runs as root and another user
/// owns it.
pub fn other_owner(dir: &Path) -> Option<String> {
    let owner = fs::metadata(dir).ok()?.uid();
    (geteuid().is_root() && owner != ROOT).then(|| user(owner))
}

/// The first path of `path` and its content that the owner of the directory
/// `dir` cannot read, though root can; or, if it `is_written`, cannot write.
pub fn closed_to_owner_of(dir: &Path, path: &Path, is_written: bool) -> Option<PathBuf> {
    let wanted = fs::metadata(dir).ok()?.uid();
    let open = if is_written { 0 } else { 0o044 };
    (geteuid().is_root() && wanted != ROOT)
        .then(|| of_another(wanted, open, path, DEPTH))
        .flatten()
}

/// The first path that belongs to another user than `wanted`, unless one of the
/// mode bits `open` grants access to others.
fn of_another(wanted: u32, open: u32, path: &Path, depth: usize) -> Option<PathBuf> {
    let found = fs::symlink_metadata(path).ok()?;
    if found.uid() != wanted && found.mode() & open == 0 && !found.is_symlink() {
        return Some(path.to_owned());
    }
    if !found.is_dir() || depth == 0 {
        return None;
    }
    let mut below: Vec<_> = (fs::read_dir(path).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect();
    below.sort();
    (below.iter()).find_map(|path| of_another(wanted, open, path, depth - 1))
}

/// Refuses a private key that users other than its owner and its group can
/// access.
pub fn check_key(path: &Path) -> anyhow::Result<()> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(anyhow!(denied(path, Access::READ_OK)));
        }
        found => found.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mode = found.permissions().mode();
    ensure!(
        mode & 0o007 == 0,
        "{} can be read by every user (mode {:o}): chmod 600 it, and treat the key as compromised",
        path.display(),
        mode & 0o777
    );
    Ok(())
}

/// Whether a file exists at `path`.
///
/// # Errors
/// This user may not look; the error says who may.
pub fn is_there(path: &Path) -> anyhow::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(anyhow!(denied(path, Access::READ_OK)))
        }
        Err(_) => Ok(false),
    }
}

/// Explains why `path` is inaccessible, and which user can access it.
pub fn denied(path: &Path, wanted: Access) -> String {
    let blocking = blocking(path, wanted);
    let shown = blocking.display();
    let me = geteuid().as_raw();
    let Ok(found) = fs::symlink_metadata(&blocking) else {
        return format!("permission denied: {shown}, and you are {}", user(me));
    };
    let (owner, mode) = (user(found.uid()), found.mode() & 0o7777);
    let remedy = match found.uid() {
        uid if uid == me => format!("give yourself access: chmod u+rwX {shown}"),
        ROOT => format!(
            "run as root: sudo assay ...; or give it to the server's user: chown {} {shown}",
            user(me)
        ),
        _ => format!("run as {owner}: sudo -u {owner} assay ..."),
    };
    format!(
        "permission denied: {shown} belongs to {owner} (mode {mode:o}), you are {}: {remedy}",
        user(me)
    )
}

/// The directory or file that denies this user access to `path`, or to its
/// content.
fn blocking(path: &Path, wanted: Access) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut reached = PathBuf::from("/");
    for part in absolute.components() {
        let next = reached.join(part);
        match fs::metadata(&next) {
            Ok(_) => reached = next,
            // Paths below are unreachable, or do not exist yet.
            Err(_) => return reached,
        }
    }
    closed(&reached, wanted, DEPTH).unwrap_or(reached)
}

/// The maximum depth to search a directory: a database has this many levels.
const DEPTH: usize = 3;

/// The first path of `path` and its content that this user cannot access.
fn closed(path: &Path, wanted: Access, depth: usize) -> Option<PathBuf> {
    let is_dir = path.is_dir();
    let wanted_here = match is_dir {
        true => wanted | Access::EXEC_OK,
        false => wanted,
    };
    if access(path, wanted_here).is_err() {
        return Some(path.to_owned());
    }
    if !is_dir || depth == 0 {
        return None;
    }
    let mut below: Vec<_> = (fs::read_dir(path).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect();
    below.sort();
    below
        .iter()
        .find_map(|path| closed(path, wanted, depth - 1))
}

/// A user's name, from /etc/passwd, or the user ID.
pub fn user(uid: u32) -> String {
    name(Path::new("/etc/passwd"), uid).unwrap_or_else(|| format!("user {uid}"))
}

/// A user as an argument of `chown`, which does not accept unknown names.
fn owner(uid: u32) -> String {
    name(Path::new("/etc/passwd"), uid).unwrap_or_else(|| uid.to_string())
}

/// A group's name, from /etc/group, or the group ID.
fn group(gid: u32) -> String {
    name(Path::new("/etc/group"), gid).unwrap_or_else(|| format!("group {gid}"))
}

/// passwd(5) and group(5): name, password, number, separated by colons.
fn name(file: &Path, id: u32) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    found.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn who_can_write_what_decides_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("devices.csv");
        fs::write(&file, "").unwrap();
        let owners = Owners::of(dir.path()).unwrap();
        for (mode, expected) in [
            (0o600, None),
            (0o644, None),
            (0o640, None),
            (0o660, Some("by its group")),
            (0o666, Some("by every user (mode 666)")),
            (0o602, Some("by every user (mode 602)")),
        ] {
            with_mode(&file, mode);
            let found = owners.check_file(&file).map(|fault| match fault {
                Fault::Group(what) => what,
                Fault::Open { what, remedy } => {
                    assert!(remedy.starts_with("chmod o-w "), "{remedy}");
                    what
                }
            });
            assert_eq!(found.is_some(), expected.is_some(), "{mode:o}");
            if let (Some(found), Some(expected)) = (&found, expected) {
                assert!(found.contains(expected), "{found}");
            }
        }
        assert_eq!(owners.check_file(&dir.path().join("absent")), None);
        // A directory like /tmp, in which only owners replace their files.
        with_mode(dir.path(), 0o1777);
        assert_eq!(owners.check_file(dir.path()), None);
        with_mode(dir.path(), 0o777);
        assert!(matches!(
            owners.check_file(dir.path()),
            Some(Fault::Open { .. })
        ));
        with_mode(dir.path(), 0o700);
    }

    #[test]
    fn a_file_of_another_user_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("devices.csv");
        fs::write(&file, "").unwrap();
        let uid = fs::metadata(&file).unwrap().uid();
        let foreign = Owners {
            this: uid + 1,
            directory: uid + 1,
        };
        // Files of root are trusted by every user.
        assert_eq!(foreign.check_file(&file).is_some(), uid != ROOT);
        let trusted = Owners {
            this: uid + 1,
            directory: uid,
        };
        assert_eq!(trusted.check_file(&file), None);
        if uid == ROOT {
            std::os::unix::fs::chown(&file, Some(4711), None).unwrap();
            let Some(Fault::Open { what, remedy }) =
                Owners::of(dir.path()).unwrap().check_file(&file)
            else {
                panic!("it was trusted");
            };
            assert!(what.contains("belongs to user 4711"), "{what}");
            assert!(remedy.starts_with("chown root "), "{remedy}");
        }
    }

    #[test]
    fn what_a_link_leads_to_is_looked_at_along_the_way() {
        use std::os::unix::fs::{chown, symlink};

        let dir = tempfile::tempdir().unwrap();
        let [ours, open] = ["ours", "open"].map(|name| dir.path().join(name));
        for folder in [&ours, &open] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(open.join("list"), "").unwrap();
        symlink("../open/list", ours.join("link")).unwrap();
        symlink(&open, ours.join("folder")).unwrap();
        let owners = Owners::of(dir.path()).unwrap();
        let paths = [ours.join("link"), ours.join("folder/list")];
        for path in &paths {
            assert_eq!(owners.check_path(path), [], "{path:?}");
        }
        with_mode(&open, 0o777);
        for path in &paths {
            let faults = owners.check_path(path);
            assert_eq!(faults.len(), 1, "{faults:?}");
            let Fault::Open { what, .. } = &faults[0] else {
                panic!("{faults:?}");
            };
            assert!(what.contains("open can be written by every user"), "{what}");
        }
        with_mode(&open, 0o755);
        // A loop of links.
        symlink("loop", ours.join("loop")).unwrap();
        assert!(owners.check_path(&ours.join("loop")).is_empty());
        if geteuid().is_root() {
            with_mode(&open, 0o1777);
            symlink("list", open.join("foreign")).unwrap();
            lchown(open.join("foreign"), Some(4711), None).unwrap();
            let faults = owners.check_path(&open.join("foreign"));
            assert!(
                matches!(&faults[..], [Fault::Open { what, .. }] if what.contains("user 4711"))
            );
            // Files that root creates for another user belong to that user.
            chown(dir.path(), Some(4711), None).unwrap();
            let made = ours.join("made");
            fs::write(&made, "").unwrap();
            let closed = |is_written| closed_to_owner_of(dir.path(), &made, is_written);
            assert_eq!(closed(false), None);
            assert_eq!(closed(true), Some(made.clone()));
            with_mode(&made, 0o600);
            assert_eq!(closed(false), Some(made.clone()));
            give_to_owner_of(dir.path(), &ours).unwrap();
            assert_eq!(fs::metadata(&made).unwrap().uid(), 4711);
            assert_eq!(closed(true), None);
        }
    }

    #[test]
    fn users_have_names() {
        assert_eq!(user(0), "root");
        assert_eq!(user(4_000_000_000), "user 4000000000");
    }
}
