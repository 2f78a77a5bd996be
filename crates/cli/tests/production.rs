//! A server from `init` to `/readyz`, in every build of the binary; and the
//! laboratory's commands, which a build without the feature `lab` refuses.
//! `.ci/production` runs this test in such a build.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use assay_simulator::{HttpClient, Trust};
use hyper::{HeaderMap, Method, body::Bytes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn assay(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.arg("--dir").arg(dir).args(args);
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    assay(dir, args).output().unwrap()
}

/// Killed when the test fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_new_server_is_checked_ready_and_ends() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("assay");
    for args in [
        &["init", "--name", "Example Corp"][..],
        &["config", "check"],
    ] {
        let output = run(&dir, args);
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
    let mut serve = assay(&dir, &["serve", "--listen", "127.0.0.1:0"]);
    let mut server = Server(serve.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .trim_end()
        .strip_prefix("listening on ")
        .and_then(|directory| directory.strip_suffix("/acme/directory"))
        .unwrap_or_else(|| panic!("{line:?}"));
    let root = fs::read_to_string(dir.join("ca/root.pem")).unwrap();
    let mut client = HttpClient::new(Trust::from_pem(&root).unwrap());
    let answer = client
        .request(
            Method::GET,
            &format!("{url}/readyz"),
            HeaderMap::new(),
            Bytes::new(),
        )
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &body["ready"]), (200, &Value::Bool(true)));
    kill_process(Pid::from_child(&server.0), Signal::TERM).unwrap();
    assert!(server.0.wait().unwrap().success());
}

#[cfg(not(feature = "lab"))]
#[test]
fn laboratory_commands_are_refused_and_not_in_the_help() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("assay");
    assert!(run(&dir, &["init", "--laboratory"]).status.success());
    for (args, command) in [
        (&["demo", "--keep"][..], "demo"),
        (&["demo", "--help"], "demo"),
        (&["recording", "anonymise", "a", "b"], "recording"),
        (&["simulate", "forge", "--fault", "list"], "simulate"),
        (&["replay", "--end-to-end", "a.json"], "replay --end-to-end"),
        (&["serve", "--replay", "a.json"], "serve --replay"),
    ] {
        let output = run(&dir, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        let expected = format!(
            "assay {command}: this build has no laboratory commands: build with default features, or with --features lab"
        );
        assert!(message.contains(&expected), "{message}");
    }
    for (args, absent) in [
        (&["--help"][..], &["demo", "simulate", "anonymise"][..]),
        (&["serve", "--help"], &["--replay"]),
        (&["replay", "--help"], &["end-to-end", "--transcript"]),
    ] {
        let help = String::from_utf8(run(&dir, args).stdout).unwrap();
        assert!(help.contains("Usage: assay"), "{help}");
        for word in absent {
            assert!(!help.contains(word), "{word}: {help}");
        }
    }
}
