//! What commands write to standard output: results for people, or one JSON
//! document.

use std::{
    env,
    fmt::Display,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    logging::Fatal,
    stop::{OrStop, Stop},
    terminal,
};

/// A value as people read it: each module that prints one implements `Display`
/// for it.
pub struct Text<'a, T>(pub &'a T);

/// Whether there is a JSON document on standard output.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Writes text, of one line or several, to standard output. What a terminal would
/// obey is escaped: names of files and texts of clients may be part of it. A
/// reader that went away is no error.
pub fn print(text: impl Display) -> Result<(), Stop> {
    let text = text.to_string();
    let lines: Vec<_> = text.split('\n').map(terminal::escape).collect();
    print_styled(lines.join("\n"))
}

/// Writes text that has colours, and in which the rest is escaped already.
pub fn print_styled(line: impl Display) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.or_fault("cannot write to standard output"),
    }
}

/// Writes one JSON value as a line to standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Stop> {
    let json = terminal::json(value).or_fault("cannot write JSON")?;
    PRINTED.store(true, Ordering::Relaxed);
    print(json)
}

/// With `--json`, a command that fails before it has a result prints why: a
/// reader of standard output always gets one document. A result that is a
/// failure is its own document.
pub fn print_failure(last: &Fatal<'_>) {
    if !is_json_wanted() || PRINTED.load(Ordering::Relaxed) {
        return;
    }
    let document = serde_json::json!({
        "error": { "message": last.message, "exit_code": last.exit_code },
    });
    // The message is on standard error all the same.
    let _ = print_json(&document);
}

/// Whether the command line says `--json`, whatever else it says: it may be the
/// one that cannot be read.
fn is_json_wanted() -> bool {
    env::args_os()
        .skip(1)
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
}
