//! `-` is standard input wherever a command reads evidence or a recording.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::replay::{MADE, text};
use crate::support::{Server, Setup, assay, assert_exit, message};

/// Runs a command with this on standard input, a pipe.
fn with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A command that refuses the input may close the pipe early.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn replay(args: &[&str], input: &str) -> Output {
    let mut command = assay();
    command
        .args(["replay", "--trust-embedded-roots"])
        .args(args);
    with_input(&mut command, input.as_bytes())
}

#[test]
fn replay_judges_a_recording_from_standard_input() {
    let output = replay(&["-"], &MADE.accepted);
    assert_exit(&output, 0);
    assert!(text(&output).contains("\n-     acme"), "{}", text(&output));
    let output = replay(&["--json", "-"], &MADE.refused);
    assert_exit(&output, 0);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["results"][0]["file"], "-");
    assert_eq!(told["totals"]["same"], 1);

    // It is named: what is no recording is an error.
    for input in ["", "{}", &"x".repeat(300 * 1024)] {
        message(&replay(&["-"], input), 2);
    }
    let large = message(&replay(&["-"], &"x".repeat(300 * 1024)), 2);
    assert!(
        large.contains("standard input is larger than 262144 bytes"),
        "{large}"
    );
    let twice = message(&replay(&["-", "-"], &MADE.accepted), 2);
    assert!(twice.contains("standard input can be read once"), "{twice}");
    let bless = message(
        &replay(&["--bless", "-"], &MADE.accepted.replace("J413AP", "J1")),
        2,
    );
    assert!(
        bless.contains("standard input cannot be rewritten"),
        "{bless}"
    );
}

#[test]
fn replay_end_to_end_plays_a_recording_from_standard_input() {
    let output = replay(&["--end-to-end", "--json", "-"], &MADE.accepted);
    assert_exit(&output, 0);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["results"][0]["file"], "-");
    assert_eq!(told["results"][0]["result"], "same");
}

#[test]
fn anonymise_reads_a_recording_from_standard_input() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out.json");
    let mut command = assay();
    command
        .args(["recording", "anonymise", "--trust-embedded-roots", "-"])
        .arg(&out);
    assert_exit(&with_input(&mut command, MADE.accepted.as_bytes()), 0);
    let output = replay(&[out.to_str().unwrap()], "");
    assert_exit(&output, 0);
}

#[test]
fn inspect_reads_evidence_from_standard_input() {
    let recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    let object = recording["attestation_object"].as_str().unwrap();
    let mut command = assay();
    command.args(["inspect", "-"]);
    let output = with_input(&mut command, object.as_bytes());
    assert_exit(&output, 0);
    assert!(text(&output).contains("Attestation object, format \"apple\""));
}

#[test]
fn a_replay_server_reads_its_recording_from_standard_input() {
    let server = Server::init(Setup::default());
    let serve = |input: &[u8]| {
        let mut command = server.command(["serve", "--listen", "127.0.0.1:0", "--replay", "-"]);
        message(&with_input(&mut command, input), 2)
    };
    let error = serve(b"{}");
    assert!(error.starts_with("-: not a recording: "), "{error}");
    let large = serve(&[b' '; 300 * 1024]);
    assert!(large.contains("standard input is larger than"), "{large}");
}
