//! What a user may not read is named with its owner, and never taken for what is
//! not there.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::{Server, Setup, assay, message};

/// Nobody, on every system.
const OTHER: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A server and a user who may not read all of it: another one where the tests
/// run as the super-user, who may read everything; otherwise this one, from whom
/// the mode takes it away.
struct Closed {
    server: Server,
    binary: PathBuf,
}

impl Closed {
    fn new() -> Self {
        let server = Server::init(Setup::default());
        // The other user must reach the directory, and the program.
        set_mode(server.dir().parent().unwrap(), 0o755);
        let binary = server.beside("assay-program");
        let built = PathBuf::from(assay().get_program());
        if fs::hard_link(&built, &binary).is_err() {
            fs::copy(&built, &binary).unwrap();
        }
        Self { server, binary }
    }

    /// Takes `path` away from the user; returns who owns it then.
    fn close(&self, path: &Path) {
        if is_root() {
            chown(path, Some(0), Some(0)).unwrap();
            set_mode(path, if path.is_dir() { 0o700 } else { 0o600 });
        } else {
            set_mode(path, 0o000);
        }
    }

    /// Gives all of the server's directory to the user.
    fn open(&self) {
        if is_root() {
            let owner = format!("{OTHER}:{OTHER}");
            let mut chown = Command::new("chown");
            chown.args(["-R", &owner]).arg(self.server.dir());
            assert!(chown.status().unwrap().success());
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.binary);
        command.arg("--dir").arg(self.server.dir()).args(args);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ASSAY_") {
                command.env_remove(name);
            }
        }
        if is_root() {
            command.uid(OTHER).gid(OTHER);
        }
        command.output().unwrap()
    }

    fn denied(&self, args: &[&str], file: &Path) {
        let message = message(&self.run(args), 2);
        let named = format!("permission denied: {} belongs to ", file.display());
        assert!(message.contains(&named), "{args:?}: {message}");
        assert!(message.contains(", you are "), "{args:?}: {message}");
        let remedy = match is_root() {
            true => "run as root: sudo assay",
            false => "give yourself access: chmod",
        };
        assert!(message.contains(remedy), "{args:?}: {message}");
        for wrong in ["there is no", "has no assay.toml", "no server runs"] {
            assert!(!message.contains(wrong), "{args:?}: {message}");
        }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        // Or it could not be removed.
        set_mode(&self.server.dir(), 0o700);
    }
}

#[test]
fn a_directory_that_may_not_be_read_is_not_taken_for_an_empty_one() {
    let closed = Closed::new();
    let dir = closed.server.dir();
    closed.close(&dir);
    let backup = closed.server.beside("backup.tar");
    let root_key = dir.join("ca/root.key");
    let (backup, root_key) = (backup.to_str().unwrap(), root_key.to_str().unwrap());
    for args in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["config", "check"],
        &["status"],
        &["orders", "list"],
        &["orders", "show", "AAAAAAAAAAAAAAAAAAAAAA"],
        &["store", "check"],
        &["store", "repair"],
        &["store", "rebuild"],
        &["store", "clean"],
        &["store", "acknowledge"],
        &["store", "accept-issuer"],
        &["store", "accept-clock", "2026-11-30T19:00:00Z"],
        &["store", "reset-clock"],
        &["backup", backup],
        &["init"],
        &["init", "--keep-ca"],
        &["tls", "host", "ca.example.org", "--root-key", root_key],
    ] {
        closed.denied(args, &dir);
    }
}

#[test]
fn one_file_that_may_not_be_read_is_named() {
    let closed = Closed::new();
    closed.open();
    let dir = closed.server.dir();
    for (file, args) in [
        ("assay.toml", &["config", "check"][..]),
        ("devices.csv", &["config", "check"]),
        ("ca/issuing.key", &["serve", "--listen", "127.0.0.1:0"]),
        ("ca/root.pem", &["config", "check"]),
        ("db/ledger", &["store", "check"]),
        ("db/ledger", &["orders", "list"]),
        ("db", &["backup", "/nowhere/backup.tar"]),
        ("db", &["init", "--keep-ca"]),
    ] {
        let path = dir.join(file);
        closed.close(&path);
        closed.denied(args, &path);
        closed.open();
        set_mode(&path, if path.is_dir() { 0o700 } else { 0o600 });
    }
}

/// A running server's socket is its owner's alone, in whatever directory.
#[test]
fn the_control_socket_is_for_its_owner_alone() {
    let server = Server::start(Setup::default());
    let mode = fs::metadata(server.dir().join("control.sock")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}
