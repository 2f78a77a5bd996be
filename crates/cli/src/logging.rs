//! Logs go to standard error: lines for people on a terminal, JSON objects
//! otherwise where asked for.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env,
    io::{self, IsTerminal, Write},
    panic::{self, PanicHookInfo},
};

use anyhow::{Context as _, bail};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::terminal;

/// Starts logging. `ASSAY_LOG` filters as `RUST_LOG` does elsewhere;
/// `ASSAY_LOG_FORMAT=json` writes one JSON object a line, `text` (the default)
/// lines for people.
///
/// # Errors
/// When one of them says something else: nobody should look for a log that was
/// never written.
pub fn start(default_filter: &str) -> anyhow::Result<()> {
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
    let registry = tracing_subscriber::registry().with(filter);
    let color = colors(io::stderr().is_terminal());
    panic::set_hook(Box::new(move |panic| tell_panic(panic, json)));
    // A second start, as in tests, keeps the first.
    let _ = if json {
        registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(io::stderr),
            )
            .try_init()
    } else {
        registry
            .with(
                fmt::layer()
                    .with_ansi(color)
                    .with_target(false)
                    .with_writer(io::stderr),
            )
            .try_init()
    };
    Ok(())
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
    let line = if json {
        let event = serde_json::json!({
            "level": "ERROR",
            "event": "panic",
            "location": place,
            "message": format!("a fault of the program: {message}"),
        });
        event.to_string()
    } else {
        let message = terminal::escape(message);
        format!("assay: a fault of the program at {place}: {message}")
    };
    let backtrace = Backtrace::capture();
    let mut stderr = io::stderr().lock();
    // Nothing can be said when standard error is gone.
    let _ = writeln!(stderr, "{line}");
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = writeln!(stderr, "{backtrace}");
    }
}

/// Whether output may be coloured: on a terminal, unless NO_COLOR is set to
/// anything that is not empty (<https://no-color.org>).
pub fn colors(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
