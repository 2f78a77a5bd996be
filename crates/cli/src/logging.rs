//! Writes logs to standard error: text lines or JSON objects, with priorities
//! if the journal reads them.
//!
//! `assay serve` writes them on a separate thread, behind bounded queues, so
//! that a slow reader of the log cannot stop it (docs/adr/0018). Other commands
//! write them directly.

mod events;
mod fields;
mod filter;
mod journal;
mod last;
mod layer;
mod line;
mod queue;

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd as _,
    panic,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{events::LogObserver, last::Fatal};
use self::{
    filter::Filter,
    layer::LogLayer,
    line::{Format, Style},
    queue::{Kind, Limits, Queue},
};

/// How long the process waits for the reader of the log when it exits.
const END: Duration = Duration::from_secs(1);
/// How long a panic waits for the reader: the process may be about to abort.
const PANIC: Duration = Duration::from_millis(100);

/// The environment variable that selects the format.
const FORMAT: &str = "ASSAY_LOG_FORMAT";

/// The style of lines. Lines may be written before logging is started, or when
/// it cannot start.
static STYLE: OnceLock<Style> = OnceLock::new();

/// The queues, if lines are queued.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// How lines are written to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Immediately; the logging thread waits for the reader.
    Direct,
    /// By a separate thread; the logging thread never waits, and lines that do
    /// not fit are dropped and counted.
    Queued,
}

/// The destination of lines.
enum Out {
    Direct,
    Queue(Queue),
}

impl Out {
    fn write(&self, kind: Kind, line: String) {
        match self {
            Self::Direct => write(&line),
            Self::Queue(queue) => queue.push(kind, line),
        }
    }
}

fn write(line: &str) {
    // There is no way to report that standard error is closed.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

fn style() -> Style {
    *STYLE.get_or_init(|| Style {
        format: match env::var(FORMAT).as_deref() {
            Ok("json") => Format::Json,
            _ => Format::Text {
                color: colors(io::stderr().is_terminal()),
            },
        },
        journal: journal::is_reader(),
    })
}

/// Whether each line on standard error must be a JSON object.
pub fn is_json() -> bool {
    style().format == Format::Json
}

/// Whether standard error is plain text for humans.
pub fn is_plain() -> bool {
    !is_json() && !style().journal
}

/// Logs panics. Called before anything else, so that failures before logging is
/// started have the right format.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let line = last::panicked(style(), panic);
        match QUEUE.get() {
            Some(queue) => {
                queue.push(Kind::Events, line);
                queue.flush(PANIC);
            }
            // Do not take the lock of standard error: the panicking thread may
            // hold it.
            None => {
                let _ = io::stderr().write_all(line.as_bytes());
            }
        }
    }));
}

/// Starts logging. `ASSAY_LOG` filters like `RUST_LOG`, except that errors are
/// always logged. `ASSAY_LOG_FORMAT=json` writes one JSON object per line,
/// `text` (the default) plain text.
///
/// # Errors
/// If a variable has an invalid value, so that an operator does not miss a log
/// that was never written; or if lines are to be queued and the thread cannot
/// start.
pub fn start(default_filter: &str, delivery: Delivery) -> anyhow::Result<()> {
    let setting = |name| env::var_os(name).unwrap_or_default();
    match setting(FORMAT).to_str() {
        Some("" | "json" | "text") => {}
        _ => bail!("{FORMAT} is neither \"json\" nor \"text\""),
    }
    let Filter { filter, unknown } = match setting("ASSAY_LOG").to_str() {
        Some(text) => filter::parse(text, default_filter)?,
        None => bail!("ASSAY_LOG is not UTF-8 text"),
    };
    let style = style();
    let out = match delivery {
        Delivery::Direct => Out::Direct,
        Delivery::Queued => Out::Queue(start_queue(style)?),
    };
    // A second start, as in tests, keeps the first.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(LogLayer { style, out })
        .try_init();
    for directive in unknown {
        tracing::warn!(
            event = "log_filter_unknown",
            directive,
            "ASSAY_LOG names a target that this program does not have: it may match nothing"
        );
    }
    Ok(())
}

fn start_queue(style: Style) -> anyhow::Result<Queue> {
    // Do not use the standard library's handle: the writer would hold its lock
    // while the reader pauses.
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let out = File::from(stderr.context("cannot write to standard error")?);
    let report = Box::new(move |kind, count| last::dropped(style, kind, count));
    let queue = Queue::start(out, Limits::default(), report).context("cannot start logging")?;
    Ok(QUEUE.get_or_init(|| queue).clone())
}

/// Ends logging, with a last line if the command failed. Waits one second for a
/// slow reader; lines that are not written by then are lost.
pub fn end(last: Option<&Fatal<'_>>) {
    finish(last.map(|last| last::fatal(style(), last)));
}

/// Ends logging after an invalid command line.
pub fn end_of_usage(last: &Fatal<'_>) {
    finish(Some(last::usage(style(), last)));
}

fn finish(line: Option<String>) {
    match QUEUE.get() {
        Some(queue) => {
            if let Some(line) = line {
                queue.push(Kind::Events, line);
            }
            queue.flush(END);
        }
        None => {
            if let Some(line) = line {
                write(&line);
            }
        }
    }
}

/// Whether output may be coloured: on a terminal, unless NO_COLOR is set and
/// not empty (<https://no-color.org>).
pub fn colors(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests;
