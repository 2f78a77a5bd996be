//! `init` in its forms, a CA whose database was lost, and another host.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{
    Client, Server, Setup, assay, assert_exit, json_of, mac, message, openssl, verify_with_openssl,
};

const SERIAL: &str = "C02SETUP0001";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02SETUP0001,,"],
    config: "",
};

fn in_dir(dir: &Path, args: &[&str]) -> Output {
    assay().arg("--dir").arg(dir).args(args).output().unwrap()
}

/// Every file below `dir` that is not in `db`, and what is in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path != dir.join("db") {
                folders.push(path);
            } else if path.is_file() {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn init_listens_where_the_base_url_is() {
    let home = tempfile::tempdir().unwrap();
    for (name, url, listen) in [
        ("a", "https://[::1]:9443", "[::1]:9443"),
        ("b", "https://127.0.0.2:9443", "127.0.0.2:9443"),
        ("c", "https://localhost:9443", "127.0.0.1:9443"),
        ("d", "https://ca.example.org", "[::]:443"),
        ("e", "https://[2001:db8::1]:9443", "[::]:9443"),
    ] {
        let dir = home.path().join(name);
        assert_exit(&in_dir(&dir, &["init", "--base-url", url]), 0);
        let told = json_of(&in_dir(&dir, &["config", "check", "--json"]));
        assert_eq!(
            (&told["base_url"], &told["listen"]),
            (&url.into(), &listen.into())
        );
        let problems = told["problems"].as_array().unwrap();
        assert!(
            problems
                .iter()
                .all(|found| found["event"] != "base_url_port")
        );
    }
}

#[test]
fn init_names_what_relying_parties_need() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("listed");
    let output = in_dir(&dir, &["init"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let issuing = dir.join("ca/issuing.pem");
    assert!(
        text.contains(&format!("Install {}", issuing.display())),
        "{text}"
    );
    assert!(text.contains("RADIUS"), "{text}");
    assert!(text.contains("List your devices in "), "{text}");
}

#[test]
fn init_for_every_attested_device_speaks_of_no_list_and_writes_none() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("any");
    let output = in_dir(&dir, &["init", "--admission", "any-attested"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("devices.csv"), "{text}");
    assert!(text.contains("there is no list of devices"), "{text}");
    assert!(!dir.join("devices.csv").exists());
    assert_exit(&in_dir(&dir, &["config", "check"]), 0);
    let other = home.path().join("json");
    let told = json_of(&in_dir(
        &other,
        &["init", "--admission", "any-attested", "--json"],
    ));
    assert_eq!(told["devices"], Value::Null);
}

#[tokio::test]
async fn a_ca_whose_database_is_lost_gets_a_new_one() {
    let mut server = Server::start(SETUP);
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let before = client.enrol(&server, &device, SERIAL).await;
    assert_eq!(server.terminate().code(), Some(0));

    // Nothing is overwritten.
    let refused = message(&server.assay(["init", "--keep-ca"]), 2);
    assert!(refused.contains("nothing is ever overwritten"), "{refused}");
    let kept = files(&server.dir());
    fs::remove_dir_all(server.dir().join("db")).unwrap();
    for args in [
        &["config", "check"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["orders", "list"],
        &["store", "check"],
    ] {
        let advice = message(&server.assay(args), 2);
        assert!(advice.contains("`assay init --keep-ca`"), "{advice}");
    }
    // The advice works.
    let output = server.assay(["init", "--keep-ca"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("is not known to it"), "{text}");
    assert!(text.contains("store acknowledge"), "{text}");
    assert_eq!(files(&server.dir()), kept);
    let left = fs::read_dir(server.dir()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains(".new-")
    });
    assert_eq!(left.count(), 0);

    server.restart();
    let event = server
        .process()
        .event(|event| event["event"] == "restored_not_acknowledged");
    let said = event["message"].as_str().unwrap();
    assert!(
        said.contains("an empty one was created for its CA"),
        "{said}"
    );
    let told = json_of(&server.assay(["orders", "list", "--json"]));
    assert_eq!(told["orders"], serde_json::json!([]));
    let mut client = server.client().await;
    let after = client.enrol(&server, &device, SERIAL).await;
    // Of the same CA: what relies on the one relies on the other.
    assert_ne!(before.der, after.der);
    let last = |chain: &str| chain.rsplit("-----BEGIN").next().unwrap().to_owned();
    assert_eq!(last(&before.chain_pem), last(&after.chain_pem));
    assert_eq!(server.terminate().code(), Some(0));
    assert_exit(&server.assay(["store", "acknowledge"]), 0);
    server.restart();
    let log = server.process().log();
    assert!(!(log.iter()).any(|event| event["event"] == "restored_not_acknowledged"));
}

#[test]
fn a_new_database_has_its_cas_mark() {
    let home = tempfile::tempdir().unwrap();
    for (name, args, laboratory) in [
        ("plain", &["init"][..], false),
        ("laboratory", &["init", "--laboratory"], true),
    ] {
        let dir = home.path().join(name);
        assert_exit(&in_dir(&dir, args), 0);
        fs::remove_dir_all(dir.join("db")).unwrap();
        let told = json_of(&in_dir(&dir, &["init", "--keep-ca", "--json"]));
        assert_eq!(told["laboratory"], laboratory);
        let told = json_of(&in_dir(&dir, &["store", "check", "--json"]));
        assert_eq!(told["laboratory"], laboratory);
        assert_eq!(told["whole"], true);
    }
    // It is for a server that has a CA, and takes no settings.
    let empty = home.path().join("empty");
    let refused = message(&in_dir(&empty, &["init", "--keep-ca"]), 2);
    assert!(
        refused.contains("--keep-ca makes a database for a server"),
        "{refused}"
    );
    assert!(!empty.exists());
    let output = in_dir(
        &home.path().join("plain"),
        &["init", "--keep-ca", "--laboratory"],
    );
    assert_exit(&output, 2);
}

/// The commands of docs/cli.md, as they are there.
#[tokio::test]
async fn an_issuing_ca_is_renewed_as_documented() {
    let mut server = Server::start(SETUP);
    let mut client = server.client().await;
    let certificate = client.enrol(&server, &mac(SERIAL), SERIAL).await;
    server.terminate();
    let before = server.read("ca/issuing.pem");
    let document = fs::read_to_string("../../docs/cli.md").unwrap();
    let (_, recipe) = document
        .split_once("### Renewing the issuing CA\n")
        .unwrap();
    let recipe = recipe.split("```\n").nth(1).unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", recipe])
        .current_dir(server.dir().join("ca"));
    assert_exit(&shell.output().unwrap(), 0);
    assert_ne!(server.read("ca/issuing.pem"), before);
    assert!(!server.dir().join("ca/renewed.csr").exists());
    let told = json_of(&server.assay(["config", "check", "--json"]));
    assert_eq!(told["ok"], true);
    // It is the same CA: old and new certificates verify under its certificate.
    server.restart();
    let issuing = server.dir().join("ca/issuing.pem");
    let mut client = client.again(&server).await;
    let renewed = client.enrol(&server, &mac(SERIAL), SERIAL).await;
    for certificate in [certificate, renewed] {
        let leaf = server.beside("leaf.pem");
        fs::write(&leaf, &certificate.chain_pem).unwrap();
        verify_with_openssl(&server.root_path(), &issuing, &leaf);
    }
}

#[tokio::test]
async fn a_new_host_needs_no_new_server() {
    let mut server = Server::start(SETUP);
    let mut client = server.client().await;
    client.enrol(&server, &mac(SERIAL), SERIAL).await;
    server.terminate();
    let port = server.read("assay.toml");
    let port = port.split("https://localhost:").nth(1).unwrap();
    let port = port.split('"').next().unwrap();

    server.configure(&format!(
        "server.base_url = \"https://ca.example.com:{port}\""
    ));
    let refused = message(&server.assay(["config", "check"]), 2);
    assert!(
        refused.contains("`assay tls host ca.example.com --root-key FILE`"),
        "{refused}"
    );
    let root_key = server.dir().join("ca/root.key");
    let command = |key: &Path| {
        let mut command = server.command(["tls", "host", "ca.example.com", "--json"]);
        command.arg("--root-key").arg(key).output().unwrap()
    };
    let before = files(&server.dir());
    let told = json_of(&command(&root_key));
    assert_eq!(told["host"], "ca.example.com");
    assert_eq!(told["base_url"], format!("https://ca.example.com:{port}"));
    // The old pair is kept under the names that were said.
    for (kept, old) in told["kept"].as_array().unwrap().iter().zip(["key", "pem"]) {
        let old = server.dir().join("ca/tls").with_extension(old);
        assert_eq!(fs::read(kept.as_str().unwrap()).unwrap(), before[&old]);
    }
    assert_eq!(files(&server.dir()).len(), before.len() + 2);
    let key = server.dir().join("ca/tls.key");
    assert_eq!(
        fs::metadata(key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let new = server.dir().join("ca/tls.pem");
    openssl(
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-CAfile"])
            .arg(server.root_path())
            .arg(new),
    );
    assert_exit(&server.assay(["config", "check"]), 0);

    server.restart();
    let directory = server.process().directory.clone();
    assert_eq!(
        directory,
        format!("https://ca.example.com:{port}/acme/directory")
    );
    // Clients that trust the root verify the new name.
    let root = server.read("ca/root.pem");
    let mut client = Client::connect(&directory, &server.origin(), &root).await;
    assert_eq!(client.acme.new_account().await.unwrap().status, 201);
    let address = server.process().address.unwrap().to_string();
    let shown = openssl(
        Command::new("openssl")
            .args(["s_client", "-verify_return_error", "-verify_hostname"])
            .args(["ca.example.com", "-servername", "ca.example.com", "-CAfile"])
            .arg(server.root_path())
            .args(["-connect", &address])
            .stdin(std::process::Stdio::null()),
    );
    assert!(shown.contains("Verify return code: 0"), "{shown}");
    let certificate = client.enrol(&server, &mac(SERIAL), SERIAL).await;
    let leaf = server.beside("leaf.pem");
    fs::write(&leaf, &certificate.chain_pem).unwrap();
    let issuing = server.dir().join("ca/issuing.pem");
    verify_with_openssl(&server.root_path(), &issuing, &leaf);
}

#[test]
fn a_tls_ca_is_made_with_the_roots_own_key_and_nothing_else() {
    let server = Server::init(Setup::default());
    let other = Server::init(Setup::default());
    let before = files(&server.dir());
    let run = |host: &str, key: &Path| {
        let mut command = server.command(["tls", "host", host]);
        command.arg("--root-key").arg(key).output().unwrap()
    };
    let own = server.dir().join("ca/root.key");
    for (host, key, part) in [
        (
            "ca.example.com",
            other.dir().join("ca/root.key"),
            "not the private key",
        ),
        (
            "ca.example.com",
            server.dir().join("ca/issuing.key"),
            "not the private key",
        ),
        (
            "ca.example.com",
            server.dir().join("assay.toml"),
            "not the private key",
        ),
        (
            "ca.example.com",
            server.dir().join("absent.key"),
            "absent.key",
        ),
    ] {
        let refused = message(&run(host, &key), 2);
        assert!(refused.contains(part), "{refused}");
    }
    for host in ["https://ca.example.com", "ca.example.com:8443", "a b", ""] {
        assert_exit(&run(host, &own), 2);
    }
    fs::set_permissions(&own, Permissions::from_mode(0o644)).unwrap();
    let refused = message(&run("ca.example.com", &own), 2);
    assert!(refused.contains("can be read by every user"), "{refused}");
    assert_eq!(files(&server.dir()), before);

    // An address, twice within a second: both old pairs are kept.
    fs::set_permissions(&own, Permissions::from_mode(0o600)).unwrap();
    for host in ["::1", "192.0.2.1"] {
        assert_exit(&run(host, &own), 0);
        server.configure(&match host {
            "::1" => "server.base_url = \"https://[::1]:8443\"".to_owned(),
            host => format!("server.base_url = \"https://{host}:8443\""),
        });
        assert_exit(&server.assay(["config", "check"]), 0);
    }
    assert_eq!(files(&server.dir()).len(), before.len() + 4);
}
