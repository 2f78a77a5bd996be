//! `assay tls host`: creates a TLS CA for another host.
//!
//! The TLS CA may certify only one host: the constraint is in its certificate,
//! which the root signed. With the root's key another TLS CA can be created.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use assay_ca::authority;
use assay_proto::Timestamp;
use clap::Subcommand;

use crate::{
    certificates::load_root,
    config::{BaseUrl, Config, UrlHost},
    dir::Dir,
    files, now,
    permissions::{check_key, is_there},
    print, print_json,
    stop::{OrStop, Stop},
    values,
};

/// `assay tls`
#[derive(Debug, Subcommand)]
pub enum TlsCommand {
    /// Create a TLS CA for another host: the current one may certify no other.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay tls host ca.example.com --root-key /media/offline/root.key"
    )]
    Host {
        /// The host of the new base URL: a DNS name or an address.
        #[arg(value_parser = values::host)]
        host: UrlHost,
        /// The private key of the root, ca/root.pem: PEM, PKCS #8. It is only
        /// read, never stored.
        #[arg(long, value_name = "FILE")]
        root_key: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// `assay tls`
pub fn run(dir: &Dir, command: &TlsCommand) -> Result<(), Stop> {
    let TlsCommand::Host {
        host,
        root_key,
        json,
    } = command;
    let root = load_root(dir).map_err(Stop::usage)?;
    check_key(root_key).map_err(Stop::usage)?;
    let key = files::read_text(root_key, files::SMALL).map_err(Stop::usage)?;
    let made = authority::create_tls(&root, &key, host.for_certificate(), now())
        .with_context(|| {
            format!(
                "cannot create a TLS CA for {host} under {} with the key in {}",
                dir.ca_certificate("root").display(),
                root_key.display()
            )
        })
        .map_err(Stop::usage)?;
    let kept = replace(dir, &made.certificate_pem, &made.key_pem)
        .or_fault("cannot replace the TLS CA: the old one remains")?;
    describe(dir, host, &kept, *json)
}

fn describe(dir: &Dir, host: &UrlHost, kept: &[PathBuf], json: bool) -> Result<(), Stop> {
    // The port stays the same. An unreadable configuration is reported by
    // `config check`.
    let configured = Config::load(&dir.config()).ok();
    let configured = configured.and_then(|config| config.server.base_url);
    let base_url = match configured {
        Some(url) => url.with_host(host.clone()),
        None => BaseUrl::localhost(8443).with_host(host.clone()),
    };
    let certificate = dir.ca_certificate("tls");
    if json {
        let kept: Vec<_> = kept.iter().map(|path| path.to_string_lossy()).collect();
        return print_json(&serde_json::json!({
            "host": host.to_string(),
            "base_url": base_url.to_string(),
            "tls_certificate": certificate.to_string_lossy(),
            "kept": kept,
        }));
    }
    let shown = dir.path().display();
    let before = match kept {
        [] => String::new(),
        kept => format!(
            " The old one is kept: {}.",
            (kept.iter().map(|path| path.display().to_string()))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    print(format_args!(
        "Created a TLS CA for {host}: {}.{before}\n\n\
         Next:\n  1. In {}, under [server]: base_url = \"{base_url}\"\n  \
         2. assay --dir {shown} config check\n  \
         3. Restart the server: a running one continues unchanged until then.\n  \
         4. Send devices and clients the new directory URL, {base_url}/acme/directory. They trust the same root.\n  \
         5. Take the root's key offline again.",
        certificate.display(),
        dir.config().display(),
    ))
}

/// Replaces the current TLS CA, and returns the names under which its files are
/// kept. Replaces both files or none. If the machine fails between the two,
/// `serve` refuses the pair, and the same command repairs it.
fn replace(dir: &Dir, certificate: &str, key: &str) -> io::Result<Vec<PathBuf>> {
    let owner = fs::metadata(dir.ca())?;
    let pair = [dir.ca_key("tls"), dir.ca_certificate("tls")];
    let new = pair.clone().map(|path| beside(&path, ".new"));
    let made = (new.iter().zip([key, certificate]))
        .try_for_each(|(path, text)| write(path, text.as_bytes(), &owner));
    let replaced = made.and_then(|()| {
        let kept = keep(&pair)?;
        fs::rename(&new[0], &pair[0])?;
        if let Err(error) = fs::rename(&new[1], &pair[1]) {
            if let Some(key) = kept.first() {
                let back = beside(&pair[0], ".back");
                fs::hard_link(key, &back)?;
                fs::rename(back, &pair[0])?;
            }
            return Err(error);
        }
        fs::File::open(dir.ca())?.sync_all()?;
        Ok(kept)
    });
    if replaced.is_err() {
        for path in new {
            let _ = fs::remove_file(path);
        }
    }
    replaced
}

/// Gives the files second names that contain the time of the replacement.
fn keep(pair: &[PathBuf; 2]) -> io::Result<Vec<PathBuf>> {
    let time = Timestamp(now()).to_string().replace(':', "");
    let mut kept = Vec::new();
    for path in pair {
        if !is_there(path).map_err(io::Error::other)? {
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let name = (1..).map(|number| match number {
            1 => format!("tls-until-{time}.{ending}"),
            number => format!("tls-until-{time}-{number}.{ending}"),
        });
        for name in name {
            let to = path.with_file_name(name);
            match fs::hard_link(path, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => {
                    linked?;
                    kept.push(to);
                    break;
                }
            }
        }
    }
    Ok(kept)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Writes a durable file that only its owner can read. Replaces a file of a
/// previous attempt that was killed.
fn write(path: &Path, bytes: &[u8], owner: &fs::Metadata) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    if file.metadata()?.uid() != owner.uid() {
        // Change the owner of the open file: the path may name another file by
        // now.
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.sync_all()
}
