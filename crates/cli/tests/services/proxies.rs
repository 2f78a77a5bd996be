//! The samples for proxies, run by the real nginx and HAProxy.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use assay_simulator::{AccountKey, AcmeClient, Algorithm, HttpClient, Trust};
use hyper::HeaderMap;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use serde_json::Value;

use crate::support::{Server, Setup, json_of};

const SERIAL: &str = "C02PROXY0001";
const UDID: &str = "00008112-000A5DE200FACADE";

/// Where proxies listen: other tests bind nothing there.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 73, 1);
/// The client, and what it says that it is.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 73, 5);
const INVENTED: &str = "203.0.113.9";

/// How long a proxy may take to listen.
const DEADLINE: Duration = Duration::from_secs(60);

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/proxy");
    fs::read_to_string(path.join(name)).unwrap()
}

/// The sample with a line's text replaced, which must be there.
fn replaced(sample: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(sample.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old:?} is not in the sample");
        text.replace(old, new)
    })
}

/// A port of [`PROXY`] that is free.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((PROXY, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// A proxy that ends with this value.
struct Proxy(Child);

impl Proxy {
    /// Starts it and waits until it listens.
    fn start(mut command: Command, listen: SocketAddr) -> Self {
        // Debian keeps them there, outside of a user's path.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let child = command.env("PATH", path).stdin(Stdio::null()).spawn();
        let mut proxy = Self(child.unwrap_or_else(|error| {
            panic!("{command:?}: {error}; .ci/test installs what it needs")
        }));
        let started = Instant::now();
        while TcpStream::connect(listen).is_err() {
            assert_eq!(proxy.0.try_wait().unwrap(), None, "{command:?} ended");
            assert!(started.elapsed() < DEADLINE, "{command:?} does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    /// nginx with `http` in its block of that name and `rest` beside it.
    fn nginx(home: &Path, http: &str, rest: &str, listen: SocketAddr) -> Self {
        let home = home.join(format!("nginx-{}", listen.port()));
        fs::create_dir_all(&home).unwrap();
        let at = home.display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr warn;\n\
             {rest}\nevents {{}}\n\
             http {{\n access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b;\n\
             fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n{http}\n}}\n"
        );
        let file = home.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&home).arg("-c").arg(&file);
        Self::start(command, listen)
    }

    fn haproxy(home: &Path, config: &str, listen: SocketAddr) -> Self {
        let file = home.join(format!("haproxy-{}.cfg", listen.port()));
        fs::write(&file, config).unwrap();
        let mut command = Command::new("haproxy");
        // In the foreground, in one process.
        command.args(["-db", "-f"]).arg(&file);
        Self::start(command, listen)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server behind a proxy that listens on `listen`.
fn server_behind(listen: SocketAddr, config: &str) -> Server {
    let base_url = format!("https://{listen}");
    Server::start(Setup {
        init: &["--base-url", &base_url],
        devices: &[&format!("{SERIAL},,")],
        config: &format!("server.trusted_proxies = [\"127.0.0.1/32\"]\n{config}"),
    })
}

/// A certificate of the proxy's own, in files and as what clients trust.
struct ProxyCertificate {
    certificate: PathBuf,
    key: PathBuf,
    both: PathBuf,
}

impl ProxyCertificate {
    fn write(server: &Server) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([PROXY.to_string()]).unwrap();
        let signing_key: KeyPair = signing_key;
        let write = |name: &str, text: &str| {
            let path = server.beside(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (cert, key) = (cert.pem(), signing_key.serialize_pem());
        Self {
            certificate: write("proxy.pem", &cert),
            key: write("proxy.key", &key),
            both: write("proxy-both.pem", &format!("{cert}{key}")),
        }
    }
}

/// Enrols a device through the proxy by the command.
fn enrol(server: &Server, bundle: &Path) {
    let mut command = crate::support::assay();
    command
        .args(["simulate", "enroll", "--json", "--directory"])
        .arg(&server.process().directory)
        .arg("--ca-bundle")
        .arg(bundle)
        .arg("--authority")
        .arg(server.authority_dir())
        .args(["--serial", SERIAL, "--udid", UDID]);
    assert_eq!(json_of(&command.output().unwrap())["result"], "enrolled");
}

/// Which client the log shows of one at [`CLIENT`] that says to be another.
async fn logged_client(server: &Server, bundle: &Path, n: usize) -> Value {
    let bundle = fs::read_to_string(bundle).unwrap();
    let mut http = HttpClient::new(Trust::from_pem(&bundle).unwrap());
    http.connect_from(IpAddr::from(CLIENT));
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", INVENTED.parse().unwrap());
    headers.insert("forwarded", format!("for={INVENTED}").parse().unwrap());
    http.always_send(headers);
    let key = AccountKey::generate(Algorithm::Es256).unwrap();
    let directory = &server.process().directory;
    let mut client = AcmeClient::connect_over(http, directory, key)
        .await
        .unwrap();
    let answer = client.new_account().await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let created = |event: &Value| event["event"] == "account_created";
    server.process().nth_event(n, created)["client"].clone()
}

fn nginx_sample(server: &Server, own: &ProxyCertificate, listen: SocketAddr) -> String {
    let listens = format!("listen {listen} ssl http2;");
    let upstream = format!("server {};", server.process().address.unwrap());
    let certificate = format!("ssl_certificate {};", own.certificate.display());
    let key = format!("ssl_certificate_key {};", own.key.display());
    replaced(
        &sample("nginx.conf"),
        &[
            ("listen 443 ssl http2;", &listens),
            ("listen [::]:443 ssl http2;", ""),
            ("server 127.0.0.1:8080;", &upstream),
            (
                "ssl_certificate /etc/nginx/tls/ca.example.org.pem;",
                &certificate,
            ),
            (
                "ssl_certificate_key /etc/nginx/tls/ca.example.org.key;",
                &key,
            ),
        ],
    )
}

#[tokio::test]
async fn nginx_ends_tls_and_an_invented_address_changes_nothing() {
    let listen = free_port();
    let server = server_behind(listen, "server.tls = \"off\"");
    let own = ProxyCertificate::write(&server);
    let config = nginx_sample(&server, &own, listen);
    let nginx = Proxy::nginx(&server.beside(""), &config, "", listen);
    enrol(&server, &own.certificate);
    assert_eq!(
        logged_client(&server, &own.certificate, 1).await,
        CLIENT.to_string()
    );
    drop(nginx);

    // That is the sample's doing: without its line the client's own is passed on.
    let line = "proxy_set_header X-Forwarded-For $remote_addr;";
    let without = replaced(&config, &[(line, "")]);
    let _nginx = Proxy::nginx(&server.beside(""), &without, "", listen);
    assert_eq!(logged_client(&server, &own.certificate, 2).await, INVENTED);
}

#[tokio::test]
async fn haproxy_ends_tls_and_an_invented_address_changes_nothing() {
    let listen = free_port();
    let server = server_behind(listen, "server.tls = \"off\"");
    let own = ProxyCertificate::write(&server);
    let bind = format!("bind {listen} ssl crt {} ", own.both.display());
    let backend = format!("server assay {} check", server.process().address.unwrap());
    let config = replaced(
        &sample("haproxy.cfg"),
        &[
            (
                "bind :443 ssl crt /etc/haproxy/tls/ca.example.org.pem ",
                &bind,
            ),
            ("server assay 127.0.0.1:8080 check", &backend),
        ],
    );
    let haproxy = Proxy::haproxy(&server.beside(""), &config, listen);
    enrol(&server, &own.certificate);
    assert_eq!(
        logged_client(&server, &own.certificate, 1).await,
        CLIENT.to_string()
    );
    drop(haproxy);

    let line = "http-request set-header X-Forwarded-For %[src]";
    let without = replaced(&config, &[(line, "")]);
    let _haproxy = Proxy::haproxy(&server.beside(""), &without, listen);
    assert_eq!(logged_client(&server, &own.certificate, 2).await, INVENTED);
}

#[tokio::test]
async fn haproxy_passes_tls_through_with_the_clients_address_in_front() {
    let listen = free_port();
    let server = server_behind(listen, "server.proxy_protocol = true");
    let bind = format!("bind {listen}");
    let backend = format!(
        "server assay {} send-proxy-v2 check inter 100ms",
        server.process().address.unwrap()
    );
    let config = replaced(
        &sample("haproxy-passthrough.cfg"),
        &[
            ("bind :443", &bind),
            ("server assay 127.0.0.1:8443 send-proxy-v2 check", &backend),
        ],
    );
    let _haproxy = Proxy::haproxy(&server.beside(""), &config, listen);
    enrol(&server, &server.root_path());
    assert_eq!(
        logged_client(&server, &server.root_path(), 1).await,
        CLIENT.to_string()
    );
    // Its header is the client's own, and of no proxy.
    let ignored = (server.process()).event(|event| event["event"] == "forwarded_for_ignored");
    assert_eq!(ignored["peer"], CLIENT.to_string());
    // Neither its checks nor its connections were refused.
    let log = server.process().log();
    assert!(
        log.iter()
            .all(|event| event["event"] != "proxy_protocol_refused"),
        "{log:?}"
    );
}

#[tokio::test]
async fn version_1_of_nginx_and_connections_past_the_proxy_are_refused_by_name() {
    let listen = free_port();
    let server = server_behind(listen, "server.proxy_protocol = true");
    let upstream = server.process().address.unwrap();
    let stream = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
         stream {{ server {{ listen {listen}; proxy_pass {upstream}; proxy_protocol on; }} }}"
    );
    let _nginx = Proxy::nginx(&server.beside(""), "", &stream, listen);
    let refused = |reason: &'static str| {
        move |event: &Value| event["event"] == "proxy_protocol_refused" && event["reason"] == reason
    };
    let connect = async |from: Ipv4Addr, to: SocketAddr| {
        let root = server.read("ca/root.pem");
        let mut http = HttpClient::new(Trust::from_pem(&root).unwrap());
        http.connect_from(IpAddr::from(from));
        http.open(&format!("https://{to}/acme/directory")).await
    };
    assert!(connect(CLIENT, listen).await.is_err());
    let event = server.process().event(refused("version-1"));
    assert_eq!(
        (&event["level"], &event["peer"]),
        (&"WARN".into(), &"127.0.0.1".into())
    );
    assert!(
        event["remedy"].as_str().unwrap().contains("send-proxy-v2"),
        "{event}"
    );

    assert!(connect(CLIENT, upstream).await.is_err());
    let event = server.process().event(refused("not-a-trusted-proxy"));
    assert_eq!(event["peer"], CLIENT.to_string());
    assert!(connect(Ipv4Addr::LOCALHOST, upstream).await.is_err());
    server.process().event(refused("header-missing"));
}
