//! `assay replay`: recordings judged again, and compared with what they say.

pub mod end_to_end;
mod paths;
pub mod serve;
mod stage;

use std::path::PathBuf;

/// `assay replay`
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Recordings, or folders: all *.json in them.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Plays each to a whole server in this process instead, from newAccount to
    /// the certificate, at the recorded time and with the recorded token.
    #[arg(long)]
    pub end_to_end: bool,
    /// Writes what the server sent, one file a recording, byte for byte.
    #[arg(long, value_name = "DIR", requires = "end_to_end")]
    pub transcript: Option<PathBuf>,
    /// A root to trust beside Apple's, one PEM certificate; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub root: Vec<PathBuf>,
    /// Trusts the root that a recording brings, for that recording. It then
    /// proves only itself.
    #[arg(long)]
    pub trust_embedded_roots: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A stranger's text, fit for a terminal: what is not printed is escaped.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => safe.push(c),
            _ => safe.extend(c.escape_debug()),
        }
    }
    safe
}
