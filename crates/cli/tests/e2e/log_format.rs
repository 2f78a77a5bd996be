//! The form of what is on standard error: filters, JSON, priorities.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    log_events::documented,
    support::{Server, Setup, assay, message},
};

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02FORMAT001,,"],
    config: "",
};

/// All lines of standard error, each a JSON object with an event of the table.
fn events(output: &Output) -> Vec<Value> {
    let known = documented();
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {line:?} in {text}"));
        let event = value["event"].as_str();
        assert!(event.is_some_and(|event| known.contains(event)), "{line}");
        assert!(value["timestamp"].is_string(), "{line}");
        assert!(value["level"].is_string(), "{line}");
        value
    });
    lines.collect()
}

fn json(command: &mut Command) -> Output {
    command
        .env("ASSAY_LOG_FORMAT", "json")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn an_unknown_filter_or_format_is_an_error_that_says_what_is_allowed() {
    let server = Server::init(SETUP);
    for (name, value, expected) in [
        ("ASSAY_LOG", "warning", "did you mean \"warn\"?"),
        (
            "ASSAY_LOG",
            "verbose",
            "off, error, warn, info, debug, trace",
        ),
        ("ASSAY_LOG", "assay=loud", "\"loud\" is not a level"),
        ("ASSAY_LOG_FORMAT", "jsno", "neither \"json\" nor \"text\""),
        ("ASSAY_LOG_FORMAT", "JSON", "neither \"json\" nor \"text\""),
    ] {
        for args in [&["config", "check"][..], &["serve"]] {
            let output = server.command(args).env(name, value).output().unwrap();
            let said = message(&output, 2);
            assert!(said.starts_with(name) && said.contains(expected), "{said}");
        }
    }
    let mut command = server.command(["serve"]);
    let output = json(command.env("ASSAY_LOG", "warning"));
    let [fatal] = &events(&output)[..] else {
        panic!("{output:?}");
    };
    assert_eq!(
        (&fatal["event"], &fatal["exit_code"]),
        (&"fatal".into(), &2.into())
    );
}

#[test]
fn no_filter_silences_an_error() {
    for filter in ["off", "assay=off", "h2=trace", "assay::recordings=off"] {
        let server = Server::init(Setup {
            config: "recording.keep = \"all\"",
            ..SETUP
        });
        fs::write(server.dir().join("recordings"), "in the way").unwrap();
        let mut child = server
            .command(["serve", "--listen", "127.0.0.1:0"])
            .env("ASSAY_LOG", filter)
            .env("ASSAY_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        // The thread that writes recordings has tried by the end.
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{filter}");
        let names: Vec<_> = events(&output)
            .iter()
            .map(|event| event["event"].clone())
            .collect();
        assert!(
            names.contains(&"recording_failed".into()),
            "{filter}: {names:?}"
        );
    }
}

#[test]
fn a_filter_for_a_target_of_no_program_is_a_warning() {
    let server = Server::init(SETUP);
    let mut command = server.command(["config", "check"]);
    let output = json(command.env("ASSAY_LOG", "info,asay=debug"));
    let [warning] = &events(&output)[..] else {
        panic!("{output:?}");
    };
    assert_eq!(warning["event"], "log_filter_unknown");
    assert_eq!(warning["directive"], "asay=debug");
}

/// The commands that fail, each in another way and at another place.
#[test]
fn with_json_every_line_of_a_command_that_fails_is_json() {
    let server = Server::init(SETUP);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let binary = env!("CARGO_BIN_EXE_assay");
    let mut no_room = Command::new("sh");
    no_room.args(["-c", &format!("ulimit -n 6; exec {binary} demo")]);
    let mut backtrace = Command::new("sh");
    backtrace.args(["-c", &format!("ulimit -n 6; exec {binary} demo")]);
    let mut absent = assay();
    absent.args(["--dir", "/nowhere", "serve"]);
    let mut unparsable = server.command(["config", "check"]);
    unparsable.env("ASSAY_SERVER__LISTEN", "no\naddress");
    let cases = [
        (assay(), 2),
        (
            {
                let mut command = assay();
                command.arg("sreve");
                command
            },
            2,
        ),
        (server.command(["orders", "list", "--limit", "0"]), 2),
        (absent, 2),
        (unparsable, 2),
        (server.command(["serve", "--listen", &address]), 3),
        (
            server.command(["orders", "show", "AAAAAAAAAAAAAAAAAAAAAA"]),
            1,
        ),
        (server.command(["status"]), 1),
        (no_room, 3),
        (
            {
                backtrace.env("RUST_BACKTRACE", "1");
                backtrace
            },
            3,
        ),
    ];
    for (mut command, code) in cases {
        let output = json(&mut command);
        assert_eq!(output.status.code(), Some(code), "{command:?}");
        let events = events(&output);
        let last = events.last().unwrap_or_else(|| panic!("{command:?}"));
        assert_eq!(last["event"], "fatal", "{last}");
        assert_eq!(
            (&last["exit_code"], &last["level"]),
            (&code.into(), &"ERROR".into())
        );
        let message = last["message"].as_str().unwrap();
        assert!(!message.is_empty());
        // The others keep their own events.
        let fatal = events.iter().filter(|event| event["event"] == "fatal");
        assert_eq!(fatal.count(), 1, "{events:?}");
    }
}

#[test]
fn with_json_a_backtrace_is_a_value() {
    let binary = env!("CARGO_BIN_EXE_assay");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n 6; exec {binary} demo")]);
    let output = json(command.env("RUST_BACKTRACE", "1"));
    let events = events(&output);
    let panic = events.iter().find(|event| event["event"] == "panic");
    let backtrace = panic.unwrap()["backtrace"].as_str().unwrap();
    assert!(backtrace.lines().count() > 3, "{backtrace}");
}

/// Debugging and the end of the process among them.
#[tokio::test]
async fn with_json_every_line_of_a_server_is_json_and_has_an_event() {
    let mut server = Server::init(SETUP);
    let process = crate::support::Process::serve({
        let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
        command.env("ASSAY_LOG", "trace");
        command
    });
    server.adopt(process);
    let mut client = server.client().await;
    client.order("C02FORMAT001").await;
    let refused = client
        .new_order(&[("permanent-identifier", "C02OTHER")])
        .await;
    assert_eq!(refused.status, 403);
    // Lines about requests are written after those of durable changes.
    server.process().event(|event| event["event"] == "refused");
    server.process().signal(Signal::TERM);
    server.process().event(|event| event["event"] == "draining");
    let known = documented();
    let log = server.process().log();
    for line in &log {
        let event = line["event"].as_str();
        assert!(event.is_some_and(|event| known.contains(event)), "{line}");
    }
    for event in ["debug", "refused", "listening"] {
        assert!(log.iter().any(|line| line["event"] == event), "no {event}");
    }
    assert_eq!(server.exited().code(), Some(0));
}

/// What a command says beside its results, too.
#[tokio::test]
async fn with_json_a_list_that_is_cut_says_so_in_json() {
    let server = Server::start(SETUP);
    let mut client = server.client().await;
    for _ in 0..2 {
        client.order("C02FORMAT001").await;
    }
    let output = json(&mut server.command(["orders", "list", "--limit", "1"]));
    assert_eq!(output.status.code(), Some(0));
    let [note] = &events(&output)[..] else {
        panic!("{output:?}");
    };
    assert_eq!(note["event"], "note");
    let message = note["message"].as_str().unwrap();
    assert!(message.starts_with("1 of 2 shown"), "{message}");
    let output = server.assay(["orders", "list", "--limit", "1"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("assay: 1 of 2 shown"), "{text}");
}

/// A client's text in a span ends no span and adds no field.
#[tokio::test]
async fn in_text_an_identifier_adds_no_field() {
    let server = Server::init(SETUP);
    let log = server.beside("log");
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let directory = line.trim().strip_prefix("listening on ").unwrap();
    for identifier in ["X}:event=\"issued\"", "client=192.0.2.99"] {
        let mut enroll = server.simulate("enroll", directory);
        let output = enroll
            .args(["--serial", "C02X", "--udid", "U", "--client-identifier"])
            .arg(identifier)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let lines = lines
        .iter()
        .filter(|line| line.contains("event=\"refused\""));
    assert_eq!(lines.clone().count(), 2, "{text}");
    for line in lines {
        assert!(!line.contains("event=\"issued\""), "{line}");
        assert!(!line.contains("=client=192.0.2.99"), "{line}");
        assert!(!line.contains(" client=192.0.2.99"), "{line}");
    }
}

/// Runs a command whose standard error is a file that `JOURNAL_STREAM` names, or
/// does not.
fn on_journal(command: &mut Command, file: &Path, names_it: bool, is_server: bool) -> Vec<String> {
    let log = File::create(file).unwrap();
    let (device, inode) = {
        let metadata = log.metadata().unwrap();
        (metadata.dev(), metadata.ino() + u64::from(!names_it))
    };
    command
        .env("JOURNAL_STREAM", format!("{device}:{inode}"))
        .stdin(Stdio::null())
        .stderr(log);
    if is_server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    } else {
        command.stdout(Stdio::null()).status().unwrap();
    }
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn on_a_journal_lines_carry_priorities() {
    let server = Server::init(Setup {
        config: "server.tls = \"off\"",
        ..SETUP
    });
    let file = server.beside("log");
    for format in ["json", "text"] {
        let serve = || {
            let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
            command.env("ASSAY_LOG_FORMAT", format);
            command
        };
        let lines = on_journal(&mut serve(), &file, true, true);
        for (event, prefix) in [("\"no_tls\"", "<4>"), ("\"listening\"", "<6>")] {
            let line = lines.iter().find(|line| line.contains(event)).unwrap();
            assert!(line.starts_with(prefix), "{line}");
        }
        for line in &lines {
            let (priority, rest) = line.split_at(3);
            assert!(["<3>", "<4>", "<6>", "<7>"].contains(&priority), "{line}");
            let is_json = serde_json::from_str::<Value>(rest).is_ok();
            assert_eq!(is_json, format == "json", "{line}");
        }
        // The variable is inherited where standard error is another file.
        let lines = on_journal(&mut serve(), &file, false, true);
        assert!(lines.iter().all(|line| !line.starts_with('<')), "{lines:?}");
    }
}

#[test]
fn on_a_journal_each_line_of_a_fatal_message_has_its_priority() {
    let server = Server::init(SETUP);
    fs::remove_file(server.dir().join("ca/root.key")).unwrap();
    fs::write(server.dir().join("assay.toml"), "[server\n").unwrap();
    let file = server.beside("log");
    let lines = on_journal(&mut server.command(["serve"]), &file, true, false);
    assert!(lines.len() > 1, "{lines:?}");
    assert!(lines[0].starts_with("<3>assay: "), "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("<3>")),
        "{lines:?}"
    );
    // And of a command line that is none.
    let lines = on_journal(&mut server.command(["sreve"]), &file, true, false);
    assert!(lines.len() > 1, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("<3>")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn in_text_values_with_blanks_are_quoted() {
    let server = Server::init(SETUP);
    let file = server.beside("log");
    let mut command = server.command(["config", "check"]);
    command.env("ASSAY_LOG", "info,a b=debug");
    let lines = on_journal(&mut command, &file, false, false);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("directive=\"a b=debug\""), "{lines:?}");
}

#[test]
fn in_text_an_identifier_is_written_alike_in_span_and_event() {
    let server = Server::init(SETUP);
    let log = server.beside("log");
    let mut child = server
        .command(["serve", "--listen", "127.0.0.1:0"])
        .env("ASSAY_LOG_FORMAT", "text")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let directory = line.trim().strip_prefix("listening on ").unwrap();
    let names = [
        ("C02NOTHERE", "identifier=C02NOTHERE"),
        (
            "C02 \"NOT\u{202e}\" HERE",
            r#"identifier="C02 \"NOT\u{202e}\" HERE""#,
        ),
    ];
    for (name, _) in names {
        let mut enroll = server.simulate("enroll", directory);
        let output = enroll.args(["--serial", name, "--udid", "U"]).output();
        assert_eq!(output.unwrap().status.code(), Some(1), "{name}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = fs::read_to_string(&log).unwrap();
    let refused = text
        .lines()
        .filter(|line| line.contains("event=\"refused\""));
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused.len(), names.len(), "{text}");
    for (line, (_, written)) in refused.into_iter().zip(names) {
        assert_eq!(line.matches(written).count(), 2, "{written} in {line}");
    }
}
