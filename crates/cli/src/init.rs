//! `assay init`: a new server, whole or not at all.

mod keep_ca;

use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use assay_attest::TrustAnchor;
use assay_ca::authority::{self, Authority, AuthorityPlan, Host};
use assay_store::LedgerStore;
use clap::Args;

use crate::{
    config::{BaseUrl, Mode, UrlHost},
    devices::DeviceList,
    dir::Dir,
    files, now, print, print_json,
    staging::Staging,
    stop::{OrStop, Stop},
    values::{KeyKind, plain_name},
};

/// `assay init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The operator's name, which becomes part of the CAs' names.
    #[arg(long, default_value = "Assay", value_name = "N", value_parser = plain_name)]
    pub name: String,
    /// The origin of all URLs, for example `https://ca.example.org`.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<BaseUrl>,
    /// The key type of the CA that issues to devices.
    #[arg(long, value_enum, default_value = "p256")]
    pub key: KeyKind,
    /// Mark the server as a laboratory (test mode). It can never become a
    /// production server.
    #[arg(long)]
    pub laboratory: bool,
    /// The certificate of an attestation authority to trust in addition to
    /// Apple's; implies --laboratory.
    #[arg(long, value_name = "FILE")]
    pub laboratory_root: Vec<PathBuf>,
    /// Who may order: devices in the list, or any attested device. any-attested
    /// implies --laboratory.
    #[arg(long, value_enum, default_value = "listed")]
    pub admission: Mode,
    /// Create an empty database for an existing CA whose database was lost;
    /// everything else stays unchanged.
    #[arg(
        long,
        conflicts_with_all = ["name", "base_url", "key", "laboratory", "laboratory_root", "admission"]
    )]
    pub keep_ca: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What a new server is to be.
pub struct Plan<'a> {
    /// The operator's name.
    pub name: &'a str,
    /// The origin of all URLs; `None`: the bound port on localhost.
    pub base_url: Option<&'a BaseUrl>,
    /// The issuing CA's key.
    pub key: KeyKind,
    /// Whether it is a laboratory's.
    pub laboratory: bool,
    /// Attestation roots beside Apple's: file name and certificate, PEM.
    pub laboratory_roots: Vec<(String, String)>,
    /// Who may order.
    pub admission: Mode,
}

/// `assay init`
pub fn run(dir: &Dir, args: &InitArgs) -> Result<(), Stop> {
    if args.keep_ca {
        return keep_ca::run(dir, args.json);
    }
    let laboratory_roots = args
        .laboratory_root
        .iter()
        .enumerate()
        .map(|(index, path)| read_root(path, index))
        .collect::<anyhow::Result<Vec<_>>>()
        .map_err(Stop::usage)?;
    let plan = Plan {
        name: &args.name,
        base_url: args.base_url.as_ref(),
        key: args.key,
        laboratory: args.laboratory
            || !laboratory_roots.is_empty()
            || args.admission == Mode::AnyAttested,
        laboratory_roots,
        admission: args.admission,
    };
    create(dir, &plan)?;
    if args.json {
        let devices = (plan.admission == Mode::Listed).then(|| device_list(dir));
        return print_json(&serde_json::json!({
            "dir": dir.path().to_string_lossy(),
            "laboratory": plan.laboratory,
            "root_certificate": dir.ca_certificate("root").to_string_lossy(),
            "root_key": dir.ca_key("root").to_string_lossy(),
            "issuing_certificate": dir.ca_certificate("issuing").to_string_lossy(),
            "devices": devices.map(|devices| devices.to_string_lossy().into_owned()),
        }));
    }
    describe(dir, &plan)
}

fn device_list(dir: &Dir) -> PathBuf {
    dir.resolve(Path::new("devices.csv"))
}

fn describe(dir: &Dir, plan: &Plan<'_>) -> Result<(), Stop> {
    let shown = dir.path().display();
    let mark = if plan.laboratory {
        "This is a LABORATORY server, and stays one: do not rely on its certificates.\n"
    } else {
        ""
    };
    let devices = match plan.admission {
        Mode::AnyAttested => {
            "Every device that proves itself may enrol: there is no list of devices.".to_owned()
        }
        Mode::Listed => format!(
            "List your devices in {} (one line each: serial,udid,comment). Until then every order is refused.",
            device_list(dir).display()
        ),
    };
    print(format_args!(
        "{mark}Made a new server in {shown}.\n\n\
         Next:\n  1. Take {} offline: `serve` never opens it, and anyone who has it can issue CAs of this name.\n  \
         2. Let devices and clients trust {}.\n  \
         3. Install {} beside it where certificates are verified (RADIUS, VPN, web servers): Apple devices send only their own certificate.\n  \
         4. {devices}\n  \
         5. assay --dir {shown} config check\n  \
         6. assay --dir {shown} serve",
        dir.ca_key("root").display(),
        dir.ca_certificate("root").display(),
        dir.ca_certificate("issuing").display(),
    ))
}

/// Makes a new server in `dir`, which must not exist or be empty. Everything
/// is made beside it first, so that a failure leaves nothing behind.
pub fn create(dir: &Dir, plan: &Plan<'_>) -> Result<(), Stop> {
    let staging = Staging::create(dir.path())?;
    let authority = create_authority(plan)?;
    write_all(&Dir::new(staging.path()), plan, &authority).or_fault(format_args!(
        "cannot make a server in {}",
        dir.path().display()
    ))?;
    staging.finish()
}

fn create_authority(plan: &Plan<'_>) -> Result<Authority, Stop> {
    authority::create(&AuthorityPlan {
        name: plan.name.to_owned(),
        issuing_key: match plan.key {
            KeyKind::P256 => authority::KeyType::P256,
            KeyKind::P384 => authority::KeyType::P384,
        },
        host: match plan.base_url {
            None => Host::Dns("localhost".to_owned()),
            Some(url) => url.host().for_certificate(),
        },
        laboratory: plan.laboratory,
        now: now(),
    })
    .or_usage("cannot make the CAs")
}

fn write_all(dir: &Dir, plan: &Plan<'_>, authority: &Authority) -> anyhow::Result<()> {
    let make = |path: PathBuf| DirBuilder::new().mode(0o700).create(path);
    make(dir.path().join("ca"))?;
    make(dir.attestation())?;
    for (name, material) in [
        ("root", &authority.root),
        ("issuing", &authority.issuing),
        ("tls", &authority.tls),
    ] {
        write_new(&dir.ca_certificate(name), &material.certificate_pem)?;
        write_new(&dir.ca_key(name), &material.key_pem)?;
    }
    for (name, pem) in &plan.laboratory_roots {
        write_new(&dir.attestation().join(name), pem)?;
    }
    if plan.admission == Mode::Listed {
        write_new(&device_list(dir), &format!("{}\n", DeviceList::HEADER))?;
    }
    write_new(&dir.config(), &config_text(plan))?;
    LedgerStore::create(&dir.db(), plan.laboratory).context("cannot make the database")?;
    Ok(())
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn config_text(plan: &Plan<'_>) -> String {
    let port = plan.base_url.map_or(8443, BaseUrl::port);
    let listen = match plan.base_url {
        Some(url) if !url.is_loopback() => format!("[::]:{port}"),
        Some(url) => match url.host() {
            UrlHost::Ip(address) => SocketAddr::new(*address, port).to_string(),
            UrlHost::Dns(_) => format!("127.0.0.1:{port}"),
        },
        None => format!("127.0.0.1:{port}"),
    };
    let base_url = match plan.base_url {
        Some(url) => format!("base_url = \"{url}\"\n"),
        None => "# base_url = \"https://ca.example.org\"\n".to_owned(),
    };
    let roots = plan
        .laboratory_roots
        .iter()
        .map(|(name, _)| format!("\"attestation/{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let mode = match plan.admission {
        Mode::AnyAttested => "any-attested",
        Mode::Listed => "listed",
    };
    format!(
        "# Every key, with its default: docs/configuration.md\n\n\
         [server]\n{base_url}listen = \"{listen}\"\n\n\
         [attestation.apple]\nlaboratory_roots = [{roots}]\n\n\
         [admission]\nmode = \"{mode}\"\n"
    )
}

fn read_root(path: &Path, index: usize) -> anyhow::Result<(String, String)> {
    let pem = files::read_text(path, files::SMALL)?;
    let name = format!("laboratory-root-{}.pem", index + 1);
    let der = crate::certificates::one_certificate(&pem)
        .with_context(|| format!("{}", path.display()))?;
    TrustAnchor::laboratory(&der, &name).with_context(|| format!("{}", path.display()))?;
    Ok((name, pem))
}
