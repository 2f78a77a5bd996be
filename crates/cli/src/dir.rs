//! Where everything lies in a server's directory.

use std::path::{Path, PathBuf};

/// The server's last TLS certificate with its key, relative to the directory.
pub const SERVING: &str = "ca/serving.pem";

/// A server's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir(PathBuf);

impl Dir {
    /// The directory at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `assay.toml`
    pub fn config(&self) -> PathBuf {
        self.0.join("assay.toml")
    }

    /// The CAs' certificates and keys.
    pub fn ca(&self) -> PathBuf {
        self.0.join("ca")
    }

    /// The certificate of the CA `name`: root, issuing or tls.
    pub fn ca_certificate(&self, name: &str) -> PathBuf {
        self.ca().join(format!("{name}.pem"))
    }

    /// The key of the CA `name`: root, issuing or tls.
    pub fn ca_key(&self, name: &str) -> PathBuf {
        self.ca().join(format!("{name}.key"))
    }

    /// The server's last TLS certificate with its key.
    pub fn serving(&self) -> PathBuf {
        self.0.join(SERVING)
    }

    /// The database.
    pub fn db(&self) -> PathBuf {
        self.0.join("db")
    }

    /// Where the running server answers questions.
    pub fn control(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The laboratory roots that `init` copied.
    pub fn attestation(&self) -> PathBuf {
        self.0.join("attestation")
    }

    /// A path of the configuration: relative ones begin here.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }
}
