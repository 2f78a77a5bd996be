//! What is wrong with a server's files, its environment or a command line, and
//! that `config check` and `serve` say so alike.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::{Server, Setup, assay, assert_exit, json_of, message};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// That both commands refuse the server, and say this.
fn refused(server: &Server, parts: &[&str]) -> String {
    let [checked, _] = [&["config", "check"], &SERVE[..]].map(|args| {
        let message = message(&server.assay(args), 2);
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
        message
    });
    checked
}

/// The files under a directory, but for locks.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("lock") {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

fn run(program: &str, dir: &Path, args: &[&str]) {
    let output = Command::new(program).args(args).current_dir(dir).output();
    assert_exit(&output.unwrap(), 0);
}

#[test]
fn a_start_that_is_refused_migrates_nothing() {
    for layout in 1..=6 {
        let server = Server::init(Setup::default());
        let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../testdata/databases/layout-{layout}.tar.gz"));
        fs::remove_dir_all(server.dir().join("db")).unwrap();
        let archive = archive.to_str().unwrap();
        run(
            "tar",
            &server.dir(),
            &["-xzf", archive, "--strip-components=1"],
        );
        let before = files(&server.dir().join("db"));
        // Its CA is another server's. Where it has rested for too long, that is
        // said first.
        for (max_rest, reason) in [
            ("3650d", "is not the CA that issues for the database"),
            ("1h", "more than time.max_rest before"),
        ] {
            server.configure(&format!("time.max_rest = {max_rest:?}"));
            let said = message(&server.assay(SERVE), 2);
            for part in [reason, "was not migrated"] {
                assert!(said.contains(part), "{layout}: {said}");
            }
            assert!(files(&server.dir().join("db")) == before, "{layout}");
        }
    }
}

#[test]
fn an_issuing_ca_for_servers_only_is_named_with_its_file() {
    let server = Server::init(Setup::default());
    for ending in ["pem", "key"] {
        let ca = server.dir().join("ca");
        fs::copy(
            ca.join(format!("tls.{ending}")),
            ca.join(format!("issuing.{ending}")),
        )
        .unwrap();
    }
    let said = refused(
        &server,
        &[
            "ca/issuing.pem is not a CA for certificates of devices",
            "lacks clientAuth",
            "of the right CA",
        ],
    );
    assert!(!said.contains("internal fault"), "{said}");
    assert!(!said.contains("profile.default"), "{said}");
}

/// Replaces the issuing CA by one with these extensions.
fn issue(server: &Server, extensions: &str) {
    let ca = server.dir().join("ca");
    fs::write(
        ca.join("ext"),
        format!(
            "basicConstraints = critical,CA:TRUE,pathlen:0\n\
             keyUsage = critical,keyCertSign\n\
             subjectKeyIdentifier = hash\n\
             authorityKeyIdentifier = keyid\n\
             extendedKeyUsage = clientAuth\n{extensions}\n"
        ),
    )
    .unwrap();
    let request = "req -new -utf8 -key issuing.key -subj /OU=LABORATORY/CN=Assay -out ca.csr";
    let sign = "x509 -req -in ca.csr -CA root.pem -CAkey root.key -days 3000 -set_serial 77 -extfile ext -out issuing.pem";
    for line in [request, sign] {
        run("openssl", &ca, &line.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn an_issuing_ca_that_relying_parties_refuse_is_refused_and_a_constrained_one_a_warning() {
    let server = Server::init(Setup::default());
    issue(&server, "");
    assert_exit(&server.assay(["config", "check"]), 0);
    issue(&server, "1.3.6.1.4.1.99999.1 = critical,ASN1:NULL");
    refused(&server, &["issuing.pem", "1.3.6.1.4.1.99999.1"]);
    issue(
        &server,
        "policyConstraints = critical,requireExplicitPolicy:0",
    );
    refused(&server, &["issuing.pem", "policy constraints"]);
    issue(
        &server,
        "nameConstraints = critical,permitted;dirName:dn\n[dn]\nO=Example",
    );
    let told = json_of(&server.assay(["config", "check", "--json"]));
    let found = told["problems"].as_array().unwrap().iter();
    let mut found = found.filter(|found| found["event"] == "ca_name_constraints");
    let what = found.next().unwrap()["what"].as_str().unwrap();
    assert!(what.contains("issuing.pem has name constraints"), "{what}");
}

#[test]
fn a_variable_that_is_no_text_is_an_error_that_names_it() {
    let server = Server::init(Setup::default());
    let with = |name: &[u8], value: &[u8]| {
        ["config", "serve"].map(|command| {
            let args = match command {
                "config" => &["config", "check"][..],
                _ => &SERVE,
            };
            let mut command = server.command(args);
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
            message(&command.output().unwrap(), 2)
        })
    };
    for (name, value) in [
        (
            "ASSAY_SERVER__BASE_URL",
            b"https://ca\xff.example".as_slice(),
        ),
        ("ASSAY_ADMISSION__MODE", b"any\xff"),
        ("ASSAY_NO__KEY", b"\xff"),
    ] {
        for said in with(name.as_bytes(), value) {
            assert!(said.contains(name), "{said}");
            assert!(said.contains("is not UTF-8 text"), "{said}");
        }
    }
    for said in with(b"ASSAY_SERVER__LISTEN\xff", b"1") {
        assert!(said.contains("ASSAY_SERVER__LISTEN"), "{said}");
    }
    // Others are no matter of the server's.
    let mut command = server.command(["config", "check"]);
    command.env("OTHER", OsStr::from_bytes(b"\xff"));
    assert_exit(&command.output().unwrap(), 0);
}

/// Nothing on the outputs that a terminal would obey but the ends of lines.
fn is_plain(output: &Output) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let bad = |letter: char| letter.is_control() || letter == '\u{202e}';
        assert!(!text.replace('\n', "").contains(bad), "{text:?}");
    }
}

#[test]
fn arguments_reach_no_terminal_as_they_are() {
    let home = tempfile::tempdir().unwrap();
    let evil = "a\u{1b}[31m\u{202e}\u{9b}\nassay: all is well";
    for args in [
        &[evil][..],
        &["--", evil],
        &["orders", "list", "--limit", evil],
        &["orders", "list", "--status", evil],
        &["orders", "list", &format!("--{evil}")],
        &["serve", "--listen", evil],
        &["init", "--base-url", evil],
        &["init", "--name", evil],
        &["inspect", "--at", evil, "x"],
    ] {
        let mut command = assay();
        let output = command.current_dir(home.path()).args(args).output();
        let output = output.unwrap();
        assert_exit(&output, 2);
        is_plain(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("\\u{1b}"), "{text}");
        assert!(
            !text.lines().any(|line| line == "assay: all is well"),
            "{text}"
        );
    }
    let mut invalid = assay();
    let output = invalid.arg(OsStr::from_bytes(b"a\xff\x1b[31m")).output();
    is_plain(&output.unwrap());
    // What is made is named, too.
    let mut command = assay();
    command.args(["simulate", "authority", "a\u{1b}[31mb"]);
    let output = command.current_dir(home.path()).output().unwrap();
    assert_exit(&output, 0);
    is_plain(&output);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("a\\u{1b}[31mb"), "{shown}");
}

#[test]
fn a_ca_has_no_name_with_invisible_characters() {
    let home = tempfile::tempdir().unwrap();
    for name in ["a\u{202e}b", "a\u{200b}b", "a\u{e0041}b", "a\tb"] {
        let mut command = assay();
        command.args(["--dir", "new", "init", "--name", name]);
        let output = command.current_dir(home.path()).output().unwrap();
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        assert_exit(&output, 2);
        assert!(text.contains("control or invisible character"), "{text}");
        assert!(!home.path().join("new").exists());
    }
}

#[test]
fn a_database_without_the_root_of_its_ca_is_not_made() {
    let server = Server::init(Setup::default());
    let other = Server::init(Setup::default());
    let root = server.dir().join("ca/root.pem");
    let right = fs::read(&root).unwrap();
    fs::remove_dir_all(server.dir().join("db")).unwrap();
    fs::remove_file(&root).unwrap();
    let said = message(&server.assay(["init", "--keep-ca"]), 2);
    assert!(said.contains("ca/root.pem is not there"), "{said}");
    fs::copy(other.dir().join("ca/root.pem"), &root).unwrap();
    let said = message(&server.assay(["init", "--keep-ca"]), 2);
    assert!(said.contains("was not issued by the root"), "{said}");
    assert!(!server.dir().join("db").exists());
    fs::write(&root, right).unwrap();
    assert_exit(&server.assay(["init", "--keep-ca"]), 0);
}

#[test]
fn a_database_that_is_empty_or_a_file_is_an_error_before_a_start() {
    let server = Server::init(Setup::default());
    let db = server.dir().join("db");
    fs::remove_dir_all(&db).unwrap();
    fs::create_dir(&db).unwrap();
    refused(&server, &["there is no database in ", "/db"]);
    fs::remove_dir(&db).unwrap();
    fs::write(&db, "").unwrap();
    for args in [&["config", "check"], &SERVE[..]] {
        let said = message(&server.assay(args), 3);
        assert!(said.contains("/db"), "{said}");
        assert!(
            said.contains("a file is where a directory should be"),
            "{said}"
        );
    }
}

#[test]
fn recordings_are_kept_in_no_directory_of_the_servers_by_a_link_either() {
    let server = Server::init(Setup::default());
    let link = server.dir().join("recordings");
    for target in ["db", "db/ledger", "ca", "."] {
        symlink(target, &link).unwrap();
        refused(&server, &["recording.directory", "no place for recordings"]);
        fs::remove_file(&link).unwrap();
    }
    for directory in ["recordings/../db/x", "../assay/ca"] {
        server.configure(&format!("recording.directory = {directory:?}"));
        refused(&server, &["no place for recordings"]);
    }
    server.configure("recording.directory = \"recordings\"");
    fs::create_dir(server.beside("elsewhere")).unwrap();
    symlink(server.beside("elsewhere"), &link).unwrap();
    assert_exit(&server.assay(["config", "check"]), 0);
}
