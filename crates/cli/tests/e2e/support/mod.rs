//! A test environment is a value: a server's directory, the process that serves
//! it, an attestation authority that it trusts. Dropping it ends and removes
//! everything.

mod certificate;
mod client;
mod command;
mod process;
mod recorded;
mod shared;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use assay_simulator::{
    Device, KeyType,
    authority::AttestationAuthority,
    evidence::{CertificateTemplate, DeviceProperties, Evidence},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) use certificate::{
    Certificate, csr_with, hardware_module, openssl, permanent_identifier, verify_with_openssl,
};
pub(crate) use client::{Client, Placed, assert_dead, assert_problem, assert_ready};
pub(crate) use command::{assay, assert_exit, json_of, message};
pub(crate) use process::Process;
pub(crate) use recorded::Recorded;
pub(crate) use shared::Shared;

/// What a server is to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup<'a> {
    /// Further arguments of `assay init`, which makes a laboratory server.
    pub(crate) init: &'a [&'a str],
    /// Lines of devices.csv under its header.
    pub(crate) devices: &'a [&'a str],
    /// TOML to be merged into assay.toml.
    pub(crate) config: &'a str,
}

/// A server in its own directory.
pub(crate) struct Server {
    pub(crate) authority: AttestationAuthority,
    process: Option<Process>,
    home: TempDir,
}

impl Server {
    /// Makes a server with `assay init`; nothing runs yet.
    pub(crate) fn init(setup: Setup<'_>) -> Self {
        let server = Self {
            authority: AttestationAuthority::create(now()).unwrap(),
            process: None,
            home: tempfile::tempdir().unwrap(),
        };
        server.authority.save(&server.authority_dir()).unwrap();
        let root = server.authority_dir().join("root.pem");
        let mut args = vec![
            OsStr::new("init"),
            "--laboratory-root".as_ref(),
            root.as_ref(),
        ];
        args.extend(setup.init.iter().map(OsStr::new));
        assert_exit(&server.assay(args), 0);
        server.write_devices(setup.devices);
        server.configure(setup.config);
        server
    }

    /// Makes a server and starts it on a free port.
    pub(crate) fn start(setup: Setup<'_>) -> Self {
        let mut server = Self::init(setup);
        server.restart();
        server
    }

    /// Starts the server (again). The URLs stay those of its first start, even
    /// though the port is another one: clients go to [`Process::address`].
    pub(crate) fn restart(&mut self) {
        self.restart_on("127.0.0.1:0");
    }

    /// The same on another address.
    pub(crate) fn restart_on(&mut self, listen: &str) {
        self.kill();
        let process = Process::serve(self.command(["serve", "--listen", listen]));
        let base_url = process.directory.trim_end_matches("/acme/directory");
        self.configure(&format!("server.base_url = \"{base_url}\""));
        self.process = Some(process);
    }

    /// Ends the server as a power failure does (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Asks the server to end (SIGTERM), and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.process().signal(rustix::process::Signal::TERM);
        self.exited()
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn exited(&mut self) -> ExitStatus {
        self.process.take().unwrap().exited()
    }

    /// Takes a process that serves this directory.
    pub(crate) fn adopt(&mut self, process: Process) {
        self.process = Some(process);
    }

    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// The `assay` command for this server's directory.
    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = assay();
        command.arg("--dir").arg(self.dir()).args(args);
        command
    }

    /// Runs an `assay` command on this server's directory to its end.
    pub(crate) fn assay(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.command(args).output().unwrap()
    }

    /// `assay simulate` with this server's CA and attestation authority, against
    /// this directory URL.
    pub(crate) fn simulate(&self, what: &str, directory: &str) -> Command {
        let mut command = assay();
        command
            .args(["simulate", what, "--json", "--directory", directory])
            .arg("--ca-bundle")
            .arg(self.root_path())
            .arg("--authority")
            .arg(self.authority_dir());
        command
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.home.path().join("assay")
    }

    pub(crate) fn authority_dir(&self) -> PathBuf {
        self.home.path().join("authority")
    }

    /// A place beside the server's directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn root_path(&self) -> PathBuf {
        self.dir().join("ca/root.pem")
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        fs::read_to_string(self.dir().join(path)).unwrap()
    }

    /// Replaces the list of devices at one stroke.
    pub(crate) fn write_devices(&self, lines: &[&str]) {
        let list = format!("serial,udid,comment\n{}\n", lines.join("\n"));
        let new = self.dir().join("devices.csv.new");
        fs::write(&new, list).unwrap();
        fs::rename(new, self.dir().join("devices.csv")).unwrap();
    }

    /// Merges TOML into the configuration.
    pub(crate) fn configure(&self, changes: &str) {
        let mut config: toml::Table = toml::from_str(&self.read("assay.toml")).unwrap();
        merge(&mut config, toml::from_str(changes).unwrap());
        fs::write(self.dir().join("assay.toml"), config.to_string()).unwrap();
    }

    /// A client with an account of its own.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.client_without_account().await;
        let answer = client.acme.new_account().await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        client
    }

    /// A client without an account.
    pub(crate) async fn client_without_account(&self) -> Client {
        let process = self.process();
        let root = self.read("ca/root.pem");
        Client::connect(&process.directory, &self.origin(), &root).await
    }

    /// Where the server's socket is.
    pub(crate) fn origin(&self) -> String {
        let plain = self.read("assay.toml").contains("tls = \"off\"");
        let scheme = if plain { "http" } else { "https" };
        format!("{scheme}://{}", self.process().address.unwrap())
    }

    /// Good evidence for the device's key: an attestation object.
    pub(crate) fn attest(&self, device: &Device, token: &str) -> Vec<u8> {
        self.evidence(device, token).attestation_object()
    }

    /// Good evidence: the chain.
    pub(crate) fn evidence(&self, device: &Device, token: &str) -> Evidence {
        self.chain(&self.leaf(device, token))
    }

    /// Evidence whose leaf was changed before the authority signed it.
    pub(crate) fn forge(
        &self,
        device: &Device,
        token: &str,
        change: impl FnOnce(&mut CertificateTemplate),
    ) -> Vec<u8> {
        let mut leaf = self.leaf(device, token);
        change(&mut leaf);
        self.chain(&leaf).attestation_object()
    }

    fn chain(&self, leaf: &CertificateTemplate) -> Evidence {
        Evidence {
            chain: vec![
                leaf.sign(self.authority.sub_key()).unwrap(),
                self.authority.sub_der().to_vec(),
            ],
        }
    }

    /// The leaf of good evidence, to be changed.
    pub(crate) fn leaf(&self, device: &Device, token: &str) -> CertificateTemplate {
        self.authority.leaf_template(
            &device.properties,
            &device.spki_der(),
            &Sha256::digest(token),
            now(),
        )
    }

    /// The event that tells of the refusal of an order.
    pub(crate) fn refused(&self, order: &str) -> Value {
        let id = order.rsplit('/').next().unwrap();
        self.process()
            .event(|event| event["event"] == "refused" && event["order"] == id)
    }

    /// What `assay orders show` tells of an order while the server runs.
    pub(crate) fn story(&self, order: &str) -> Value {
        json_of(&self.assay(["orders", "show", "--json", order]))
    }
}

/// A Mac in good order, with a P-256 key of its own.
pub(crate) fn mac(serial: &str) -> Device {
    let properties = DeviceProperties::mac(serial, &format!("00008112-{serial}"));
    Device::new(properties, KeyType::P256).unwrap()
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn merge(into: &mut toml::Table, changes: toml::Table) {
    for (key, change) in changes {
        match (into.get_mut(&key), change) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, change) => {
                into.insert(key, change);
            }
        }
    }
}
