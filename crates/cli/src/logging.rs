//! Logs go to standard error: lines for people on a terminal, JSON objects
//! otherwise where asked for.
//!
//! `assay serve` writes them from a thread of its own, behind bounded queues, so
//! that no reader of the log can stop it (docs/adr/0018). Other commands, which
//! serve nobody, write them where they occur.

mod fields;
mod layer;
mod line;
mod queue;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd as _,
    panic::{self, PanicHookInfo},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tracing::Level;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use self::{
    fields::{FieldValue, Fields, LONGEST_OWN, cut},
    layer::LogLayer,
    line::{Format, Line},
    queue::{Kind, Limits, Queue},
};
use crate::terminal;

/// How long the end of the process waits for the reader of the log.
const END: Duration = Duration::from_secs(1);
/// How long a panic waits for it: the process may be about to abort.
const PANIC: Duration = Duration::from_millis(100);

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
            Self::Direct => {
                // Nothing can be said when standard error is gone.
                let _ = io::stderr().lock().write_all(line.as_bytes());
            }
            Self::Queue(queue) => queue.push(kind, line),
        }
    }
}

/// Starts logging. `ASSAY_LOG` filters as `RUST_LOG` does elsewhere;
/// `ASSAY_LOG_FORMAT=json` writes one JSON object a line, `text` (the default)
/// lines for people.
///
/// # Errors
/// When one of them says something else: nobody should look for a log that was
/// never written. When lines are to be queued and no thread can be started.
pub fn start(default_filter: &str, delivery: Delivery) -> anyhow::Result<()> {
    let setting = |name| env::var_os(name).unwrap_or_default();
    let json = match setting("ASSAY_LOG_FORMAT").to_str() {
        Some("json") => true,
        Some("" | "text") => false,
        _ => bail!("ASSAY_LOG_FORMAT is neither \"json\" nor \"text\""),
    };
    let filter = match setting("ASSAY_LOG").to_str() {
        Some("") => EnvFilter::new(default_filter),
        Some(filter) => EnvFilter::try_new(filter)
            .with_context(|| format!("ASSAY_LOG is {filter:?}: no filter as in \"debug\""))?,
        None => bail!("ASSAY_LOG is not UTF-8 text"),
    };
    // sled logs whole pages, from destructors of ending threads too, where a log
    // line aborts the process.
    let filter = match "sled=off".parse() {
        Ok(off) => filter.add_directive(off),
        Err(_) => filter,
    };
    let color = colors(io::stderr().is_terminal());
    let format = match json {
        true => Format::Json,
        false => Format::Text { color },
    };
    let out = match delivery {
        Delivery::Direct => Out::Direct,
        Delivery::Queued => Out::Queue(start_queue(format)?),
    };
    panic::set_hook(Box::new(move |panic| tell_panic(panic, json)));
    // A second start, as in tests, keeps the first.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(LogLayer { format, out })
        .try_init();
    Ok(())
}

fn start_queue(format: Format) -> anyhow::Result<Queue> {
    // Not through the standard library's own handle, whose lock the writer would
    // hold for as long as the reader pauses.
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let out = File::from(stderr.context("cannot write to standard error")?);
    let report = Box::new(move |kind, count| dropped(format, kind, count));
    let queue = Queue::start(out, Limits::default(), report).context("cannot start logging")?;
    Ok(QUEUE.get_or_init(|| queue).clone())
}

/// The line that says how many lines of a queue were dropped.
fn dropped(format: Format, kind: Kind, count: u64) -> String {
    let target = "assay::logging";
    let mut fields = Fields::of(target);
    let name = match kind {
        Kind::Events => "events",
        Kind::Requests => "requests",
    };
    let message = "lines of the log were dropped: its reader is slow";
    for (field, value) in [
        ("message", FieldValue::Shown(message.to_owned())),
        ("event", FieldValue::Text("log_lines_dropped".to_owned())),
        ("count", FieldValue::Plain(count.into())),
        ("queue", FieldValue::Text(name.to_owned())),
    ] {
        fields.list.push((field, value));
    }
    Line::new(format, Level::WARN, target, fields).finish()
}

/// Ends logging, with a last line for people. Waits for a slow reader for a
/// second; what is not written by then is lost.
pub fn end(last: Option<&str>) {
    let line = last.map(|last| format!("{last}\n"));
    match QUEUE.get() {
        Some(queue) => {
            if let Some(line) = line {
                queue.push(Kind::Events, line);
            }
            queue.flush(END);
        }
        None => {
            // Nothing can be said when standard error is gone.
            let _ = line.map(|line| io::stderr().write_all(line.as_bytes()));
        }
    }
}

/// Tells of a panic in one line, which is not an event: a thread that ends
/// cannot log any more. With RUST_BACKTRACE the way there follows.
fn tell_panic(panic: &PanicHookInfo<'_>, json: bool) {
    let place = panic.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("an unknown place");
    let payload = panic.payload();
    let message = (payload.downcast_ref::<&str>().copied())
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let message = cut(message, LONGEST_OWN);
    let mut line = if json {
        let event = serde_json::json!({
            "level": "ERROR",
            "event": "panic",
            "location": place,
            "message": format!("a fault of the program: {message}"),
        });
        event.to_string()
    } else {
        let message = terminal::escape(&message);
        format!("assay: a fault of the program at {place}: {message}")
    };
    line.push('\n');
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        line = format!("{line}{backtrace}\n");
    }
    match QUEUE.get() {
        Some(queue) => {
            queue.push(Kind::Events, line);
            queue.flush(PANIC);
        }
        None => {
            // Nothing can be said when standard error is gone.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Whether output may be coloured: on a terminal, unless NO_COLOR is set to
/// anything that is not empty (<https://no-color.org>).
pub fn colors(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
