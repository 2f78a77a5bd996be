//! Lines that are not written by a subscriber: the last line of a command,
//! panics, and the count of dropped lines.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::PanicHookInfo,
};

use tracing::Level;

use super::{
    fields::{FieldValue, Fields, LONGEST_OWN, truncate},
    journal,
    line::{Format, Line, Style},
    queue::Kind,
};
use crate::terminal;

/// Why a command failed.
pub struct Fatal<'a> {
    /// May have several lines and contain text of untrusted files.
    pub message: &'a str,
    pub exit_code: u8,
}

/// The last line of a command that fails: `assay: ` and the message in text
/// format, otherwise the event `fatal`.
pub fn fatal(style: Style, last: &Fatal<'_>) -> String {
    let Fatal { message, exit_code } = last;
    match style.format {
        Format::Json => line(
            style,
            Level::ERROR,
            "assay",
            [
                ("message", FieldValue::Shown((*message).to_owned())),
                ("event", FieldValue::Text("fatal".to_owned())),
                ("exit_code", FieldValue::Plain((*exit_code).into())),
            ],
        ),
        Format::Text { .. } => {
            let said = format!("assay: {}\n", terminal::escape_lines(message));
            for_people(style, said)
        }
    }
}

/// An error of clap about the command line, unchanged in text format.
pub fn usage(style: Style, last: &Fatal<'_>) -> String {
    match style.format {
        Format::Json => fatal(style, last),
        Format::Text { .. } => for_people(style, format!("{}\n", last.message)),
    }
}

/// A panic, event `panic`; one line in text format. With RUST_BACKTRACE the
/// backtrace follows.
pub fn panicked(style: Style, panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("an unknown place");
    let payload = panic.payload();
    let message = (payload.downcast_ref::<&str>().copied())
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let message = truncate(message, LONGEST_OWN);
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    match style.format {
        Format::Json => {
            let message = format!("a fault of the program: {message}");
            let fields = [
                ("message", FieldValue::Shown(message)),
                ("event", FieldValue::Text("panic".to_owned())),
                ("location", FieldValue::Text(place.to_owned())),
            ];
            let backtrace = backtrace.map(|text| ("backtrace", FieldValue::Text(text)));
            let fields = fields.into_iter().chain(backtrace);
            line(style, Level::ERROR, "assay", fields)
        }
        Format::Text { .. } => {
            let message = terminal::escape(&message);
            let mut said = format!("assay: a fault of the program at {place}: {message}\n");
            if let Some(backtrace) = backtrace {
                said = format!("{said}{backtrace}\n");
            }
            for_people(style, said)
        }
    }
}

/// The line that reports how many lines of a queue were dropped.
pub fn dropped(style: Style, kind: Kind, count: u64) -> String {
    let name = match kind {
        Kind::Events => "events",
        Kind::Requests => "requests",
        Kind::Access => "access",
    };
    let message = "lines of the log were dropped: its reader is slow";
    line(
        style,
        Level::WARN,
        "assay::logging",
        [
            ("message", FieldValue::Shown(message.to_owned())),
            ("event", FieldValue::Text("log_lines_dropped".to_owned())),
            ("count", FieldValue::Plain(count.into())),
            ("queue", FieldValue::Text(name.to_owned())),
        ],
    )
}

fn line(
    style: Style,
    level: Level,
    target: &'static str,
    list: impl IntoIterator<Item = (&'static str, FieldValue)>,
) -> String {
    let mut fields = Fields::of(target);
    fields.list.extend(list);
    Line::new(style, level, target, fields).finish()
}

fn for_people(style: Style, said: String) -> String {
    match style.journal {
        true => journal::with_priority(Level::ERROR, &said),
        false => said,
    }
}
