//! Who can change what a server believes.

use std::path::{Path, PathBuf};

use super::Report;
use crate::{
    config::{Config, Tls},
    dir::Dir,
    permissions::{Fault, Owners},
};

impl Report {
    /// Refuses files and directories that users other than the server's own can
    /// change: the list of devices is who gets certificates, an attestation root
    /// is who vouches for devices, and a directory lets its files be replaced.
    pub(super) fn look_at_owners(&mut self, dir: &Dir, config: Option<&Config>) {
        let Ok(owners) = Owners::of(dir.path()) else {
            return;
        };
        for path in deciding(dir, config) {
            match owners.look_at(&path) {
                None => {}
                Some(Fault::Open { what, remedy }) => self.error(what, Some(&remedy)),
                Some(Fault::Group(what)) => self.warn(
                    "group_may_write",
                    what,
                    &format!(
                        "chmod g-w {}, unless that group is to decide with you",
                        path.display()
                    ),
                ),
            }
        }
    }
}

/// What decides what a server does.
fn deciding(dir: &Dir, config: Option<&Config>) -> Vec<PathBuf> {
    let mut paths = vec![
        dir.path().to_owned(),
        dir.config(),
        dir.ca(),
        dir.db(),
        dir.attestation(),
    ];
    for name in ["root", "issuing", "tls"] {
        paths.extend([dir.ca_certificate(name), dir.ca_key(name)]);
    }
    let Some(config) = config else { return paths };
    let mut named: Vec<&Path> = vec![&config.admission.devices];
    named.extend(config.apple.laboratory_roots.iter().map(PathBuf::as_path));
    if let Tls::Files { certificate, key } = &config.server.tls {
        named.extend([certificate.as_path(), key.as_path()]);
    }
    for path in named {
        let path = dir.resolve(path);
        // Its directory lets it be replaced.
        paths.extend(path.parent().map(Path::to_owned));
        paths.push(path);
    }
    paths
}
