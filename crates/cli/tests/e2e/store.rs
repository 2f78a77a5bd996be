//! What an operator does with the database: check, repair, backup, restore.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use assay_simulator::CsrRequest;
use serde_json::Value;

use crate::support::{Server, Setup, assay, assert_exit, json_of, mac, message};

const SERIAL: &str = "C02STORE0001";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02STORE0001,,"],
    config: "",
};

/// A server that has issued a certificate.
async fn with_certificate() -> (Server, String) {
    let server = Server::start(SETUP);
    let device = mac(SERIAL);
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    client.certificate(&placed, &csr).await;
    let id = placed.order.rsplit('/').next().unwrap().to_owned();
    (server, id)
}

fn in_dir(dir: &Path, args: &[&str]) -> Output {
    assay().arg("--dir").arg(dir).args(args).output().unwrap()
}

/// What a command wrote to standard error.
fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The files of a server's ledger with this ending.
fn ledger_files(server: &Server, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(server.dir().join("db/ledger"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

/// Flips a bit in the first entry of the last segment.
fn damage(server: &Server) -> PathBuf {
    let file = ledger_files(server, "segment").pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[128 + 70] ^= 1;
    fs::write(&file, bytes).unwrap();
    file
}

#[tokio::test]
async fn a_check_reads_a_running_servers_ledger_and_names_damage() {
    let (mut server, _) = with_certificate().await;
    let whole = server.assay(["store", "check", "--json"]);
    assert_exit(&whole, 0);
    let report = json_of(&whole);
    assert_eq!(
        (&report["whole"], &report["laboratory"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    assert_eq!(report["last"], report["acknowledged"]);
    let text = server.assay(["store", "check"]);
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("whole: checkpoint at commit 0"));

    assert_eq!(server.terminate().code(), Some(0));
    let file = damage(&server);
    let damaged = server.assay(["store", "check", "--json"]);
    assert_exit(&damaged, 1);
    let report: Value = serde_json::from_slice(&damaged.stdout).unwrap();
    assert_eq!(report["damage"][0]["file"], file.to_string_lossy().as_ref());
    assert_eq!(report["damage"][0]["offset"], 128);
    assert_eq!(report["missing"].as_array().unwrap().len(), 1);
    assert!(said(&damaged).contains("`assay store repair`"));
}

#[tokio::test]
async fn damage_is_refused_by_serve_repaired_from_the_index_and_nothing_is_lost() {
    let (mut server, order) = with_certificate().await;
    assert_eq!(server.terminate().code(), Some(0));
    let file = damage(&server);
    // Nothing but the ledger is read without a server.
    let listed = server.assay(["orders", "list"]);
    assert_exit(&listed, 3);
    assert!(said(&listed).contains(&format!("{} is damaged at byte 128", file.display())));
    let repaired = server.assay(["store", "repair", "--json"]);
    assert_exit(&repaired, 0);
    assert_eq!(json_of(&repaired)["outcome"], "repaired");
    assert_exit(&server.assay(["store", "check"]), 0);
    server.restart();
    assert_eq!(server.story(&order)["status"], "valid");
    assert_eq!(server.terminate().code(), Some(0));
    let cleaned = server.assay(["store", "clean", "--json"]);
    assert_eq!(json_of(&cleaned)["removed"][0]["name"], "ledger.damaged-1");
}

#[tokio::test]
async fn damage_of_what_the_index_holds_is_found_by_the_running_server() {
    let (mut server, order) = with_certificate().await;
    assert_eq!(server.terminate().code(), Some(0));
    damage(&server);
    server.restart();
    let event = server
        .process()
        .event(|event| event["event"] == "ledger_damaged");
    assert!(
        event["fault"]
            .as_str()
            .unwrap()
            .contains("is damaged at byte 128"),
        "{event}"
    );
    // Reported before it is logged, and no reason to turn devices away.
    let status = json_of(&server.assay(["status", "--json"]));
    assert_eq!(status["ready"], true);
    assert_eq!(status["parts"]["store"], "failing");
    let reason = status["reasons"]["store"].as_str().unwrap();
    assert!(reason.contains("is damaged at byte 128"), "{reason}");
    // Neither a rebuild nor anything else takes the index away that mends it.
    assert_eq!(server.terminate().code(), Some(0));
    let index = server.dir().join("db/index/note");
    let before = fs::read(&index).unwrap();
    assert_exit(&server.assay(["store", "rebuild"]), 3);
    assert_eq!(fs::read(&index).unwrap(), before);
    let repaired = server.assay(["store", "repair", "--json"]);
    assert_eq!(json_of(&repaired)["outcome"], "repaired");
    server.restart();
    assert_eq!(server.story(&order)["status"], "valid");
}

#[tokio::test]
async fn an_older_ledger_than_the_index_is_refused_and_repaired_from_it() {
    let (mut server, order) = with_certificate().await;
    assert_eq!(server.terminate().code(), Some(0));
    let time = json_of(&server.assay(["store", "check", "--json"]))["time"].clone();
    // The last segment goes, and the watermark is as it was before.
    fs::remove_file(ledger_files(&server, "segment").pop().unwrap()).unwrap();
    fs::write(server.dir().join("db/watermark"), [0; 16]).unwrap();
    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["orders", "list"],
    ] {
        let refused = server.assay(command);
        assert_exit(&refused, 3);
        assert!(
            said(&refused).contains("was acknowledged"),
            "{}",
            said(&refused)
        );
    }
    assert_exit(&server.assay(["store", "check"]), 1);
    let repaired = server.assay(["store", "repair", "--json"]);
    assert_eq!(json_of(&repaired)["outcome"], "repaired");
    // The recorded time is kept, too: the clock is judged by it.
    let checked = json_of(&server.assay(["store", "check", "--json"]));
    assert_eq!(checked["time"], time);
    server.restart();
    assert_eq!(server.story(&order)["status"], "valid");
}

#[tokio::test]
async fn a_loss_is_accepted_only_where_the_index_does_not_reach() {
    let (mut server, order) = with_certificate().await;
    assert_eq!(server.terminate().code(), Some(0));
    fs::remove_file(ledger_files(&server, "segment").pop().unwrap()).unwrap();
    fs::remove_file(server.dir().join("db/watermark")).unwrap();
    assert_exit(&server.assay(["store", "repair"]), 1);
    let repaired = server.assay(["store", "repair", "--accept-loss", "--json"]);
    assert_eq!(json_of(&repaired)["outcome"], "repaired-with-loss");
    server.restart();
    assert_eq!(server.story(&order)["status"], "valid");
    server
        .process()
        .event(|event| event["event"] == "restored_not_acknowledged");
}

#[tokio::test]
async fn files_of_another_database_are_told_and_never_taken_over() {
    let (mut server, order) = with_certificate().await;
    let (mut other, _) = with_certificate().await;
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(other.terminate().code(), Some(0));
    let own = ledger_files(&server, "checkpoint").pop().unwrap();
    fs::copy(ledger_files(&other, "checkpoint").pop().unwrap(), own).unwrap();
    let checked = server.assay(["store", "check"]);
    assert_exit(&checked, 1);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(text.contains("it is of another database"), "{text}");
    let repaired = server.assay(["store", "repair", "--json"]);
    assert_eq!(json_of(&repaired)["outcome"], "repaired");
    server.restart();
    assert_eq!(server.story(&order)["status"], "valid");
}

#[tokio::test]
async fn a_database_without_its_ledger_is_damaged_and_nothing_is_made() {
    let (mut server, _) = with_certificate().await;
    assert_eq!(server.terminate().code(), Some(0));
    fs::remove_dir_all(server.dir().join("db/ledger")).unwrap();
    let before = names(&server.dir().join("db"));
    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["orders", "list"],
        &["store", "check"],
        &["store", "repair"],
    ] {
        let refused = server.assay(command);
        assert_exit(&refused, 3);
        assert!(
            said(&refused).contains("db/ledger is missing"),
            "{}",
            said(&refused)
        );
    }
    assert_eq!(names(&server.dir().join("db")), before);
    // A number that no database reaches is no watermark.
    fs::write(server.dir().join("db/watermark"), [0xff; 16]).unwrap();
    assert_exit(&server.assay(["store", "check"]), 3);
}

#[tokio::test]
async fn what_cannot_be_repaired_is_given_up_only_on_demand() {
    let (mut server, order) = with_certificate().await;
    assert_eq!(server.terminate().code(), Some(0));
    damage(&server);
    fs::remove_dir_all(server.dir().join("db/index")).unwrap();
    let refused = server.assay(["store", "repair"]);
    assert_exit(&refused, 1);
    assert!(
        said(&refused).contains("there is no index. Nothing was changed."),
        "{}",
        said(&refused)
    );
    let serve = server.assay(["serve", "--listen", "127.0.0.1:0"]);
    assert_exit(&serve, 3);
    assert!(said(&serve).contains("`assay store repair`"));
    let repaired = server.assay(["store", "repair", "--accept-loss"]);
    assert_exit(&repaired, 0);
    assert!(String::from_utf8_lossy(&repaired.stdout).starts_with("lost: commit "));
    server.restart();
    server
        .process()
        .event(|event| event["event"] == "restored_not_acknowledged");
    assert_eq!(server.story(&order)["status"], "valid");
    assert_eq!(server.terminate().code(), Some(0));
    assert_exit(&server.assay(["store", "acknowledge"]), 0);
    let again = server.assay(["store", "acknowledge"]);
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("There is nothing to acknowledge"));
}

#[tokio::test]
async fn commands_that_change_the_database_keep_off_a_running_server() {
    let (server, _) = with_certificate().await;
    for command in [
        &["store", "rebuild"][..],
        &["store", "clean"],
        &["store", "acknowledge"],
    ] {
        let refused = server.assay(command);
        assert_exit(&refused, 2);
        assert!(said(&refused).contains("in use by another process"));
    }
}

#[tokio::test]
async fn scenario_130_a_backup_of_a_running_server_is_restored_and_serves() {
    let (mut server, order) = with_certificate().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("backup.tar");
    let made = server.assay(["backup".as_ref(), file.as_os_str(), "--json".as_ref()]);
    assert_exit(&made, 0);
    let made = json_of(&made);
    assert_eq!(made["keys"], true);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // Nothing is overwritten, and nothing else is left behind.
    assert_exit(&server.assay(["backup".as_ref(), file.as_os_str()]), 2);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);

    let dir = home.path().join("restored");
    let restored = in_dir(&dir, &["restore", file.to_str().unwrap(), "--json"]);
    assert_exit(&restored, 0);
    assert_eq!(json_of(&restored)["sequence"], made["sequence"]);
    let mode = |path: &str| fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(""), mode("ca"), mode("ca/issuing.key")),
        (0o700, 0o700, 0o600)
    );
    let shown = in_dir(&dir, &["orders", "show", &order, "--json"]);
    assert_eq!(json_of(&shown)["status"], "valid");
    let full = in_dir(&dir, &["restore", file.to_str().unwrap()]);
    assert_exit(&full, 2);
    assert!(said(&full).contains("is not empty"));

    // The restored server goes on in the place of the first.
    assert_eq!(server.terminate().code(), Some(0));
    fs::remove_dir_all(server.dir()).unwrap();
    fs::rename(&dir, server.dir()).unwrap();
    server.restart();
    server
        .process()
        .event(|event| event["event"] == "restored_not_acknowledged");
    assert_eq!(server.story(&order)["status"], "valid");
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    client.certificate(&placed, &csr).await;
}

#[tokio::test]
async fn another_issuing_ca_is_refused_until_it_is_accepted() {
    let (mut server, order) = with_certificate().await;
    let other = Server::init(SETUP);
    assert_eq!(server.terminate().code(), Some(0));
    let place = |from: &Path, name: &str| {
        fs::copy(from.join(name), server.dir().join("ca").join(name)).unwrap();
    };
    let own = tempfile::tempdir().unwrap();
    // With its root and all that is under that.
    let set = [
        "root.pem",
        "issuing.pem",
        "issuing.key",
        "tls.pem",
        "tls.key",
    ];
    for name in set {
        fs::copy(server.dir().join("ca").join(name), own.path().join(name)).unwrap();
        place(&other.dir().join("ca"), name);
    }
    let serve = || server.assay(["serve", "--listen", "127.0.0.1:0"]);
    let refused = message(&serve(), 2);
    assert!(refused.contains("is not the CA that issues"), "{refused}");
    assert!(refused.contains("`assay store accept-issuer`"), "{refused}");
    // Where the index is gone, none is made.
    let index = server.dir().join("db/index");
    fs::remove_dir_all(&index).unwrap();
    assert_eq!(message(&serve(), 2), refused);
    assert!(!index.exists());
    // The right one again.
    for name in set {
        place(own.path(), name);
    }
    let nothing = server.assay(["store", "accept-issuer"]);
    assert_exit(&nothing, 0);
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("nothing to accept"));
    // Replaced on purpose.
    for name in set {
        place(&other.dir().join("ca"), name);
    }
    assert_exit(&server.assay(["store", "accept-issuer"]), 0);
    server.restart();
    assert_eq!(server.story(&order)["status"], "valid");
    let refused = message(&server.assay(["store", "accept-issuer"]), 2);
    assert!(refused.contains("in use"), "{refused}");
}

#[tokio::test]
async fn the_servers_own_certificate_is_kept_for_a_rebuild_and_in_no_backup() {
    let (mut server, _) = with_certificate().await;
    let kept = server.dir().join("ca/serving.pem");
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&kept).unwrap();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----"), "{text}");
    assert!(text.ends_with(&server.read("ca/tls.pem")), "{text}");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("backup.tar");
    let made = json_of(&server.assay(["backup".as_ref(), file.as_os_str(), "--json".as_ref()]));
    let left_out = made["left_out"].as_array().unwrap();
    assert!(left_out.contains(&Value::from("ca/serving.pem")), "{made}");
    // What cannot be used is no obstacle.
    assert_eq!(server.terminate().code(), Some(0));
    fs::write(&kept, "garbage").unwrap();
    server.restart();
    server
        .process()
        .event(|event| event["event"] == "tls_not_kept");
    assert_ne!(fs::read_to_string(&kept).unwrap(), "garbage");
}

#[tokio::test]
async fn a_backup_without_keys_holds_none() {
    let (server, order) = with_certificate().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("backup.tar");
    let made = server.assay(["backup".as_ref(), file.as_os_str(), "--no-keys".as_ref()]);
    assert_exit(&made, 0);
    let bytes = fs::read(&file).unwrap();
    let holds = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    assert!(holds(b"assay.toml") && !holds(b"PRIVATE KEY") && !holds(b"mnonce"));
    let dir = home.path().join("restored");
    let restored = in_dir(&dir, &["restore", file.to_str().unwrap()]);
    assert_exit(&restored, 0);
    assert!(String::from_utf8_lossy(&restored.stdout).contains("contains no keys"));
    assert!(!dir.join("ca/issuing.key").exists());
    let shown = in_dir(&dir, &["orders", "show", &order, "--json"]);
    assert_eq!(json_of(&shown)["status"], "valid");
}

/// A tar archive of these entries.
fn archive(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, content) in entries {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000600");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = *kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[tokio::test]
async fn a_damaged_or_hostile_backup_is_refused_and_leaves_nothing() {
    let (server, _) = with_certificate().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("backup.tar");
    assert_exit(&server.assay(["backup".as_ref(), file.as_os_str()]), 0);
    let good = fs::read(&file).unwrap();
    let manifest = |path: &str, len: usize| {
        serde_json::json!({
            "format": 1, "assay": "0.1.0", "created": 1, "laboratory": true, "sequence": 1,
            "time": 1, "keys": true, "files": [{"path": path, "bytes": len}],
        })
        .to_string()
    };
    let hostile = |path: &str, kind: u8| {
        let manifest = manifest(path, 3);
        archive(&[
            ("assay-backup.json", b'0', manifest.as_bytes()),
            (path, kind, b"abc"),
            ("SHA256SUMS", b'0', b""),
        ])
    };
    let mut cases = vec![
        ("empty".to_owned(), Vec::new()),
        ("another file".to_owned(), b"no archive at all".to_vec()),
        ("a parent".to_owned(), hostile("../outside", b'0')),
        (
            "an absolute path".to_owned(),
            hostile("/tmp/assay-outside", b'0'),
        ),
        (
            "a place of the index".to_owned(),
            hostile("db/index/note", b'0'),
        ),
        ("a link".to_owned(), hostile("ca/issuing.pem", b'2')),
        ("a hard link".to_owned(), hostile("ca/issuing.pem", b'1')),
        ("a device".to_owned(), hostile("ca/issuing.pem", b'3')),
        ("without its sum".to_owned(), hostile("assay.toml", b'0')),
    ];
    for part in 1..8 {
        let at = good.len() * part / 8;
        cases.push((format!("cut at {at}"), good[..at].to_vec()));
    }
    // A byte within the content of each file.
    let mut flipped = 0;
    let mut at = 0;
    while good[at..at + 512].iter().any(|byte| *byte != 0) {
        let size = std::str::from_utf8(&good[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        let mut bytes = good.clone();
        bytes[at + 512 + size / 2] ^= 1;
        cases.push((format!("byte {} flipped", at + 512 + size / 2), bytes));
        at += 512 + size.next_multiple_of(512);
        flipped += 1;
    }
    assert!(flipped > 8);
    for (what, bytes) in cases {
        let bad = home.path().join("bad.tar");
        let mut out = fs::File::create(&bad).unwrap();
        out.write_all(&bytes).unwrap();
        let before: Vec<_> = names(home.path());
        let dir = home.path().join("restored");
        let refused = in_dir(&dir, &["restore", bad.to_str().unwrap()]);
        let code = refused.status.code();
        assert!(
            matches!(code, Some(2 | 3)),
            "{what}: {code:?} {}",
            said(&refused)
        );
        assert!(
            said(&refused).contains("cannot"),
            "{what}: {}",
            said(&refused)
        );
        assert!(!dir.exists(), "{what}");
        assert_eq!(names(home.path()), before, "{what}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
