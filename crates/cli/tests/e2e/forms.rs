//! Evidence in any form: what `inspect` and `recording import` do with it.

#[path = "../../../recording/tests/samples/mod.rs"]
#[allow(unreachable_pub, reason = "two tests share it")]
mod samples;
mod table;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use assay_recording::Recording;
use assay_simulator::authority::AttestationAuthority;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use self::samples::{Source, chain_of, pem, samples};
use crate::support::{assay, assert_exit, json_of, message};

/// As in testdata/evidence/manifest.json.
const TOKEN: &str = "laboratory-token-whose-digest-is-as-DERG46I";
const SERIAL: &str = "C02XK0AAJHD2";
const THEN: &str = "2026-11-18T11:26:40Z";
const SENT: &str = "2026-11-18T10:00:00Z";

/// A folder with the root, and the forms of one Mac's evidence.
struct Bench {
    dir: TempDir,
    source: Source,
}

impl Bench {
    fn new() -> Self {
        let read = |path: &str| {
            let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
            fs::read(testdata.join(path)).unwrap()
        };
        let object = read("evidence/good/mac.cbor");
        let source = Source {
            chain: chain_of(&object),
            object,
            token: TOKEN.to_owned(),
            serial: SERIAL.to_owned(),
            udid: "00008112-000A1B2C3D4E5F60".to_owned(),
            csr: read("csr/good/subject.der"),
            time: THEN.to_owned(),
            nonce: (nonce(), SENT.to_owned()),
            root: read("evidence/root.der"),
        };
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
            source,
        };
        bench.write(
            "root.pem",
            pem("CERTIFICATE", &bench.source.root).as_bytes(),
        );
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes the form of this name into a file.
    fn form(&self, name: &str) -> PathBuf {
        let samples = samples(&self.source);
        let sample = samples.iter().find(|one| one.name == name);
        let sample = sample.unwrap_or_else(|| panic!("no form {name:?}"));
        self.write("form", &sample.bytes)
    }

    /// Runs a command in this folder.
    fn run(&self, command: &[&str], file: &Path, args: &[&str]) -> Output {
        let mut assay = assay();
        assay.current_dir(self.dir.path());
        assay.args(command).arg(file).args(args).output().unwrap()
    }

    fn import(&self, form: &str, args: &[&str]) -> Output {
        let file = self.form(form);
        self.run(&["recording", "import", "--json"], &file, args)
    }

    fn inspect(&self, form: &str, args: &[&str]) -> Value {
        let file = self.form(form);
        json_of(&self.run(&["inspect", "--json"], &file, args))
    }
}

/// The freshness code of the token, as a nonce.
fn nonce() -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(TOKEN))
}

#[test]
fn scenario_122_an_imported_har_is_judged_and_replays_the_same() {
    let bench = Bench::new();
    let output = bench.import("HAR", &["out.json", "--root", "root.pem"]);
    assert_exit(&output, 0);
    let report = &json_of(&output)["recordings"][0];
    assert_eq!(report["verdict"]["outcome"], "accepted");
    assert_eq!(report["facts"]["serial"], SERIAL);
    assert_eq!(report["source"], "acme");
    assert_eq!(report["place"], "entry 3");
    // The HAR's clock has an offset.
    assert_eq!(report["time"], THEN);
    assert_eq!(report["notes"], json!([]));
    let recording = Recording::parse(&fs::read(bench.path("out.json")).unwrap()).unwrap();
    assert_eq!(
        recording.embedded_root(),
        Some(bench.source.root.as_slice())
    );

    let replay = bench.run(
        &["replay", "--json"],
        Path::new("out.json"),
        &["--root", "root.pem"],
    );
    assert_exit(&replay, 0);
    assert_eq!(json_of(&replay)["totals"]["same"], 1);
    // The CSR came from the HAR, too: it is for another key.
    let args = ["--root", "root.pem", "--end-to-end", "--allow-refused-csr"];
    let replay = bench.run(&["replay", "--json"], Path::new("out.json"), &args);
    assert_eq!(json_of(&replay)["results"][0]["end"], "csr-refused");
    let replay = bench.run(&["replay"], Path::new("out.json"), &args[..3]);
    assert_exit(&replay, 1);
}

#[test]
fn scenario_122_an_imported_mdm_answer_is_judged_and_replays_the_same() {
    let bench = Bench::new();
    let hex: String = Sha256::digest(TOKEN)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for (form, nonce) in [
        ("DeviceInformation answer, XML", nonce()),
        ("DeviceInformation answer, binary", hex),
    ] {
        let args = [
            "out.json", "--force", "--root", "root.pem", "--at", THEN, "--nonce", &nonce, "--sent",
            SENT,
        ];
        let output = bench.import(form, &args);
        assert_exit(&output, 0);
        let report = &json_of(&output)["recordings"][0];
        assert_eq!(report["source"], "device-information");
        assert_eq!(report["verdict"]["freshness"], "fresh");
        let replay = bench.run(
            &["replay", "--json"],
            Path::new("out.json"),
            &["--root", "root.pem"],
        );
        assert_eq!(json_of(&replay)["totals"]["same"], 1, "{form}");
    }
}

#[test]
fn what_a_form_lacks_is_named_with_its_option() {
    let bench = Bench::new();
    let error = |form: &str, args: &[&str], code| {
        let output = bench.import(form, &[args, &["out.json"]].concat());
        assert!(!bench.path("out.json").exists(), "{form}");
        message(&output, code)
    };
    for (form, args, says) in [
        (
            "CBOR",
            &[][..],
            "the form lacks the challenge's token: give --token; and the device that was ordered for: give --serial or --udid (the evidence says serial number \"C02XK0AAJHD2\" and UDID \"00008112-000A1B2C3D4E5F60\", not verified)",
        ),
        (
            "CBOR",
            &["--token", TOKEN],
            "the form lacks the device that was ordered for: give --serial or --udid",
        ),
        (
            "CBOR",
            &["--nonce", "00", "--sent", "0"],
            "an attestation object answers an ACME challenge: give --token, not --nonce",
        ),
        (
            "DeviceInformation answer, XML",
            &[],
            "the form lacks the nonce that was sent to the device: give --nonce; and when it was sent: give --sent",
        ),
        (
            "DeviceInformation answer, XML",
            &["--token", TOKEN],
            "a DeviceInformation answer has no token",
        ),
        (
            "PEM",
            &[],
            "the form lacks what the evidence answers: give --nonce and --sent",
        ),
        (
            "HAR",
            &["--pick", "2"],
            "--pick 2: the input has 1 pieces, numbered from 1",
        ),
    ] {
        let error = error(form, args, 2);
        assert!(error.contains(says), "{form}: {error}");
    }
    let identifier = "for the device";
    assert!(!error("CBOR", &["--serial", SERIAL], 2).contains(identifier));
    let dump = error("text dump", &[], 1);
    assert!(
        dump.contains("a text dump holds no certificate: "),
        "{dump}"
    );
    let csr = error("CSR, PEM", &[], 1);
    assert!(csr.contains("this is a CSR, no evidence"), "{csr}");
    // Clap names what belongs together.
    let output = bench.import("PEM", &["--nonce", "00"]);
    assert_exit(&output, 2);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("required") && error.contains("--sent"),
        "{error}"
    );
}

#[test]
fn nothing_is_overwritten_without_force_and_nothing_is_left_behind() {
    let bench = Bench::new();
    let args = ["out.json", "--root", "root.pem"];
    bench.write("out.json", b"mine");
    let output = bench.import("HAR", &args);
    let error = message(&output, 2);
    assert!(
        error.contains("out.json exists, and nothing was written"),
        "{error}"
    );
    assert_eq!(fs::read(bench.path("out.json")).unwrap(), b"mine");
    // Of several none is written if one is there.
    bench.write("out-2.json", b"mine");
    assert_exit(&bench.import("HAR with two enrolments", &args), 2);
    assert!(!bench.path("out-1.json").exists());

    let forced = [&args[..], &["--force"]].concat();
    let output = bench.import("HAR with two enrolments", &forced);
    assert_exit(&output, 0);
    for name in ["out-1.json", "out-2.json"] {
        let file = fs::read(bench.path(name)).unwrap();
        assert!(Recording::parse(&file).is_ok(), "{name}");
    }
    assert_eq!(fs::read(bench.path("out.json")).unwrap(), b"mine");
    let picked = [&forced[..], &["--pick", "2"]].concat();
    let output = bench.import("HAR with two enrolments", &picked);
    let report = json_of(&output);
    assert_eq!(report["recordings"].as_array().unwrap().len(), 1);
    assert_eq!(report["recordings"][0]["piece"], 2);
    assert!(Recording::parse(&fs::read(bench.path("out.json")).unwrap()).is_ok());
    let mut names: Vec<_> = fs::read_dir(bench.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["form", "out-1.json", "out-2.json", "out.json", "root.pem"]
    );
}

#[test]
fn without_out_the_verdict_is_shown_and_nothing_is_written() {
    let bench = Bench::new();
    let file = bench.form("HAR");
    let output = bench.run(&["recording", "import"], &file, &["--root", "root.pem"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let first = "Wrote nothing, because no OUT was given: source acme, judged at 2026-11-18T11:26:40Z: accepted.\nRead as: har > jws > base64 > challenge-response > base64 > cbor\nThe evidence attests:\n";
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.contains("\n  serial             C02XK0AAJHD2\n"),
        "{text}"
    );
    // Evidence that is refused is recorded as well.
    let refused = json_of(&bench.import("HAR", &["out.json"]));
    let verdict = &refused["recordings"][0]["verdict"];
    assert_eq!(verdict["reason"], "unknown-anchor");
    assert!(bench.path("out.json").exists());
}

#[test]
fn certificates_of_a_challenge_become_an_object_again() {
    let bench = Bench::new();
    let args = [
        "out.json", "--root", "root.pem", "--at", THEN, "--token", TOKEN, "--serial", SERIAL,
    ];
    let output = bench.import("PEM, root's side first", &args);
    assert_exit(&output, 0);
    let report = &json_of(&output)["recordings"][0];
    assert_eq!(report["verdict"]["outcome"], "accepted");
    let notes: Vec<_> = (report["notes"].as_array().unwrap().iter())
        .map(|note| note["note"].as_str().unwrap())
        .collect();
    assert_eq!(notes, ["reversed", "object-rebuilt"]);
}

#[test]
fn a_recording_is_inspected_and_imported_with_what_it_has() {
    let bench = Bench::new();
    // Token, time and root are the file's.
    let report = bench.inspect("recording", &[]);
    assert_eq!(report["verified"], true, "{report}");
    assert_eq!(report["verdict"]["at"], THEN);
    let notes: Vec<_> = (report["notes"].as_array().unwrap().iter())
        .map(|note| note["note"].as_str().unwrap())
        .collect();
    assert_eq!(notes, ["recorded-time", "embedded-root"]);
    assert_eq!(report["hints"]["token"], TOKEN);
    let report = bench.inspect("recording of a DeviceInformation answer", &[]);
    assert_eq!(report["verified"], true, "{report}");
    // A root of one's own wins.
    let other = AttestationAuthority::create(1_795_000_000).unwrap();
    bench.write("other.pem", other.root_pem().as_bytes());
    let report = bench.inspect("recording", &["--root", "other.pem"]);
    assert_eq!(report["verdict"]["facts"]["chain"]["outcome"], "failed");
    // So does a token.
    let report = bench.inspect("recording", &["--token", "another"]);
    let freshness = &report["verdict"]["facts"]["freshness"];
    assert_eq!(freshness["fault"]["reason"], "freshness-mismatch");

    let output = bench.import("recording", &["out.json"]);
    let report = &json_of(&output)["recordings"][0];
    assert_eq!(report["verdict"]["outcome"], "accepted");
    assert_eq!(report["embedded_root_trusted"], true);
    // The account stays the recorded one.
    let file = fs::read_to_string(bench.path("out.json")).unwrap();
    assert!(
        file.contains("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"),
        "{file}"
    );
}

#[test]
fn inspect_goes_on_with_a_reversed_order_and_says_what_is_missing() {
    let bench = Bench::new();
    let file = bench.form("PEM, root's side first");
    let output = bench.run(&["inspect"], &file, &["--at", THEN, "--root", "root.pem"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let first = "Read as: pem\nNote: the order looks reversed: the leaf is first here\nThe form lacks the nonce that was sent to the device: give --nonce\n\nChain, 2 certificates\nNOT VERIFIED, but genuine under the laboratory root root.pem";
    assert!(text.starts_with(first), "{text}");
    let args = ["--at", THEN, "--root", "root.pem", "--nonce", &nonce()];
    for form in ["PEM, root's side first", "CBOR", "PKCS #7, PEM"] {
        let report = bench.inspect(form, &args);
        assert_eq!(report["verified"], true, "{form}: {report}");
        assert_eq!(report["lacks"].as_array().unwrap().len(), 0, "{form}");
    }
    for nonce in ["00", &"00".repeat(32)] {
        let report = bench.inspect("CBOR", &["--at", THEN, "--nonce", nonce]);
        let freshness = &report["verdict"]["facts"]["freshness"];
        assert_eq!(
            freshness["fault"]["reason"], "freshness-mismatch",
            "{nonce}"
        );
    }
    let report = bench.inspect("PEM, leaf alone", &[]);
    assert_eq!(report["notes"][0]["note"], "leaf-only");
}

#[test]
fn inspect_shows_every_piece_or_the_picked_one() {
    let bench = Bench::new();
    let report = bench.inspect("HAR with two enrolments", &["--at", THEN]);
    assert_eq!(report["pieces"], 2);
    assert_eq!(report["place"], "entry 3");
    assert_eq!(report["others"][0]["place"], "entry 8");
    assert_eq!(report["others"][0]["kind"], "attestation-object");
    let report = bench.inspect("HAR with two enrolments", &["--pick", "2"]);
    assert_eq!(
        (&report["piece"], &report["others"]),
        (&2.into(), &Value::Null)
    );
    let file = bench.form("HAR with two enrolments");
    let output = bench.run(&["inspect"], &file, &["--at", THEN, "--root", "root.pem"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["Piece 1 of 2, entry 3", "Piece 2 of 2, entry 8"] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    assert_eq!(text.matches("\nVERIFIED at ").count(), 2, "{text}");
    assert_exit(&bench.run(&["inspect"], &file, &["--pick", "3"]), 2);
}

#[test]
fn standard_input_is_a_file_of_any_form() {
    let bench = Bench::new();
    let log = fs::read(bench.form("log line with a JWS")).unwrap();
    for command in [
        &["inspect"][..],
        &["recording", "import", "--token", TOKEN, "--serial", SERIAL],
    ] {
        let mut child = assay()
            .args(command)
            .args(["--json", "--at", THEN, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&log).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_exit(&output, 0);
        let report = json_of(&output);
        let place = report
            .pointer("/place")
            .or_else(|| report.pointer("/recordings/0/place"));
        assert_eq!(place, Some(&"line 1".into()), "{report}");
    }
}

/// What an untrusted client wrote into a form reaches no terminal as it is.
#[test]
fn hints_are_escaped() {
    let bench = Bench::new();
    let har = fs::read_to_string(bench.form("HAR")).unwrap();
    let evil = har.replace("https://ca.example/acme/chall", "\\u001b]0;x\\u0007/chall");
    let list = format!("[{evil},{evil}]").replace(SERIAL, "\\u202e\\u009b2J");
    let file = bench.write("evil", list.as_bytes());
    for command in [
        &["inspect"][..],
        &["inspect", "--json"],
        &["recording", "import"],
    ] {
        let output = bench.run(
            command,
            &file,
            &["--serial", SERIAL][..if command[0] == "inspect" { 0 } else { 2 }],
        );
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let found = text
            .chars()
            .find(|letter| (letter.is_control() && *letter != '\n') || *letter == '\u{202e}');
        assert_eq!(found, None, "{command:?}: {text}");
    }
}

#[test]
fn evidence_of_another_device_than_the_form_names_is_pointed_out() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/recordings");
    let root = format!("{committed}/laboratory-root.pem");
    let inspect = |name: &str| {
        let mut command = assay();
        command.args(["inspect", "--json", "--root", &root]);
        let output = command.arg(format!("{committed}/{name}")).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let notes = report["notes"].as_array().unwrap();
        notes.iter().any(|note| note["note"] == "other-device")
    };
    assert!(inspect("acme-other-device.json"));
    assert!(!inspect("acme-mac-by-serial.json"));
    assert!(!inspect("acme-mac-by-udid.json"));
}
