//! Checks who can change the files that a server trusts.

use std::path::{Path, PathBuf};

use super::Report;
use crate::{
    config::{Config, Tls},
    devices::LastGood,
    dir::Dir,
    permissions::{Fault, Owners, closed_to_owner_of, other_owner},
};

impl Report {
    /// Refuses files and directories that users other than the server's own can
    /// change: the list of devices decides who gets certificates, an
    /// attestation root decides which devices are genuine, and write access to
    /// a directory allows replacing its files.
    pub(super) fn check_owners(&mut self, dir: &Dir, config: Option<&Config>) {
        let Ok(owners) = Owners::of(dir.path()) else {
            return;
        };
        for path in deciding(dir, config) {
            let faults = match path == dir.path() {
                // Directories above are not checked.
                true => owners.check_file(&path).into_iter().collect(),
                false => owners.check_path(&path),
            };
            for fault in faults {
                match fault {
                    Fault::Open { what, remedy } => self.error(what, Some(&remedy)),
                    Fault::Group(what) => self.warn(
                        "group_may_write",
                        what,
                        &format!(
                            "chmod g-w {}, unless that group may make these decisions",
                            path.display()
                        ),
                    ),
                }
            }
            let is_database = path == dir.db();
            // The directory itself is checked by its parts.
            let is_part = path != dir.path() && path != dir.ca();
            if let Some(closed) =
                closed_to_owner_of(dir.path(), &path, is_database).filter(|_| is_part)
            {
                self.closed_to_owner(dir, &closed);
            }
        }
    }

    /// Warns root about files that the server's own user cannot use.
    fn closed_to_owner(&mut self, dir: &Dir, closed: &Path) {
        let owner = other_owner(dir.path()).unwrap_or_default();
        self.warn(
            "closed_to_owner",
            format_args!(
                "{} is not accessible to {owner}, the owner of {}: a server of that user cannot use it",
                closed.display(),
                dir.path().display()
            ),
            &format!("chown -R {owner} {}", closed.display()),
        );
    }
}

/// The files that control a server's decisions.
fn deciding(dir: &Dir, config: Option<&Config>) -> Vec<PathBuf> {
    let mut paths = vec![
        dir.path().to_owned(),
        dir.config(),
        dir.ca(),
        dir.db(),
        dir.attestation(),
        LastGood::of(dir, Path::new(LastGood::USUAL_LIST))
            .path()
            .to_owned(),
    ];
    for name in ["root", "issuing", "tls"] {
        paths.extend([dir.ca_certificate(name), dir.ca_key(name)]);
    }
    let Some(config) = config else { return paths };
    let configured = &config.admission.devices;
    paths.push(LastGood::of(dir, configured).path().to_owned());
    let mut named: Vec<&Path> = vec![configured];
    named.extend(config.apple.laboratory_roots.iter().map(PathBuf::as_path));
    if let Tls::Files { certificate, key } = &config.server.tls {
        named.extend([certificate.as_path(), key.as_path()]);
    }
    for path in named {
        paths.push(dir.resolve(path));
    }
    paths
}
