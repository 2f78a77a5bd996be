//! Commands that fail: their exit codes, and their JSON.

use std::{fs, net::TcpListener, process::Command};

use serde_json::{Value, json};

use crate::support::{Server, Setup, assay, assert_exit, message};

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02FAILS0001,,"],
    config: "",
};

fn document(command: &mut Command, code: i32) -> Value {
    let output = command.output().unwrap();
    let said = message(&output, code);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{command:?}: {text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    if let Some(error) = document["error"].as_object() {
        assert_eq!(error["exit_code"], code, "{command:?}");
        let told = error["message"].as_str().unwrap();
        assert!(told.ends_with(&said), "{said}: {document}");
    }
    document
}

#[test]
fn with_json_a_command_that_fails_prints_one_document() {
    let server = Server::init(SETUP);
    let root = server.root_path();
    let absent = || {
        let mut command = assay();
        command.arg("--dir").arg(server.beside("absent"));
        command
    };
    let with = |mut command: Command, args: &[&str]| {
        command.args(args);
        command
    };
    let nothing = server.beside("nothing");
    let nothing = nothing.to_str().unwrap();
    for (mut command, code) in [
        (server.command(["init", "--json"]), 2),
        (with(absent(), &["orders", "list", "--json"]), 2),
        (with(absent(), &["backup", "--json", nothing]), 2),
        (with(absent(), &["restore", "--json", nothing]), 2),
        (with(absent(), &["store", "check", "--json"]), 2),
        (with(absent(), &["store", "repair", "--json"]), 2),
        (with(absent(), &["store", "clean", "--json"]), 2),
        (server.command(["inspect", "--json", nothing]), 2),
        (
            server.command([
                "inspect",
                "--json",
                root.to_str().unwrap(),
                "--root",
                nothing,
            ]),
            2,
        ),
        (
            server.command(["replay", "--json", "--root", nothing, nothing]),
            2,
        ),
        (
            server.command(["recording", "anonymise", "--json", nothing, nothing]),
            2,
        ),
        (
            server.command([
                "simulate",
                "forge",
                "--json",
                "--fault",
                "none",
                "--out",
                "/nowhere/x",
            ]),
            2,
        ),
        (
            server.command(["orders", "show", "--json", "AAAAAAAAAAAAAAAAAAAAAA"]),
            1,
        ),
    ] {
        let document = document(&mut command, code);
        assert!(document["error"].is_object(), "{command:?}: {document}");
    }
    // A command line that cannot be read.
    let mut command = server.command(["orders", "list", "--json", "--limit", "0"]);
    let output = command.output().unwrap();
    assert_exit(&output, 2);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["error"]["exit_code"], 2);
    let said = document["error"]["message"].as_str().unwrap();
    assert!(said.contains("--limit"), "{said}");
    // Without it, standard output is empty.
    let output = server.command(["orders", "list", "--limit", "0"]).output();
    assert_eq!(output.unwrap().stdout, b"");
}

/// A failure that is a result is documented, and the only document.
#[test]
fn a_result_that_is_a_failure_is_its_own_document() {
    let server = Server::init(SETUP);
    let told = document(&mut server.command(["status", "--json"]), 1);
    assert_eq!(told, json!({"running": false, "ready": false}));
    let config = server.read("assay.toml");
    fs::write(server.dir().join("assay.toml"), "[server\n").unwrap();
    let told = document(&mut server.command(["config", "check", "--json"]), 2);
    fs::write(server.dir().join("assay.toml"), config).unwrap();
    assert_eq!(told["ok"], false, "{told}");
    assert!(told["error"].is_null(), "{told}");
    let segment = fs::read_dir(server.dir().join("db/ledger")).unwrap();
    let segment = segment
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let told = document(&mut server.command(["store", "check", "--json"]), 1);
    assert_eq!(told["whole"], false);
    assert!(told.get("error").is_none(), "{told}");
}

/// As docs/errors.md says.
#[test]
fn exit_codes_are_those_of_the_document() {
    let server = Server::init(SETUP);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(server.beside("garbage"), [0xff; 100]).unwrap();
    let garbage = server.beside("garbage");
    let garbage = garbage.to_str().unwrap();
    for (args, code) in [
        (&["inspect", garbage][..], 1),
        (&["orders", "show", "AAAAAAAAAAAAAAAAAAAAAA"], 1),
        (&["status"], 1),
        (&["serve", "--listen", "nowhere"], 2),
        (&["inspect", "/nowhere"], 2),
        (&["replay", garbage], 2),
        (&["restore", garbage], 2),
        (&["serve", "--listen", &address], 3),
        (&["config", "check"], 0),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        let output = server.assay(args);
        assert_eq!(output.status.code(), Some(code), "{args:?} {output:?}");
    }
    for (file, code) in [("devices.csv", 2), ("ca/issuing.key", 2), ("assay.toml", 2)] {
        let server = Server::init(SETUP);
        fs::remove_file(server.dir().join(file)).unwrap();
        // What is there and is no file cannot be read, by root either.
        for _ in 0..2 {
            for args in [&["serve"][..], &["config", "check"]] {
                let output = server.assay(args);
                assert_eq!(output.status.code(), Some(code), "{file} {output:?}");
            }
            let _ = fs::create_dir(server.dir().join(file));
        }
    }
}
