//! The `assay` command, run to its end.

use std::process::{Command, Output};

use serde_json::Value;

/// The binary under test, with no setting from the environment of the tests.
pub(crate) fn assay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"ASSAY_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn assert_exit(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The message that a command ended with: one line, or a list of errors.
pub(crate) fn message(output: &Output, code: i32) -> String {
    assert_exit(output, code);
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let begin = lines.iter().rposition(|line| line.starts_with("assay: "));
    let begin = begin.unwrap_or_else(|| panic!("no message: {text}"));
    lines[begin..].join("\n").split_off("assay: ".len())
}

/// What a command printed, which must be one JSON document.
pub(crate) fn json_of(output: &Output) -> Value {
    assert_exit(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}
