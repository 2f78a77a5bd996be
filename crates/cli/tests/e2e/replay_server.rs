//! `assay serve --replay`: a recorded enrolment for other people's clients.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use assay_recording::{Evidence, Rule, Verdict};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    Certificate, Client, Process, Recorded, Server, Setup, assay, assert_exit, assert_problem,
    json_of, message,
};

fn start(server: &Server, recorded: &Recorded, args: &[&str]) -> Process {
    let file = recorded.write_good("good.json");
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0", "--replay"]);
    command.arg(file).args(args);
    Process::serve(command)
}

async fn client(server: &Server, process: &Process) -> Client {
    let origin = format!("https://{}", process.address.unwrap());
    let root = server.read("ca/root.pem");
    let mut client = Client::connect(&process.directory, &origin, &root).await;
    assert_eq!(client.acme.new_account().await.unwrap().status, 201);
    client
}

fn answer_of(recorded: &Recorded) -> Value {
    json!({"attObj": BASE64URL_NOPAD.encode(&recorded.object())})
}

#[tokio::test]
async fn scenario_123_a_laboratory_server_plays_a_recording_to_a_client() {
    let mut server = Server::init(Setup::default());
    let recorded = Recorded::new();
    let process = start(&server, &recorded, &["--trust-embedded-roots"]);
    let loud = process.event(|event| event["event"] == "replay");
    assert_eq!(loud["level"], "WARN");
    assert_eq!(loud["token"], Recorded::TOKEN);
    assert_eq!(loud["time"], "2023-11-14T22:13:20Z");

    // TLS is of today, or this client would not be here.
    let mut client = client(&server, &process).await;
    let first = client.order(Recorded::SERIAL).await;
    let second = client.order(Recorded::SERIAL).await;
    assert_eq!(first.token, Recorded::TOKEN);
    assert_eq!(second.token, Recorded::TOKEN);
    assert_ne!(first.order, second.order);

    let judged = client.post(&first.challenge, &answer_of(&recorded)).await;
    assert_eq!(judged.status, 200, "{}", judged.text());
    assert_eq!(judged.header("date"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    let csr = json!({"csr": BASE64URL_NOPAD.encode(&recorded.csr())});
    let order = client.post(&first.finalize, &csr).await;
    assert_eq!(order.status, 200, "{}", order.text());
    let url = order.json().unwrap()["certificate"].clone();
    let url = url.as_str().unwrap().to_owned();
    let chain = client.get(&url).await.text();
    let certificate = Certificate::read(url, &chain);
    assert_eq!(certificate.spki, recorded.device.spki_der());
    assert_eq!(
        certificate.not_after - i64::try_from(Recorded::TIME).unwrap(),
        90 * 86_400
    );

    // Its orders can be looked at while it runs, and are gone with it.
    let id = first.order.rsplit('/').next().unwrap();
    let story = json_of(&server.assay(["orders", "show", "--json", "--", id]));
    assert_eq!(story["status"], "valid");
    drop(process);
    let orders = json_of(&server.assay(["orders", "list", "--json"]));
    assert_eq!(orders, json!({"orders": [], "total": 0, "left_out": 0}));
    // The database's clock has not been moved: the server itself starts.
    server.restart();
}

#[tokio::test]
async fn scenario_123_a_recordings_own_root_counts_only_when_it_is_trusted() {
    let server = Server::init(Setup {
        config: "attestation.apple.laboratory_roots = []",
        ..Setup::default()
    });
    let recorded = Recorded::new();
    let process = start(&server, &recorded, &[]);
    let mut client = client(&server, &process).await;
    let placed = client.order(Recorded::SERIAL).await;
    let judged = client.post(&placed.challenge, &answer_of(&recorded)).await;
    assert_problem(&judged, 400, "badAttestationStatement");
    let refused = process.event(|event| event["event"] == "refused");
    assert_eq!(refused["reason"], "unknown-anchor");
    // Nobody else is admitted.
    let other = client
        .new_order(&[("permanent-identifier", "C02OTHER")])
        .await;
    assert_problem(&other, 403, "rejectedIdentifier");
}

#[test]
fn scenario_123_any_other_server_plays_no_recording() {
    let home = tempdir().unwrap();
    let dir = home.path().join("assay");
    let run = |args: &[&str]| assay().arg("--dir").arg(&dir).args(args).output().unwrap();
    assert_exit(&run(&["init"]), 0);
    let recorded = Recorded::new();
    let file = recorded.write_good("good.json");
    let file = file.to_str().unwrap();
    assert_eq!(
        message(
            &run(&["serve", "--listen", "127.0.0.1:0", "--replay", file]),
            2
        ),
        "serve --replay gives out tokens that are known, at a time that has passed: for laboratory servers only, \
         and this one was not made as one: make another with `assay init --laboratory`"
    );

    let server = Server::init(Setup::default());
    let serve = |file: &str| server.assay(["serve", "--listen", "127.0.0.1:0", "--replay", file]);
    let missing = recorded.folder().join("missing.json");
    let missing = missing.to_str().unwrap();
    let said = message(&serve(missing), 2);
    assert!(said.starts_with(&format!("{missing}: ")), "{said}");
    let mut acme = recorded.acme();
    acme.token.truncate(42);
    let evidence = Evidence::Acme(Box::new(acme));
    let bad = recorded.write("bad.json", evidence, Verdict::accepted());
    let said = message(&serve(bad.to_str().unwrap()), 2);
    assert!(
        said.contains("this server cannot issue its token"),
        "{said}"
    );
}

/// The recording with another admission.
fn admitted(recorded: &Recorded, name: &str, rule: Rule, value: &str) -> PathBuf {
    let mut acme = recorded.acme();
    acme.admission.rule = rule;
    value.clone_into(&mut acme.admission.value);
    recorded.write(name, Evidence::Acme(Box::new(acme)), Verdict::accepted())
}

#[tokio::test]
async fn one_identifier_is_served_however_it_was_admitted() {
    let server = Server::init(Setup::default());
    let recorded = Recorded::new();
    let any = admitted(&recorded, "any.json", Rule::AnyAttested, Recorded::SERIAL);
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0", "--replay"]);
    command.arg(any).arg("--trust-embedded-roots");
    let process = Process::serve(command);
    let mut client = client(&server, &process).await;
    let answer = client
        .new_order(&[("permanent-identifier", "ANOTHER")])
        .await;
    assert_problem(&answer, 403, "rejectedIdentifier");
    let placed = client.order(Recorded::SERIAL).await;
    let judged = client.post(&placed.challenge, &answer_of(&recorded)).await;
    assert_eq!(judged.status, 200, "{}", judged.text());
    drop(process);

    let other = admitted(&recorded, "other.json", Rule::Listed, "OTHER");
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0", "--replay"]);
    let said = message(&command.arg(other).output().unwrap(), 2);
    assert!(
        said.contains("is of another device than the identifier"),
        "{said}"
    );
}

#[tokio::test]
async fn the_servers_own_recordings_are_left_alone() {
    let server = Server::init(Setup::default());
    let recorded = Recorded::new();
    let folder = server.dir().join("recordings");
    fs::create_dir(&folder).unwrap();
    let id = "A".repeat(22);
    let old = folder.join(format!("order-{id}-{id}.json"));
    fs::copy(recorded.write_good("good.json"), &old).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(&old)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0", "--replay"]);
    let process = Process::serve({
        command.arg(&old);
        command
    });
    let mut client = client(&server, &process).await;
    client.order(Recorded::SERIAL).await;
    drop(process);
    assert!(old.exists());
}
