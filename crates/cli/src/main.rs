//! The `assay` command: configuration, wiring, commands.

#![allow(
    unreachable_pub,
    reason = "a binary has no outside: pub says what a module offers to the others"
)]

mod app;
mod args;
mod backup;
mod certificates;
mod clock;
mod config;
mod control;
mod database;
mod devices;
mod dir;
mod files;
mod init;
mod inspect;
mod issuer;
#[cfg(feature = "lab")]
mod lab;
#[cfg(not(feature = "lab"))]
#[path = "no_lab.rs"]
mod lab;
mod logging;
mod notify;
mod orders;
mod output;
mod permissions;
mod pieces;
mod preflight;
mod progress;
mod recordings;
mod replay;
#[cfg(feature = "lab")]
mod replay_server;
#[cfg(not(feature = "lab"))]
#[path = "no_replay_server.rs"]
mod replay_server;
mod serve;
mod sighup;
mod signing_threads;
mod socket;
mod space;
mod staging;
mod status;
mod stop;
mod store;
mod system;
mod terminal;
mod tls;
mod values;

use std::{
    env, io, panic,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::anyhow;
use clap::Parser;

use crate::{
    args::{Cli, Command},
    dir::Dir,
    logging::{Delivery, Fatal},
    output::{print, print_json, print_styled},
    preflight::command::ConfigCommand,
    stop::{OrStop, Stop},
    store::StoreCommand,
};

/// Takes less processor time than the system's, and little memory, as it is
/// built (`.cargo/config.toml`): docs/adr/0011.
#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    logging::log_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(error),
    };
    let filter = match &cli.command {
        // These tell their own story.
        Command::Demo(_) | Command::Recording(_) | Command::Replay(_) => "error",
        _ => "info",
    };
    let delivery = match &cli.command {
        Command::Serve(_) => Delivery::Queued,
        _ => Delivery::Direct,
    };
    let started = logging::start(filter, delivery);
    let ended = panic::catch_unwind(|| started.map_err(Stop::usage).and_then(|()| run(cli)))
        .unwrap_or_else(|_| {
            Err(Stop::fault(anyhow!(
                "the program panicked: a bug, or out of memory; what was acknowledged is kept"
            )))
        });
    match ended {
        Ok(()) => {
            logging::end(None);
            ExitCode::SUCCESS
        }
        Err(stop) => {
            // What strangers wrote into a file, or call one, may be part of it.
            let message = stop.to_string();
            let last = Fatal {
                message: &message,
                exit_code: stop.exit_code(),
            };
            output::print_failure(&last);
            logging::end(Some(&last));
            ExitCode::from(last.exit_code)
        }
    }
}

/// Ends after a command line that is not a command: with an error, or with what
/// `--help` and `--version` print.
fn not_parsed(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away is no error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // It quotes arguments. What a terminal would obey in them is escaped, and
    // then the same error has to say so.
    let escaped = env::args_os().map(|argument| terminal::escape(&argument.to_string_lossy()));
    let error = match Cli::try_parse_from(escaped) {
        Err(safe) if safe.kind() == error.kind() => Ok(safe),
        _ => Err(error),
    };
    let message = match &error {
        Ok(safe) => safe.render().to_string(),
        Err(raw) => terminal::escape_lines(&raw.render().to_string()),
    };
    let last = Fatal {
        message: message.trim_end(),
        exit_code: Stop::USAGE,
    };
    output::print_failure(&last);
    match &error {
        Ok(safe) if logging::is_plain() => {
            // With colours, where those are wanted.
            let _ = safe.print();
        }
        _ => logging::end_of_usage(&last),
    }
    ExitCode::from(last.exit_code)
}

fn run(cli: Cli) -> Result<(), Stop> {
    let dir = Dir::new(cli.dir);
    match cli.command {
        Command::Backup(args) => backup::backup(&dir, &args),
        Command::Config(ConfigCommand::Check { json }) => preflight::command::run(&dir, json),
        Command::Demo(args) => on_runtime(async move { lab::run_demo(&args).await }),
        Command::Init(args) => init::run(&dir, &args),
        Command::Inspect(args) => inspect::run(&args, &mut io::stdout().lock()),
        Command::Orders(command) => on_runtime(async move { orders::run(&dir, &command).await }),
        Command::Recording(command) => lab::run_recording(&command),
        Command::Replay(args) if args.end_to_end => {
            // Server and client talk in memory, one at a time.
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().build();
            let runtime = runtime.or_fault("cannot start the runtime")?;
            runtime.block_on(lab::run_end_to_end(&args))
        }
        Command::Replay(args) => replay::run(&args),
        Command::Restore(args) => backup::restore(&dir, &args),
        Command::Serve(args) => {
            // While this is the only thread.
            let inherited = socket::inherited()?;
            on_runtime(async move { serve::run(&dir, &args, inherited).await })
        }
        Command::Simulate(command) => on_runtime(async move { lab::run_simulate(&command).await }),
        Command::Status(args) => on_runtime(async move { status::run(&dir, &args).await }),
        Command::Store(StoreCommand::Clock(command)) => {
            on_runtime(async move { clock::command::run(&dir, &command).await })
        }
        Command::Store(command) => store::run(&dir, &command),
        Command::Tls(command) => tls::command::run(&dir, &command),
    }
}

/// Runs a command that needs sockets, timers or several threads.
fn on_runtime(
    command: impl Future<Output = Result<(), Stop>> + Send + 'static,
) -> Result<(), Stop> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build();
    let runtime = runtime.or_fault("cannot start the runtime")?;
    // A task, not the main thread: each connection would have to be handed from
    // there to the runtime's threads, and back.
    match runtime.block_on(runtime.spawn(command)) {
        Ok(ended) => ended,
        Err(failed) => panic::resume_unwind(failed.into_panic()),
    }
}

/// Seconds since the Unix epoch. A clock before 1970 reads as 1970: nothing is
/// valid then.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
