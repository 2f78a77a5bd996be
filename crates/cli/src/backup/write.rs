use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};
use assay_proto::Timestamp;
use assay_store::maintenance::Snapshot;
use clap::Args;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{
    FORMAT, Listed, MANIFEST, Manifest, SUMS,
    names::{self, LEDGER},
};
use crate::{
    config::{Config, Mode, Tls},
    dir::Dir,
    files, now, print, print_json,
    progress::Progress,
    stop::{OrStop, Stop},
};

/// `assay backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write, which must not exist yet: a tar archive, mode 0600.
    pub file: PathBuf,
    /// Leave out the private keys of the CAs and the nonce key.
    #[arg(long)]
    pub no_keys: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay backup`
pub fn run(dir: &Dir, args: &BackupArgs) -> Result<(), Stop> {
    if args.file.symlink_metadata().is_ok() {
        return Err(Stop::usage(anyhow!(
            "{} already exists, and a backup does not overwrite files: name another file",
            args.file.display()
        )));
    }
    if is_within(&args.file, &dir.db()) {
        return Err(Stop::usage(anyhow!(
            "{} is inside the database: name a file outside {}",
            args.file.display(),
            dir.db().display()
        )));
    }
    let folder = match args.file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // The snapshot is taken before the first byte is read. From here on the
    // ledger's files do not change.
    let mut snapshot = Snapshot::take(&dir.db())?;
    let scratch = tempfile::Builder::new()
        .prefix(".assay-backup-")
        .tempdir_in(folder)
        .or_fault(format_args!("cannot write into {}", folder.display()))?;
    if args.no_keys {
        snapshot = snapshot.without_nonce_key(scratch.path())?;
    }
    let (sources, left_out) = sources(dir, !args.no_keys).map_err(Stop::usage)?;
    let listed: Vec<Listed> = (sources.iter())
        .map(|(name, bytes)| Listed {
            path: name.clone(),
            bytes: bytes.len() as u64,
        })
        .chain(snapshot.files.iter().map(|file| Listed {
            path: format!("{LEDGER}/{}", file.name),
            bytes: file.len,
        }))
        .collect();
    let manifest = Manifest {
        format: FORMAT,
        assay: env!("CARGO_PKG_VERSION").to_owned(),
        created: Timestamp(now()),
        laboratory: snapshot.laboratory,
        sequence: snapshot.sequence,
        time: snapshot.time,
        keys: !args.no_keys,
        files: listed,
    };
    // Mode 0600 from the start; the file gets its name when it is complete.
    let file = tempfile::NamedTempFile::new_in(scratch.path()).or_fault("cannot write")?;
    let doing = || format!("cannot write {}", args.file.display());
    write(file.as_file(), &manifest, &sources, snapshot).or_fault(doing())?;
    file.as_file().sync_all().or_fault(doing())?;
    file.persist_noclobber(&args.file)
        .map_err(|error| error.error)
        .or_fault(doing())?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .or_fault(doing())?;
    let bytes = fs::metadata(&args.file).or_fault(doing())?.len();
    if args.json {
        return print_json(&serde_json::json!({
            "file": args.file.to_string_lossy(),
            "bytes": bytes,
            "sequence": manifest.sequence,
            "time": manifest.time.to_string(),
            "keys": manifest.keys,
            "files": manifest.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
            "left_out": left_out,
        }));
    }
    print(format_args!(
        "Wrote {}: {bytes} bytes, all commits up to {} ({}), {} files.",
        args.file.display(),
        manifest.sequence,
        manifest.time,
        manifest.files.len(),
    ))?;
    if manifest.keys {
        print("It contains the CAs' private keys, unencrypted: store it securely.")?;
    } else {
        print("It contains no keys: keep those of ca/ elsewhere; a restore needs them.")?;
    }
    for path in left_out {
        print(format_args!("Not included: {path}"))?;
    }
    Ok(())
}

/// Whether a new file would be in a directory or below it.
fn is_within(file: &Path, dir: &Path) -> bool {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    matches!((folder.canonicalize(), dir.canonicalize()), (Ok(folder), Ok(dir)) if folder.starts_with(&dir))
}

/// A file's name in the backup, and its content.
type Source = (String, Vec<u8>);

/// Reads the files of a server except its ledger, and lists configured files
/// that are outside of it.
fn sources(dir: &Dir, keys: bool) -> anyhow::Result<(Vec<Source>, Vec<String>)> {
    let config = Config::load(&dir.config())?;
    let mut found = vec![(
        "assay.toml".to_owned(),
        files::read(&dir.config(), files::SMALL)?,
    )];
    let mut left_out = Vec::new();
    if config.admission.mode == Mode::Listed {
        let name = config.admission.devices.to_string_lossy().into_owned();
        if config.admission.devices.is_relative() && names::is_known(&name) {
            let path = dir.resolve(&config.admission.devices);
            found.push((name, files::read(&path, crate::devices::MAX_DEVICE_LIST)?));
        } else {
            left_out.push(name);
        }
    }
    if let Tls::Files { certificate, key } = &config.server.tls {
        left_out.extend([certificate, key].map(|path| path.to_string_lossy().into_owned()));
    }
    for folder in ["attestation", "ca"] {
        let path = dir.path().join(folder);
        let mut inside: Vec<PathBuf> = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries
                .with_context(|| format!("cannot read {}", path.display()))?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<_>>()?,
        };
        inside.sort();
        for file in inside {
            let name = format!(
                "{folder}/{}",
                file.file_name().unwrap_or_default().to_string_lossy()
            );
            let is_key = file.extension().is_some_and(|ending| ending == "key");
            if !names::is_known(&name) || !file.is_file() || (is_key && !keys) {
                left_out.push(name);
                continue;
            }
            let content = files::read(&file, files::SMALL)?;
            // Never include a private key by mistake, whatever the file's name.
            if !keys && find(&content, b"PRIVATE KEY") {
                left_out.push(name);
                continue;
            }
            found.push((name, content));
        }
    }
    Ok((found, left_out))
}

fn find(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

fn write(
    file: &File,
    manifest: &Manifest,
    sources: &[Source],
    snapshot: Snapshot,
) -> anyhow::Result<()> {
    let total = manifest.files.iter().map(|file| file.bytes).sum();
    let mut archive = Archive {
        tar: tar::Builder::new(io::BufWriter::with_capacity(1 << 20, file)),
        sums: String::new(),
        time: manifest.created,
        progress: Progress::new("backup"),
        done: 0,
        total,
    };
    let text = serde_json::to_vec_pretty(manifest)?;
    archive.add(MANIFEST, text.len() as u64, &mut text.as_slice())?;
    for (name, content) in sources {
        archive.add(name, content.len() as u64, &mut content.as_slice())?;
    }
    for mut file in snapshot.files {
        let name = format!("{LEDGER}/{}", file.name);
        archive.add(&name, file.len, &mut file)?;
    }
    let sums = std::mem::take(&mut archive.sums);
    archive.add(SUMS, sums.len() as u64, &mut sums.as_bytes())?;
    archive.tar.into_inner()?.flush()?;
    Ok(())
}

struct Archive<'a> {
    tar: tar::Builder<io::BufWriter<&'a File>>,
    sums: String,
    time: Timestamp,
    progress: Progress,
    done: u64,
    total: u64,
}

impl Archive<'_> {
    fn add(&mut self, name: &str, len: u64, content: &mut dyn Read) -> anyhow::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(len);
        header.set_mode(0o600);
        header.set_mtime(self.time.0);
        header.set_entry_type(tar::EntryType::Regular);
        let mut hashed = Hashed {
            content: content.take(len),
            hash: Sha256::new(),
            count: 0,
        };
        self.tar
            .append_data(&mut header, name, &mut hashed)
            .with_context(|| name.to_owned())?;
        ensure!(
            hashed.count == len,
            "{name} became shorter while being read"
        );
        let sum = HEXLOWER.encode(&hashed.hash.finalize());
        self.sums.push_str(&format!("{sum}  {name}\n"));
        self.done += len;
        self.progress.show(self.done, self.total);
        Ok(())
    }
}

/// A reader that hashes what it reads.
struct Hashed<'a> {
    content: io::Take<&'a mut dyn Read>,
    hash: Sha256,
    count: u64,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}
