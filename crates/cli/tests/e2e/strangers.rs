//! Files and names that strangers made: what of them reaches a terminal.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};

use crate::support::{Server, Setup, assay, assert_exit, json_of};

const ROOT: &str = "../../testdata/recordings/laboratory-root.pem";
const RECORDING: &str = "../../testdata/recordings/acme-mac-by-serial.json";

/// Colours, C1 controls, a false line, the direction of text, tags.
const EVIL: &str = "\u{1b}[31m\u{9b}2J\r\nassay: all is well\u{7}\u{202e}\u{200b}\u{e0041}";

type Change<'a> = &'a dyn Fn(&mut Value);

/// Nothing that a terminal would obey, and no line that begins as ours do but
/// the last.
fn assert_tame(output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(stream).unwrap();
        let wild = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{200b}' | '\u{202e}' | '\u{e0000}'..='\u{e007f}')
        };
        assert!(!text.contains(wild), "{text:?}");
        let false_line = |line: &str| line.starts_with("assay: all is well");
        assert!(!text.lines().any(false_line), "{text:?}");
    }
}

fn run(args: &[&OsStr], code: i32) -> Output {
    let output = assay().args(args).output().unwrap();
    assert_exit(&output, code);
    assert_tame(&output);
    output
}

/// The arguments, the path among them in the place of "@".
fn with<'a>(args: &'a [&'a str], path: &'a Path) -> Vec<&'a OsStr> {
    let place = |arg: &&'a str| match *arg {
        "@" => path.as_os_str(),
        arg => OsStr::new(arg),
    };
    args.iter().map(place).collect()
}

#[test]
fn names_of_files_are_shown_and_not_obeyed() {
    let home = tempfile::tempdir().unwrap();
    let mut bytes = EVIL.replace('/', "").into_bytes();
    bytes.push(0xff);
    let name: OsString = OsStr::from_bytes(&bytes).to_owned();
    let path = home.path().join(&name);
    let missing = [
        (&["inspect", "@"][..], 2),
        (&["inspect", "--json", "@"], 2),
        (&["replay", "@"], 2),
        (&["replay", "--json", "@"], 2),
        (&["replay", "--end-to-end", "@"], 2),
        (&["replay", "--root", "@", RECORDING], 2),
        (&["recording", "anonymise", "@", "/nowhere"], 2),
        (&["recording", "anonymise", "--json", "@", "/nowhere"], 2),
    ];
    for (args, code) in missing {
        run(&with(args, &path), code);
    }
    // A folder of that name, without a recording.
    fs::create_dir(&path).unwrap();
    run(&with(&["replay", "@"], &path), 2);
    run(&with(&["inspect", "@"], &path), 2);
    for args in [
        &["replay", "--root", ROOT, RECORDING, "--junit", "@"][..],
        &["recording", "anonymise", "--root", ROOT, RECORDING, "@"],
    ] {
        let output = assay().args(with(args, &path)).output().unwrap();
        assert!(matches!(output.status.code(), Some(2 | 3)), "{output:?}");
        assert_tame(&output);
    }
    // And two that would write one transcript.
    let files: Vec<PathBuf> = ["a", "b"]
        .map(|folder| {
            let folder = path.join(folder);
            fs::create_dir(&folder).unwrap();
            let mut name = name.clone();
            name.push(".json");
            fs::copy(RECORDING, folder.join(&name)).unwrap();
            folder.join(name)
        })
        .to_vec();
    let transcripts = path.join("transcripts");
    let mut args = with(
        &[
            "replay",
            "--end-to-end",
            "--root",
            ROOT,
            "--transcript",
            "@",
        ],
        &transcripts,
    );
    args.extend(files.iter().map(|file| file.as_os_str()));
    run(&args, 2);
}

#[test]
fn a_name_that_is_not_utf8_is_as_good_as_any() {
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join(OsStr::from_bytes(b"in\xff.json"));
    fs::copy(RECORDING, &input).unwrap();
    let roots = ["--root", ROOT, "--json"].map(OsStr::new);
    for command in [&["replay"][..], &["replay", "--end-to-end"]] {
        let mut args: Vec<_> = command.iter().map(OsStr::new).collect();
        args.extend(roots);
        args.push(input.as_os_str());
        let told: Value = serde_json::from_slice(&run(&args, 0).stdout).unwrap();
        assert_eq!(told["totals"]["same"], 1);
    }
    let output = home.path().join(OsStr::from_bytes(b"out\xff.json"));
    let mut args: Vec<_> = ["recording", "anonymise"].map(OsStr::new).to_vec();
    args.extend(roots);
    args.extend([input.as_os_str(), output.as_os_str()]);
    let told: Value = serde_json::from_slice(&run(&args, 0).stdout).unwrap();
    assert!(told["out"].as_str().unwrap().ends_with("out\u{fffd}.json"));
    assert!(output.is_file());
}

#[test]
fn texts_of_recordings_are_shown_and_not_obeyed() {
    let good: Value = serde_json::from_str(&fs::read_to_string(RECORDING).unwrap()).unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("evil.json");
    let server = Server::init(Setup::default());
    let changes: [(Change<'_>, i32); 4] = [
        (&|file| file[EVIL] = json!(1), 2),
        (&|file| file["source"] = json!(EVIL), 2),
        (&|file| file["facts"]["model"] = json!(EVIL), 1),
        (&|file| file["verdict"]["outcome"] = json!(EVIL), 1),
    ];
    for (change, code) in changes {
        let mut file = good.clone();
        change(&mut file);
        fs::write(&path, file.to_string()).unwrap();
        for args in [
            &["replay", "--root", ROOT, "@"][..],
            &["replay", "--root", ROOT, "--json", "@"],
            &["recording", "anonymise", "--root", ROOT, "@", "/nowhere"],
        ] {
            run(&with(args, &path), code);
        }
        if code == 2 {
            let output = server.assay(with(&["serve", "--replay", "@"], &path));
            assert_exit(&output, 2);
            assert_tame(&output);
        }
    }
    let mut file = good;
    file["admission"]["value"] = json!(EVIL);
    fs::write(&path, file.to_string()).unwrap();
    run(
        &with(&["replay", "--root", ROOT, "--end-to-end", "@"], &path),
        1,
    );
}

#[test]
fn reports_and_transcripts_spare_what_is_not_theirs() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let recording = fs::read(RECORDING).unwrap();
    for name in ["..json", "one.json", "two.http"] {
        fs::write(at(name), &recording).unwrap();
    }
    // A transcript's name may be taken, by a link that leads elsewhere.
    let precious = home.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    std::os::unix::fs::symlink(&precious, at("one.http")).unwrap();
    let folder = home.path().to_str().unwrap();
    let play = [
        "replay",
        "--end-to-end",
        "--root",
        ROOT,
        "--transcript",
        folder,
        "@",
    ];
    for file in [home.path(), &at("two.http")] {
        run(&with(&play, file), 0);
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(fs::read(at("two.http")).unwrap(), recording);
    for name in ["..http", "one.http", "two.http.http"] {
        let sent = fs::read_to_string(at(name)).unwrap();
        assert!(sent.ends_with("-----END CERTIFICATE-----\n"), "{name}");
    }
    // One that cannot be written ends the run, after what was played is told.
    fs::remove_file(at("one.http")).unwrap();
    fs::create_dir(at("one.http")).unwrap();
    let output = run(&with(&play, home.path()), 3);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("1 recordings end to end: 1 the same"),
        "{told}"
    );

    let junit = ["replay", "--root", ROOT, "@", "--junit", "@"];
    run(&with(&junit, &at("one.json")), 2);
    assert_eq!(fs::read(at("one.json")).unwrap(), recording);
}

#[test]
fn a_devices_key_is_its_own_whatever_was_there() {
    let server = Server::start(Setup {
        devices: &["C02STRANGER1,,"],
        ..Setup::default()
    });
    let out = server.beside("device");
    fs::create_dir(&out).unwrap();
    let precious = server.beside("precious");
    fs::write(&precious, "precious").unwrap();
    fs::write(out.join("cert.pem"), "old").unwrap();
    std::os::unix::fs::symlink(&precious, out.join("key.pem")).unwrap();
    let mut enroll = server.simulate("enroll", &server.process().directory);
    enroll.args(["--serial", "C02STRANGER1", "--udid", "00008112-0", "--out"]);
    assert_exit(&enroll.arg(&out).output().unwrap(), 0);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    let key = out.join("key.pem").symlink_metadata().unwrap();
    assert!(key.is_file());
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    // A folder in the way is found before a certificate is issued.
    fs::remove_file(out.join("chain.pem")).unwrap();
    fs::create_dir(out.join("chain.pem")).unwrap();
    let refused = enroll.output().unwrap();
    assert_exit(&refused, 2);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("chain.pem is a folder"), "{told}");
    let orders = server.assay(["orders", "list", "--json"]);
    assert_eq!(json_of(&orders)["orders"].as_array().unwrap().len(), 1);
}

#[test]
fn a_pipe_holds_nobody_up() {
    let home = tempfile::tempdir().unwrap();
    let pipe = home.path().join("pipe.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    for args in [
        &["inspect", "@"][..],
        &["replay", "@"],
        &["recording", "anonymise", "@", "/nowhere"],
    ] {
        let output = run(&with(args, &pipe), 2);
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("is not a regular file"), "{told}");
    }
}

#[test]
fn broken_pem_is_not_quoted() {
    let server = Server::init(Setup::default());
    let secret = "c2VjcmV0".repeat(2000);
    for broken in [
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n"),
        format!("-----BEGIN {secret}\n"),
    ] {
        let broken_pem = server.dir().join("broken.pem");
        fs::write(&broken_pem, &broken).unwrap();
        fs::set_permissions(&broken_pem, fs::Permissions::from_mode(0o600)).unwrap();
        fs::copy(
            server.dir().join("ca/tls.pem"),
            server.dir().join("good.pem"),
        )
        .unwrap();
        server.configure(
            "[server]\ntls = \"files\"\ntls_certificate = \"good.pem\"\ntls_key = \"broken.pem\"",
        );
        let pem = server.dir().join("broken.pem");
        for (output, code) in [
            (server.assay(["config", "check"]), 2),
            (server.assay(with(&["inspect", "@"], &pem)), 1),
            (
                server.assay(with(&["replay", "--root", "@", RECORDING], &pem)),
                2,
            ),
        ] {
            assert_exit(&output, code);
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(told.len() < 800 && told.contains("broken.pem"), "{told}");
            // Neither as text nor as a list of numbers.
            assert!(!told.contains("c2Vj") && !told.contains("99, 50"), "{told}");
        }
    }
}
