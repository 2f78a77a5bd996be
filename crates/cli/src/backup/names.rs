//! The file names that a backup may contain. A restore writes no others.

use std::path::{Component, Path};

use crate::dir::SERVING;

/// The directory of the ledger's files in a backup.
pub const LEDGER: &str = "db/ledger";

/// Whether a backup may contain a file of this name: relative, without `..`,
/// and part of a server's directory. The server's last TLS certificate is issued
/// again at each start, so backups do not contain it.
pub fn is_known(name: &str) -> bool {
    let path = Path::new(name);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let disturbing = name
        .chars()
        .any(|letter| letter.is_control() || letter == '\\');
    if name == SERVING
        || name.is_empty()
        || name.ends_with('/')
        || !plain
        || disturbing
        || name.len() > 250
    {
        return false;
    }
    match name.split_once('/') {
        None => name != super::MANIFEST && name != super::SUMS && name != "db",
        Some(("attestation" | "ca", file)) => !file.contains('/'),
        Some(("db", rest)) => rest
            .strip_prefix("ledger/")
            .is_some_and(|file| !file.contains('/') && is_ledger_file(file)),
        Some(_) => false,
    }
}

fn is_ledger_file(name: &str) -> bool {
    name.split_once('.').is_some_and(|(number, ending)| {
        number.len() == 20
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && ["segment", "checkpoint"].contains(&ending)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_a_server_are_known() {
        for name in [
            "assay.toml",
            "devices.csv",
            "attestation/laboratory-root-1.pem",
            "ca/issuing.key",
            "db/ledger/00000000000000000001.segment",
            "db/ledger/00000000000000000000.checkpoint",
        ] {
            assert!(is_known(name), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "../assay.toml",
            "ca/../../x",
            "ca/sub/x",
            "ca/",
            SERVING,
            "./assay.toml",
            "db",
            "db/watermark",
            "db/index/1/db",
            "db/ledger/1.segment",
            "db/ledger/00000000000000000001.segment.unfinished",
            "db/ledger/0000000000000000000x.segment",
            "recordings/x.json",
            "assay-backup.json",
            "SHA256SUMS",
            "a\nb",
            "a\\b",
        ] {
            assert!(!is_known(name), "{name:?}");
        }
    }
}
