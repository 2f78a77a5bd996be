//! Logs go to standard error: lines for people, or JSON objects where asked
//! for; with priorities where the journal reads them.
//!
//! `assay serve` writes them from a thread of its own, behind bounded queues, so
//! that no reader of the log can stop it (docs/adr/0018). Other commands, which
//! serve nobody, write them where they occur.

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

/// How long the end of the process waits for the reader of the log.
const END: Duration = Duration::from_secs(1);
/// How long a panic waits for it: the process may be about to abort.
const PANIC: Duration = Duration::from_millis(100);

/// What chooses the format.
const FORMAT: &str = "ASSAY_LOG_FORMAT";

/// How lines look. Lines may come before logging is started, and where it
/// cannot be.
static STYLE: OnceLock<Style> = OnceLock::new();

/// The queues, where lines are queued.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// How lines get to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once; who logs waits for the reader.
    Direct,
    /// By a thread of its own; nobody waits, and what does not fit is counted.
    Queued,
}

/// Where lines go.
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
    // Nothing can be said when standard error is gone.
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

/// Whether each line on standard error is to be a JSON object.
pub fn is_json() -> bool {
    style().format == Format::Json
}

/// Whether standard error is for people alone.
pub fn is_plain() -> bool {
    !is_json() && !style().journal
}

/// Logs panics. Before anything else: also what fails before logging is started
/// has its format.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let line = last::panicked(style(), panic);
        match QUEUE.get() {
            Some(queue) => {
                queue.push(Kind::Events, line);
                queue.flush(PANIC);
            }
            // Not through the lock of standard error: a thread that holds it
            // may be the one that panics.
            None => {
                let _ = io::stderr().write_all(line.as_bytes());
            }
        }
    }));
}

/// Starts logging. `ASSAY_LOG` filters as `RUST_LOG` does elsewhere, but for
/// errors, which are always logged; `ASSAY_LOG_FORMAT=json` writes one JSON
/// object a line, `text` (the default) lines for people.
///
/// # Errors
/// When one of them says something else: nobody should look for a log that was
/// never written. When lines are to be queued and no thread can be started.
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
            "ASSAY_LOG names a target that this program does not have: nothing may come of it"
        );
    }
    Ok(())
}

fn start_queue(style: Style) -> anyhow::Result<Queue> {
    // Not through the standard library's own handle, whose lock the writer would
    // hold for as long as the reader pauses.
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let out = File::from(stderr.context("cannot write to standard error")?);
    let report = Box::new(move |kind, count| last::dropped(style, kind, count));
    let queue = Queue::start(out, Limits::default(), report).context("cannot start logging")?;
    Ok(QUEUE.get_or_init(|| queue).clone())
}

/// Ends logging, with a last line where the command failed. Waits for a slow
/// reader for a second; what is not written by then is lost.
pub fn end(last: Option<&Fatal<'_>>) {
    finish(last.map(|last| last::fatal(style(), last)));
}

/// The same for a command line that cannot be read.
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

/// Whether output may be coloured: on a terminal, unless NO_COLOR is set to
/// anything that is not empty (<https://no-color.org>).
pub fn colors(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests;
