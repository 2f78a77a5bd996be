//! Logs go to standard error: lines for people on a terminal, JSON objects
//! otherwise where asked for.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging. `ASSAY_LOG` filters as `RUST_LOG` does elsewhere;
/// `ASSAY_LOG_FORMAT=json` writes one JSON object a line.
pub fn start(default_filter: &str) {
    let filter =
        EnvFilter::try_from_env("ASSAY_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
    // sled logs whole pages, from destructors of ending threads too, where a log
    // line aborts the process.
    let filter = match "sled=off".parse() {
        Ok(off) => filter.add_directive(off),
        Err(_) => filter,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let color = colors(io::stderr().is_terminal());
    let json = std::env::var("ASSAY_LOG_FORMAT").is_ok_and(|format| format == "json");
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
}

/// Whether output may be coloured: on a terminal, unless NO_COLOR is set to
/// anything that is not empty (<https://no-color.org>).
pub fn colors(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
