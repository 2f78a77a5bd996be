use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use assay_store::maintenance;
use clap::Args;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{FORMAT, MANIFEST, Manifest, SUMS, names};
use crate::{
    dir::Dir,
    files, print, print_json,
    progress::Progress,
    staging::Staging,
    stop::{OrStop, Stop},
};

/// `assay restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup. The directory of --dir must be empty or not exist.
    pub file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay restore`
pub fn run(dir: &Dir, args: &RestoreArgs) -> Result<(), Stop> {
    let doing = || format!("cannot restore {}", args.file.display());
    // The file may be a pipe; opening it must not block.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(&args.file)
        .or_usage(args.file.display())?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        let shown = args.file.display();
        return Err(Stop::usage(anyhow!(
            "cannot restore {shown}: it is not a regular file"
        )));
    }
    // Restore into a staging directory first, so that a damaged backup leaves
    // nothing behind.
    let staging = Staging::create(dir.path())?;
    let at = Dir::new(staging.path());
    let manifest = unpack(file, &at).or_usage(doing())?;
    let from = at.path().join("unpacked");
    let restored = maintenance::restore(&from, manifest.sequence, &at.db())?;
    fs::remove_dir_all(&from).or_fault(doing())?;
    staging.finish()?;
    let shown = dir.path().display();
    if args.json {
        return print_json(&serde_json::json!({
            "dir": dir.path().to_string_lossy(),
            "laboratory": manifest.laboratory,
            "sequence": restored.sequence,
            "time": restored.time.to_string(),
            "created": manifest.created.to_string(),
            "keys": manifest.keys,
        }));
    }
    print(format_args!(
        "Restored {shown} from a backup of {}: all commits up to {} ({}).\n\n\
         Certificates issued or revoked after that are unknown here. When you have dealt with them:\n  \
         assay --dir {shown} store acknowledge",
        manifest.created, restored.sequence, restored.time,
    ))?;
    if !manifest.keys {
        print(format_args!(
            "\nThe backup contains no keys: copy those of the CAs to {shown}/ca/ (mode 0600) first."
        ))?;
    }
    Ok(())
}

/// Unpacks the archive into `at`: the ledger to `unpacked/ledger/`, other files
/// to their final place. Every file is verified.
fn unpack(file: File, at: &Dir) -> anyhow::Result<Manifest> {
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(1 << 20, file));
    let mut entries = archive
        .entries()
        .context("it is not a backup made by Assay")?;
    let mut next = || -> anyhow::Result<Option<Entry<'_>>> {
        let Some(entry) = entries.next() else {
            return Ok(None);
        };
        let entry = entry.context("it is damaged, or not a backup made by Assay")?;
        let name = std::str::from_utf8(&entry.path_bytes())
            .context("it contains a name that is not UTF-8")?
            .to_owned();
        ensure!(
            entry.header().entry_type() == tar::EntryType::Regular,
            "it contains {name:?}, which is not a regular file"
        );
        Ok(Some((name, entry)))
    };
    let Some((first, mut entry)) = next()? else {
        bail!("it is empty");
    };
    ensure!(
        first == MANIFEST,
        "it is not a backup made by Assay: its first file is {first:?}"
    );
    let mut text = Vec::new();
    (&mut entry).take(files::SMALL).read_to_end(&mut text)?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{MANIFEST} cannot be parsed"))?;
    ensure!(
        manifest.format == FORMAT,
        "its format is {}, this program reads format {FORMAT}: use the version that made it ({})",
        manifest.format,
        manifest.assay
    );
    let mut sums = HashMap::from([(first, sum(&text))]);
    let make = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    for folder in ["attestation", "ca", "unpacked", "unpacked/ledger"] {
        make(&at.path().join(folder)).with_context(|| folder.to_owned())?;
    }
    let total = manifest.files.iter().map(|file| file.bytes).sum();
    let (progress, mut done) = (Progress::new("restore"), 0);
    for listed in &manifest.files {
        let name = listed.path.as_str();
        ensure!(
            names::is_known(name),
            "it lists {name:?}, which is not a file of a server"
        );
        let Some((found, mut entry)) = next()? else {
            bail!("it ends before {name}");
        };
        ensure!(
            found == name,
            "it contains {found:?} where {name:?} is expected"
        );
        ensure!(
            entry.size() == listed.bytes,
            "{name} has {} bytes instead of {}",
            entry.size(),
            listed.bytes
        );
        let target = match name.strip_prefix("db/") {
            Some(rest) => at.path().join("unpacked").join(rest),
            None => at.path().join(name),
        };
        let hash = copy(&mut entry, &target).with_context(|| name.to_owned())?;
        ensure!(
            sums.insert(name.to_owned(), hash).is_none(),
            "it contains {name} twice"
        );
        done += listed.bytes;
        progress.show(done, total);
    }
    let Some((last, mut entry)) = next()? else {
        bail!("it ends before {SUMS}: it is truncated");
    };
    ensure!(
        last == SUMS,
        "it contains {last:?} where {SUMS} is expected"
    );
    let mut text = String::new();
    (&mut entry).take(files::SMALL).read_to_string(&mut text)?;
    check_sums(&text, sums)?;
    if next()?.is_some() {
        bail!("files follow {SUMS}");
    }
    Ok(manifest)
}

type Entry<'a> = (String, tar::Entry<'a, io::BufReader<File>>);

/// Checks that every file has its checksum, and every checksum its file.
fn check_sums(text: &str, mut sums: HashMap<String, [u8; 32]>) -> anyhow::Result<()> {
    for line in text.lines() {
        let (hex, name) = line
            .split_once("  ")
            .ok_or_else(|| anyhow!("{SUMS} cannot be parsed"))?;
        let found = sums
            .remove(name)
            .ok_or_else(|| anyhow!("{SUMS} names {name:?}, which does not exist"))?;
        ensure!(
            HEXLOWER.encode(&found) == hex,
            "{name} is damaged: its SHA-256 differs from the one in {SUMS}"
        );
    }
    match sums.keys().next() {
        Some(name) => bail!("{SUMS} does not name {name}"),
        None => Ok(()),
    }
}

fn sum(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Copies into a new, durable file of mode 0600; returns the SHA-256.
fn copy(from: &mut dyn Read, to: &Path) -> anyhow::Result<[u8; 32]> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
    }
    file.sync_all()?;
    Ok(hash.finalize().into())
}
