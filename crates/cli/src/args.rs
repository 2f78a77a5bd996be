//! The command line: the tree of commands. The arguments of a command are beside
//! the command, and no command uses this module.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    backup::{BackupArgs, RestoreArgs},
    init::InitArgs,
    inspect::InspectArgs,
    lab::{self, DemoArgs, RecordingCommand, SimulateCommand},
    orders::OrdersCommand,
    preflight::command::ConfigCommand,
    replay::ReplayArgs,
    serve::ServeArgs,
    status::StatusArgs,
    store::StoreCommand,
    tls::command::TlsCommand,
};

/// An ACME certificate authority that issues certificates only to devices that
/// prove their identity by attestation.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    after_help = format!(
        "Exit codes: 0 done, 1 refused or different, 2 usage or configuration, 3 server or network fault.\n\n{}",
        lab::EXAMPLES
    )
)]
pub struct Cli {
    /// The server's directory.
    #[arg(
        long,
        global = true,
        env = "ASSAY_DIR",
        default_value = "assay",
        value_name = "DIR"
    )]
    pub dir: PathBuf,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `assay`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show an enrolment from an empty directory to a certificate, and a
    /// refusal.
    #[cfg_attr(feature = "lab", command(after_help = "Example:\n  assay demo --keep"))]
    #[cfg_attr(not(feature = "lab"), command(hide = true, disable_help_flag = true))]
    Demo(DemoArgs),
    /// Create a server: its CAs, its database, its configuration.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay init --name \"Example Corp\" --base-url https://ca.example.org\n  \
                      assay --dir lab init --laboratory-root authority/root.pem\n  \
                      assay --dir /var/lib/assay init --keep-ca"
    )]
    Init(InitArgs),
    /// Run the server.
    #[command(after_help = lab::SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Show whether the running server works, and what fails.
    #[command(
        after_help = "Exit code 1: no device can enrol now, or no server runs.\n\nExamples:\n  assay --dir /var/lib/assay status\n  assay --dir /var/lib/assay status --json"
    )]
    Status(StatusArgs),
    /// Check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show orders and why they failed.
    #[command(subcommand)]
    Orders(OrdersCommand),
    /// Show the content of evidence in any form, of a certificate or chain, or of
    /// a CSR.
    #[command(
        after_help = "Examples:\n  assay inspect attestation.cbor\n  assay inspect --json chain.pem\n  \
                      journalctl -u mdm | assay inspect -\n  \
                      assay inspect --token TOKEN --at 2026-11-18T12:00:00Z --root authority/root.pem attestation.cbor"
    )]
    Inspect(InspectArgs),
    /// Import evidence into recordings, and anonymise them, so that they can be
    /// shared.
    #[cfg_attr(feature = "lab", command(subcommand))]
    #[cfg_attr(not(feature = "lab"), command(hide = true, disable_help_flag = true))]
    Recording(RecordingCommand),
    /// Verify recordings again, and show the differences.
    #[command(after_help = lab::REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Write a backup of the server's directory, whether the server runs or
    /// not.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay backup /var/backups/assay-2026-11-28.tar"
    )]
    Backup(BackupArgs),
    /// Create a server's directory from a backup.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay-restored restore /var/backups/assay-2026-11-28.tar"
    )]
    Restore(RestoreArgs),
    /// Check and maintain the database.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Manage the server's own TLS CA.
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Simulate a device, an attestation authority, or many devices.
    #[cfg_attr(feature = "lab", command(subcommand))]
    #[cfg_attr(not(feature = "lab"), command(hide = true, disable_help_flag = true))]
    Simulate(SimulateCommand),
}

#[cfg(test)]
mod documentation;
