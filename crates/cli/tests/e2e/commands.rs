//! The commands as operators use them: exit codes, help, JSON.

use std::{
    collections::BTreeSet, fs, net::TcpListener, os::unix::fs::PermissionsExt, process::Command,
};

use serde_json::{Value, json};

use crate::support::{Server, Setup, Shared, assay, assert_exit, json_of, message};

const SERIAL: &str = "C02OPERATE01";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02OPERATE01,,"],
    config: "",
};

static SERVER: Shared = Shared::new(SETUP);

fn enroll(server: &Server, directory: &str, serial: &str) -> Command {
    let mut command = server.simulate("enroll", directory);
    command.args(["--udid", "00008112-0", "--serial", serial]);
    command
}

/// Few open files: the runtime, a library, panics then.
#[test]
fn a_machine_without_room_is_a_fault_that_is_told() {
    let limited = |args: &str| {
        let binary = env!("CARGO_BIN_EXE_assay");
        let script = format!("ulimit -n 6; exec {binary} {args}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("RUST_BACKTRACE", "0");
        shell.output().unwrap()
    };
    let output = limited("demo");
    assert_exit(&output, 3);
    let told = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert!(
        lines[0].starts_with("assay: a fault of the program at "),
        "{told}"
    );
    assert!(
        lines[1].starts_with("assay: the program panicked: "),
        "{told}"
    );
    assert_eq!(lines.len(), 2, "{told}");
    // What needs no runtime of threads and sockets goes on.
    let recordings =
        "--root ../../testdata/recordings/laboratory-root.pem ../../testdata/recordings";
    assert_exit(&limited(&format!("replay --end-to-end {recordings}")), 0);
}

#[test]
fn init_overwrites_nothing() {
    let server = Server::init(SETUP);
    let read = || {
        [
            "assay.toml",
            "devices.csv",
            "ca/root.key",
            "ca/issuing.key",
            "ca/root.pem",
        ]
        .map(|file| server.read(file))
    };
    let before = read();
    let output = server.assay(["init"]);
    let message = message(&output, 2);
    assert!(
        message.contains("is not empty: nothing is ever overwritten"),
        "{message}"
    );
    assert_eq!(read(), before);
    let left: Vec<_> = fs::read_dir(server.dir().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        BTreeSet::from_iter(left),
        BTreeSet::from(["assay".to_owned(), "authority".to_owned()])
    );
}

#[test]
fn init_keeps_what_is_secret_from_others() {
    let server = Server::init(SETUP);
    let mode = |path: &str| {
        let path = server.dir().join(path);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("ca")), (0o700, 0o700));
    for key in ["root", "issuing", "tls"] {
        assert_eq!(mode(&format!("ca/{key}.key")), 0o600);
    }
    let key = server.dir().join("ca/issuing.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let message = message(&server.assay(["config", "check"]), 2);
    assert!(
        message.contains("can be read by every user (mode 644)"),
        "{message}"
    );
}

#[tokio::test]
async fn exit_codes_tell_refusal_usage_and_fault_apart() {
    let server = SERVER.server();
    let directory = &server.process().directory;
    // 1: refused, or not there.
    let output = enroll(&server, directory, "C02STRANGER").output().unwrap();
    let refusal = message(&output, 1);
    assert!(refusal.contains("rejectedIdentifier"), "{refusal}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["result"], &told["status"]),
        (&json!("refused"), &json!(403))
    );
    assert_eq!(
        told["problem"]["type"],
        "urn:ietf:params:acme:error:rejectedIdentifier"
    );
    let unknown = message(
        &server.assay(["orders", "show", "AAAAAAAAAAAAAAAAAAAAAA"]),
        1,
    );
    assert!(unknown.contains("no such order"), "{unknown}");
    // 2: usage and configuration.
    assert_eq!(assay().output().unwrap().status.code(), Some(2));
    assert_eq!(
        assay().arg("sreve").output().unwrap().status.code(),
        Some(2)
    );
    let output = assay()
        .arg("--dir")
        .arg(server.beside("absent"))
        .arg("serve")
        .output();
    let absent = message(&output.unwrap(), 2);
    assert!(
        absent.contains("create a server there with `assay --dir"),
        "{absent}"
    );
    // 3: the network, the machine. The port is bound and never served.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let other = Server::init(SETUP);
    let fault = message(&other.assay(["serve", "--listen", &address.to_string()]), 3);
    assert!(
        fault.contains(&format!("cannot listen on {address}")),
        "{fault}"
    );
    drop(taken);
    // Nobody listens on port 1.
    let nobody = "https://localhost:1/acme/directory";
    let output = enroll(&server, nobody, SERIAL).output().unwrap();
    message(&output, 3);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["result"], &told["status"]),
        (&json!("fault"), &Value::Null)
    );
}

#[test]
fn json_is_one_document_on_standard_output() {
    let server = SERVER.server();
    let dir = server.beside("made");
    let output = assay()
        .arg("--dir")
        .arg(&dir)
        .args(["init", "--json"])
        .output()
        .unwrap();
    assert_eq!(
        json_of(&output),
        json!({
            "dir": dir,
            "laboratory": false,
            "root_certificate": dir.join("ca/root.pem"),
            "root_key": dir.join("ca/root.key"),
            "issuing_certificate": dir.join("ca/issuing.pem"),
            "devices": dir.join("devices.csv"),
        })
    );
    fs::remove_dir_all(&dir).unwrap();
    let directory = &server.process().directory;
    let told = json_of(&enroll(&server, directory, SERIAL).output().unwrap());
    assert_eq!(told["result"], "enrolled");
}

#[test]
fn a_simulated_fleet_enrols() {
    let server = Server::start(Setup {
        init: &["--admission", "any-attested"],
        ..SETUP
    });
    let mut command = server.simulate("load", &server.process().directory);
    command.args(["--devices", "12", "--concurrency", "4"]);
    let told = json_of(&command.output().unwrap());
    assert_eq!(
        (&told["devices"], &told["enrolled"]),
        (&json!(12), &json!(12))
    );
    assert_eq!((&told["refused"], &told["faults"]), (&json!(0), &json!(0)));
    let issued = server.process().log();
    let issued = issued.iter().filter(|event| event["event"] == "issued");
    assert_eq!(issued.count(), 12);
}
