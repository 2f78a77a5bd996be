//! A laboratory server's directory, and the process that serves it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A server's directory, and the address that it always has.
pub(crate) struct Laboratory {
    home: TempDir,
    address: String,
}

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    process: Child,
}

impl Laboratory {
    /// Makes a server that trusts this attestation root and lets anyone order.
    pub(crate) fn new(root_pem: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        // An own address of the loopback network: no other test has it, and
        // the port is free again as soon as the process is gone.
        let [a, b, c, _] = random().to_be_bytes();
        let address = format!("127.{}.{}.{}:8443", a.max(1), b, c.clamp(1, 254));
        let root = home.path().join("root.pem");
        fs::write(&root, root_pem).unwrap();
        let laboratory = Self { home, address };
        let made = laboratory
            .command("init")
            .args(["--admission", "any-attested", "--base-url"])
            .arg(format!("https://{}", laboratory.address))
            .arg("--laboratory-root")
            .arg(root)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        // All devices come from one address, as often as there are rounds.
        let mut config = File::options()
            .append(true)
            .open(laboratory.dir().join("assay.toml"))
            .unwrap();
        write!(config, "\n[limits]\nexempt = [\"127.0.0.0/8\"]\n").unwrap();
        laboratory
    }

    /// Starts the server, and returns when it listens.
    pub(crate) fn start(&self) -> Server {
        let log = self.home.path().join("log");
        let mut process = self
            .command("serve")
            .args(["--listen", &self.address])
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        // Made first, so that a failure leaves no process behind.
        let server = Server { process };
        let expected = format!("listening on {}\n", self.directory_url());
        assert_eq!(line, expected, "{}", fs::read_to_string(&log).unwrap());
        server
    }

    /// All orders as `assay orders list` shows them: asked of the server if it
    /// runs, read from the database if not.
    pub(crate) fn orders(&self) -> Vec<Value> {
        let limit = u32::MAX.to_string();
        let listed = self
            .command("orders")
            .args(["list", "--json", "--limit", &limit])
            .output()
            .unwrap();
        assert!(listed.status.success(), "{listed:?}");
        let mut listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        serde_json::from_value(listed["orders"].take()).unwrap()
    }

    pub(crate) fn directory_url(&self) -> String {
        format!("https://{}/acme/directory", self.address)
    }

    /// What a device trusts for TLS.
    pub(crate) fn ca_bundle(&self) -> String {
        fs::read_to_string(self.dir().join("ca/root.pem")).unwrap()
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("assay")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.arg("--dir").arg(self.dir()).arg(name);
        command
    }
}

impl Server {
    /// Kills it where it stands (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end (SIGTERM); it must do so in order.
    pub(crate) fn terminate(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; either way nothing is left behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Chance: this test is of what nobody chose.
pub(crate) fn random() -> u32 {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    u32::from_be_bytes(bytes)
}
