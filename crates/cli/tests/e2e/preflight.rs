//! What `config check` finds before a start, and that `serve` holds to it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::Command,
};

use assay_ca::authority::{self, Authority, AuthorityPlan, Host, KeyType};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::support::{Process, Server, Setup, assert_exit, json_of, message, now};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// What `config check --json` finds, whether the server may start or not.
fn problems(server: &Server) -> Vec<Value> {
    let output = server.assay(["config", "check", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = told["problems"].as_array().unwrap().clone();
    let failed = problems.iter().any(|found| found["severity"] == "error");
    assert_eq!(told["ok"], json!(!failed), "{told}");
    assert_exit(&output, if failed { 2 } else { 0 });
    problems
}

fn errors(server: &Server) -> Vec<String> {
    (problems(server).iter())
        .filter(|found| found["severity"] == "error")
        .map(|found| format!("{}: {}", found["what"], found["remedy"]))
        .collect()
}

fn warning(server: &Server, event: &str) -> Option<Value> {
    let mut found = problems(server).into_iter();
    found.find(|found| found["severity"] == "warning" && found["event"] == event)
}

/// That both commands refuse the server, and say this.
fn refused(server: &Server, parts: &[&str]) {
    // First the one that ends where it refuses nothing.
    for args in [&["config", "check"], &SERVE[..]] {
        let message = message(&server.assay(args), 2);
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn cas(age: i64) -> Authority {
    authority::create(&AuthorityPlan {
        name: "Other".to_owned(),
        issuing_key: KeyType::P256,
        host: Host::Dns("localhost".to_owned()),
        laboratory: true,
        now: now().saturating_add_signed(-age),
    })
    .unwrap()
}

fn place(server: &Server, name: &str, ca: &authority::CaMaterial) {
    let path = server.dir().join("ca").join(name);
    fs::write(path.with_extension("pem"), &ca.certificate_pem).unwrap();
    fs::write(path.with_extension("key"), ca.key_pem.as_bytes()).unwrap();
}

#[test]
fn a_ca_of_another_root_is_refused() {
    let other = cas(0);
    for (name, ca) in [("issuing", &other.issuing), ("tls", &other.tls)] {
        let server = Server::init(Setup::default());
        place(&server, name, ca);
        refused(
            &server,
            &[
                &format!("{name}.pem was not issued by the root in "),
                "it names another issuer",
            ],
        );
        // With the same names, only the keys tell them apart.
        let plain = Server::init(Setup::default());
        let root = plain.dir().join(format!("ca/{name}.pem"));
        fs::copy(root, server.dir().join(format!("ca/{name}.pem"))).unwrap();
        let key = plain.dir().join(format!("ca/{name}.key"));
        fs::copy(key, server.dir().join(format!("ca/{name}.key"))).unwrap();
        refused(&server, &[name, "it names another issuer key"]);
        // With their root they are in order.
        let root = plain.dir().join("ca/root.pem");
        fs::copy(root, server.dir().join("ca/root.pem")).unwrap();
        for other in ["issuing", "tls"] {
            for ending in ["pem", "key"] {
                let file = format!("ca/{other}.{ending}");
                fs::copy(plain.dir().join(&file), server.dir().join(&file)).unwrap();
            }
        }
        assert_eq!(errors(&server), [""; 0]);
    }
}

#[test]
fn a_root_that_is_missing_or_ended_or_none_is_refused() {
    let server = Server::init(Setup::default());
    let path = server.dir().join("ca/root.pem");
    let root = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    refused(&server, &["ca/root.pem"]);
    fs::copy(server.dir().join("ca/issuing.pem"), &path).unwrap();
    refused(&server, &["ca/root.pem", "not self-signed"]);
    fs::write(&path, root).unwrap();
    assert_eq!(errors(&server), [""; 0]);
    let old = cas(21 * 366 * 86_400);
    fs::write(&path, &old.root.certificate_pem).unwrap();
    refused(&server, &["root.pem", "root's certificate ended at "]);
}

#[test]
fn an_attestation_root_out_of_its_time_is_a_warning() {
    let server = Server::init(Setup::default());
    assert_eq!(warning(&server, "attestation_root_out_of_time"), None);
    let root = server.dir().join("attestation/laboratory-root-1.pem");
    for age in [21, -1] {
        let other = cas(age * 366 * 86_400);
        fs::write(&root, &other.root.certificate_pem).unwrap();
        let found = warning(&server, "attestation_root_out_of_time").unwrap();
        let what = found["what"].as_str().unwrap();
        assert!(what.contains("laboratory-root-1.pem"), "{what}");
    }
}

#[test]
fn everything_is_shown_in_one_run() {
    let server = Server::init(Setup {
        config: "server.base_url = \"https://ca.example.org:9443\"\n\
                 profile.default.csr_names = \"refuse\"",
        ..Setup::default()
    });
    place(&server, "issuing", &cas(3_653 * 86_400).issuing);
    place(&server, "tls", &cas(0).tls);
    set_mode(server.dir().join("devices.csv"), 0o666);
    set_mode(server.dir().join("ca/root.key"), 0o604);
    fs::remove_dir_all(server.dir().join("db")).unwrap();
    let errors = errors(&server);
    for part in [
        "issuing CA's certificate ended at ",
        "issuing.pem was not issued by the root",
        "tls.pem was not issued by the root",
        "may not certify ca.example.org",
        "devices.csv can be written by every user (mode 666)",
        "root.key can be read by every user (mode 604)",
        "`assay init --keep-ca`",
    ] {
        let found = errors.iter().filter(|error| error.contains(part)).count();
        assert_eq!(found, 1, "{part}: {errors:#?}");
        refused(&server, &[part]);
    }
    assert_eq!(errors.len(), 7, "{errors:#?}");
    refused(&server, &["7 errors keep this server from starting:\n"]);
    for event in ["root_key_online", "csr_names_refused", "base_url_port"] {
        assert!(warning(&server, event).is_some(), "{event}");
    }
    // For people the warnings are shown as well.
    let output = server.assay(["config", "check"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(" WARN "), "{text}");
    assert!(text.contains("event=\"csr_names_refused\""), "{text}");
    assert_eq!(output.stdout, b"");
}

/// A link is as good as the place that it leads to.
#[test]
fn a_list_behind_a_link_into_an_open_directory_is_refused() {
    let server = Server::init(Setup::default());
    let elsewhere = server.beside("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let list = server.dir().join("devices.csv");
    fs::rename(&list, elsewhere.join("devices.csv")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("devices.csv"), &list).unwrap();
    assert_eq!(errors(&server), [""; 0]);
    set_mode(elsewhere.clone(), 0o777);
    refused(
        &server,
        &["elsewhere can be written by every user (mode 777)"],
    );
    // A server that runs already puts no other list in force.
    set_mode(elsewhere.clone(), 0o755);
    let process = Process::serve(server.command(SERVE));
    process.event(|event| event["event"] == "devices_reloaded");
    set_mode(elsewhere.clone(), 0o777);
    fs::write(
        elsewhere.join("devices.csv"),
        "serial,udid,comment\nC02OTHER0001,,\n",
    )
    .unwrap();
    let refused = process.event(|event| event["event"] == "devices_refused");
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("mode 777"), "{error}");
}

#[test]
fn a_last_good_list_that_others_can_write_is_refused() {
    let server = Server::init(Setup::default());
    let path = server.dir().join("devices.last-good.csv");
    fs::write(&path, "serial,udid,comment\n").unwrap();
    set_mode(path, 0o666);
    refused(
        &server,
        &["devices.last-good.csv can be written by every user"],
    );
}

/// The list of devices is who gets certificates; the rest decides as much.
#[test]
fn what_other_users_can_change_is_refused() {
    let server = Server::init(Setup::default());
    let root = server.dir().join("attestation/laboratory-root-1.pem");
    for file in [
        "devices.csv",
        "assay.toml",
        "ca",
        "ca/root.pem",
        "ca/issuing.pem",
        "attestation/laboratory-root-1.pem",
        "db",
        "",
    ] {
        let path = server.dir().join(file);
        let before = fs::metadata(&path).unwrap().mode() & 0o777;
        set_mode(&path, before | 0o002);
        refused(
            &server,
            &[file, "can be written by every user", "chmod o-w"],
        );
        set_mode(&path, before | 0o020);
        let found = warning(&server, "group_may_write").unwrap();
        assert!(found["what"].as_str().unwrap().contains(file), "{found}");
        assert_eq!(errors(&server), [""; 0]);
        set_mode(&path, before);
        assert_eq!(warning(&server, "group_may_write"), None);
    }
    assert!(root.exists());
    // A list elsewhere, in a directory where others replace it.
    let folder = server.beside("lists");
    fs::create_dir(&folder).unwrap();
    let list = folder.join("devices.csv");
    fs::copy(server.dir().join("devices.csv"), &list).unwrap();
    server.configure(&format!("admission.devices = {list:?}"));
    assert_eq!(errors(&server), [""; 0]);
    set_mode(&folder, 0o777);
    refused(&server, &["lists can be written by every user"]);
}

/// Files of another user need the super-user to make them.
#[test]
fn a_list_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = Server::init(Setup::default());
    let list = server.dir().join("devices.csv");
    chown(&list, Some(4711), None).unwrap();
    refused(&server, &["devices.csv belongs to user 4711", "chown root"]);
    // The super-user may check the server of another user.
    let output = Command::new("chown")
        .args(["-R", "4711"])
        .arg(server.dir())
        .output()
        .unwrap();
    assert_exit(&output, 0);
    assert_eq!(errors(&server), [""; 0]);
}

/// A certificate of its own, in files.
fn with_files(change: impl FnOnce(&mut CertificateParams)) -> Server {
    let server = Server::init(Setup::default());
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(server.dir().join("own.pem"), certificate).unwrap();
    fs::write(server.dir().join("own.key"), key.serialize_pem()).unwrap();
    set_mode(server.dir().join("own.key"), 0o600);
    server.configure(
        "server.tls = \"files\"\nserver.tls_certificate = \"own.pem\"\nserver.tls_key = \"own.key\"",
    );
    server
}

#[test]
fn a_tls_key_is_kept_from_others_like_a_cas() {
    let server = with_files(|_| {});
    assert_eq!(errors(&server), [""; 0]);
    set_mode(server.dir().join("own.key"), 0o640);
    assert_eq!(errors(&server), [""; 0]);
    set_mode(server.dir().join("own.key"), 0o644);
    refused(&server, &["own.key can be read by every user (mode 644)"]);
}

#[test]
fn certificates_that_end_soon_are_warned_of() {
    let server = with_files(|_| {});
    assert_eq!(warning(&server, "tls_ends"), None);
    let server = with_files(|params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2000, 1, 1)
            + std::time::Duration::from_secs(now() - 946_684_800 + 86_400);
    });
    let found = warning(&server, "tls_ends").unwrap();
    assert!(
        found["remedy"].as_str().unwrap().contains("renew"),
        "{found}"
    );

    let server = Server::init(Setup::default());
    assert_eq!(warning(&server, "ca_ends"), None);
    let cas = cas(3_651 * 86_400);
    let root = server.dir().join("ca/root.pem");
    fs::write(root, &cas.root.certificate_pem).unwrap();
    place(&server, "issuing", &cas.issuing);
    place(&server, "tls", &cas.tls);
    let ends: Vec<_> = (problems(&server).into_iter())
        .filter(|found| found["event"] == "ca_ends")
        .collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    for (found, (ca, remedy)) in ends
        .iter()
        .zip([("TLS", "assay tls host"), ("issuing", "have the root sign")])
    {
        let text = format!("{} {}", found["what"], found["remedy"]);
        assert!(text.contains(ca) && text.contains(remedy), "{text}");
    }
}

#[test]
fn a_disk_with_too_little_room_is_a_warning() {
    let server = Server::init(Setup::default());
    assert_eq!(warning(&server, "free_space_low"), None);
    server.configure("store.free_space = \"1000000TiB\"");
    let found = warning(&server, "free_space_low").unwrap();
    assert!(
        found["remedy"]
            .as_str()
            .unwrap()
            .contains("free some space")
    );
}

#[test]
fn the_port_of_the_base_url_is_the_listeners_or_a_proxys() {
    let url = "server.base_url = \"https://localhost:9443\"\nserver.listen = \"127.0.0.1:8443\"";
    let server = Server::init(Setup {
        config: url,
        ..Setup::default()
    });
    let found = warning(&server, "base_url_port").unwrap();
    let text = format!("{} {}", found["what"], found["remedy"]);
    assert!(text.contains("9443") && text.contains("8443"), "{text}");
    for config in [
        "server.trusted_proxies = [\"192.0.2.1/32\"]",
        "server.trusted_proxies = []\nserver.tls = \"off\"",
        "server.tls = \"own-ca\"\nserver.listen = \"127.0.0.1:9443\"",
    ] {
        server.configure(config);
        assert_eq!(warning(&server, "base_url_port"), None, "{config}");
    }
}

#[test]
fn profiles_that_surprise_are_warned_of_and_wrong_ones_refused() {
    let server = Server::init(Setup::default());
    let events = [
        "csr_names_refused",
        "profile_names_no_device",
        "profile_variable",
    ];
    for event in events {
        assert_eq!(warning(&server, event), None);
    }
    server.configure(
        "[profile.default]\ncsr_names = \"refuse\"\nsubject = \"CN=$SERIALNUMBER\"\n\
         san = [\"uri:urn:x:$SerialNumber\"]",
    );
    let found = warning(&server, "csr_names_refused").unwrap();
    assert!(
        found["what"]
            .as_str()
            .unwrap()
            .contains("every Apple device")
    );
    let found = warning(&server, "profile_names_no_device").unwrap();
    assert!(found["what"].as_str().unwrap().contains("profile.default"));
    let found = warning(&server, "profile_variable").unwrap();
    assert!(found["what"].as_str().unwrap().contains("$SERIALNUMBER"));
    let variables = problems(&server).into_iter();
    let variables = variables.filter(|found| found["event"] == "profile_variable");
    assert_eq!(variables.count(), 2);
    server.configure("[profile.default]\ncsr_names = \"ignore\"\nsubject = \"CN={serial}\"");
    for (san, part) in [
        ("[\"uri:{serial}\"]", "must begin with a scheme"),
        ("[\"uri:urn:%zz:\"]", "two hexadecimal digits"),
        (
            "[\"permanent-identifier\", \"permanent-identifier\"]",
            "is there twice",
        ),
    ] {
        server.configure(&format!("[profile.default]\nsan = {san}"));
        refused(&server, &["assay.toml", "profile.default.san", part]);
    }
    server.configure("[profile.default]\nsan = []\nsubject = \"C=de,CN={serial}\"");
    refused(&server, &["profile.default.subject", "two capital letters"]);
}

#[test]
fn a_root_key_beside_the_issuing_key_is_a_warning_once_a_start() {
    let server = Server::init(Setup::default());
    let is_reminder = |event: &Value| event["event"] == "root_key_online";
    let process = Process::serve(server.command(SERVE));
    let event = process.event(is_reminder);
    assert_eq!(event["level"], "WARN");
    assert_eq!(
        process
            .log()
            .iter()
            .filter(|event| is_reminder(event))
            .count(),
        1
    );
    drop(process);
    let key = server.dir().join("ca/root.key");
    fs::rename(&key, server.beside("root.key")).unwrap();
    let process = Process::serve(server.command(SERVE));
    assert_eq!(
        process
            .log()
            .iter()
            .filter(|event| is_reminder(event))
            .count(),
        0
    );
    assert_eq!(warning(&server, "root_key_online"), None);
}

#[test]
fn json_of_a_server_in_order_says_so() {
    let server = Server::init(Setup::default());
    fs::remove_file(server.dir().join("ca/root.key")).unwrap();
    let told = json_of(&server.assay(["config", "check", "--json"]));
    assert_eq!((&told["ok"], &told["problems"]), (&json!(true), &json!([])));
}
