//! Restarts: the socket that a service manager hands in, enrolments that go on
//! over them, and requests that cannot be replayed after them.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use assay_simulator::{JOSE_JSON, Jws};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Client, Process, Server, Setup, assert_problem, message};

/// The binary under test.
const ASSAY: &str = env!("CARGO_BIN_EXE_assay");

/// A server and the socket that its processes are handed.
struct Restartable {
    server: Server,
    socket: TcpListener,
}

impl Restartable {
    fn new(devices: &[&str]) -> Self {
        let server = Server::init(Setup {
            devices,
            ..Setup::default()
        });
        Self {
            server,
            socket: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    fn handed_in(&self) -> Stdio {
        OwnedFd::from(self.socket.try_clone().unwrap()).into()
    }

    fn start(&self, program: &Path) -> Process {
        let command = self.serve(program, "exec 3<&0 </dev/null; LISTEN_FDS=1", &[]);
        Process::serve_on(command, self.handed_in())
    }

    /// `serve`, its standard input and environment set up by the shell: only a
    /// process itself can put a descriptor at a number and know its own id.
    fn serve(&self, program: &Path, setup: &str, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        let script = format!("{setup} LISTEN_PID=${{OTHER_PID:-$$}} exec \"$@\"");
        command
            .args(["-c", &script, "sh"])
            .arg(program)
            .arg("--dir")
            .arg(self.server.dir())
            .arg("serve")
            .args(args);
        command
    }

    /// How `serve` refuses what the shell hands in, standard input being
    /// `socket`.
    fn refusal(&self, setup: &str, args: &[&str], socket: Stdio) -> String {
        let mut command = self.serve(Path::new(ASSAY), setup, args);
        message(&command.stdin(socket).output().unwrap(), 2)
    }
}

fn get(address: impl std::net::ToSocketAddrs) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_connection_waits_in_the_inherited_socket_until_a_server_runs() {
    let servers = Restartable::new(&[]);
    servers
        .server
        .configure("server.tls = \"off\"\nserver.base_url = \"https://localhost\"");
    let address = servers.socket.local_addr().unwrap();
    let waiting = thread::spawn(move || get(address));
    let first = servers.start(Path::new(ASSAY));
    assert_eq!(first.address, Some(address));
    assert!(waiting.join().unwrap().ends_with("\r\n\r\nok\n"));
    let listening = first.event(|event| event["event"] == "listening");
    assert_eq!(listening["inherited"], true);

    // proc_pid_fdinfo(5): the flags are octal; O_CLOEXEC is 02000000.
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/3", first.id())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
    assert_eq!(flags & 0o2_000_000, 0o2_000_000, "{info}");

    first.signal(Signal::TERM);
    assert_eq!(first.exited().code(), Some(0));
    let waiting = thread::spawn(move || get(address));
    let second = servers.start(Path::new(ASSAY));
    assert!(waiting.join().unwrap().ends_with("\r\n\r\nok\n"));
    drop(second);
}

#[test]
fn the_socket_named_acme_is_taken_and_sockets_of_another_process_are_not() {
    let servers = Restartable::new(&[]);
    let two = "exec 3</dev/null 4<&0 </dev/null; LISTEN_FDS=2 LISTEN_FDNAMES=metrics:acme";
    let command = servers.serve(Path::new(ASSAY), two, &[]);
    let named = Process::serve_on(command, servers.handed_in());
    assert_eq!(named.address, servers.socket.local_addr().ok());
    let unused = named.event(|event| event["event"] == "sockets_unused");
    assert_eq!(unused["count"], 1);
    drop(named);

    let others = "exec 3<&0 </dev/null; OTHER_PID=1; LISTEN_FDS=1";
    let args = ["--listen", "127.0.0.1:0"];
    let command = servers.serve(Path::new(ASSAY), others, &args);
    let own = Process::serve_on(command, servers.handed_in());
    assert_ne!(own.address, servers.socket.local_addr().ok());
}

#[test]
fn what_is_no_listening_tcp_socket_is_refused() {
    let servers = Restartable::new(&[]);
    let one = "exec 3<&0 </dev/null; LISTEN_FDS=1";
    let unix = servers.server.beside("socket");
    let connected = TcpStream::connect(servers.socket.local_addr().unwrap()).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let not_tcp = "the inherited socket 1 is not a TCP socket";
    for (setup, args, stdin, expected) in [
        (one, &[][..], Stdio::null(), not_tcp),
        (one, &[], OwnedFd::from(udp).into(), not_tcp),
        (
            one,
            &[],
            OwnedFd::from(UnixListener::bind(unix).unwrap()).into(),
            not_tcp,
        ),
        (
            one,
            &[],
            OwnedFd::from(connected).into(),
            "the inherited socket 1 is not listening",
        ),
        ("exec 3<&-; LISTEN_FDS=1", &[], Stdio::null(), not_tcp),
        (
            "LISTEN_FDS=one",
            &[],
            Stdio::null(),
            "LISTEN_FDS is \"one\"",
        ),
        (
            "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_FDNAMES=metrics:acme",
            &[],
            servers.handed_in(),
            "LISTEN_FDNAMES names 2 sockets, LISTEN_FDS only 1",
        ),
        (
            one,
            &["--listen", "127.0.0.1:0"],
            servers.handed_in(),
            "use only one of them",
        ),
    ] {
        let said = servers.refusal(setup, args, stdin);
        assert!(said.contains(expected), "{setup}: {said}");
    }
}

/// The units name what `serve` looks for, and a command that it takes.
#[test]
fn the_sample_units_fit_the_server() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/systemd");
    let value = |unit: &str, key: &str| {
        let text = fs::read_to_string(units.join(unit)).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        value
            .unwrap_or_else(|| panic!("{key} in {unit}"))
            .to_owned()
    };
    assert_eq!(value("assay.socket", "ListenStream="), "443");
    let name = value("assay.socket", "FileDescriptorName=");
    let started = value("assay.service", "ExecStart=");
    let servers = Restartable::new(&[]);
    let dir = servers.server.dir();
    let args = started.strip_prefix("/usr/local/bin/assay ").unwrap();
    let args = args.split(' ').map(|arg| match arg {
        "/var/lib/assay" => dir.as_os_str(),
        arg => OsStr::new(arg),
    });
    let mut command = Command::new("sh");
    let handed = "exec 3</dev/null 4<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\"";
    command.args(["-c", handed, "sh", ASSAY]).args(args);
    command.env("LISTEN_FDNAMES", format!("other:{name}"));
    let process = Process::serve_on(command, servers.handed_in());
    assert_eq!(process.address, servers.socket.local_addr().ok());
}

/// Sends a byte a second, and connects again when it is cut.
struct SlowClient(Arc<AtomicBool>);

impl SlowClient {
    fn start(address: std::net::SocketAddr) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let Ok(mut stream) = TcpStream::connect(address) else {
                    return;
                };
                // The start of a TLS record that never ends.
                for byte in [22, 3, 1, 16, 0, 1, 0, 15, 252].into_iter().cycle() {
                    if stop.load(Ordering::Relaxed) || stream.write_all(&[byte]).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_secs(1));
                }
            }
        });
        Self(ended)
    }
}

impl Drop for SlowClient {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// 100 devices with Apple's client, eight at a time, while the server is
/// restarted as `next` in their middle: all of them are enrolled.
fn enrol_over_a_restart(next: impl FnOnce(&Restartable) -> PathBuf) {
    let serials: Vec<String> = (1..=100).map(|n| format!("LOAD-{n:06},,")).collect();
    let serials: Vec<&str> = serials.iter().map(String::as_str).collect();
    let servers = Restartable::new(&serials);
    let first = servers.start(Path::new(ASSAY));
    let _slow = SlowClient::start(first.address.unwrap());
    let mut load = servers.server.simulate("load", &first.directory);
    load.args([
        "--devices",
        "100",
        "--concurrency",
        "8",
        "--client",
        "apple",
    ]);
    let load = Process::spawn(load);
    first.nth_event(40, |event| event["event"] == "issued");
    let next = next(&servers);
    let asked = Instant::now();
    first.signal(Signal::TERM);
    assert_eq!(first.exited().code(), Some(0));
    let took = asked.elapsed();
    let second = servers.start(&next);
    let report: Value = serde_json::from_str(&load.line()).unwrap();
    assert_eq!(report["enrolled"], 100, "{report}");
    // One in the middle of which the server was restarted.
    second.event(|event| event["event"] == "issued");
    assert!(took < Duration::from_millis(3_500), "{took:?}");
}

#[test]
fn a_hundred_enrolments_go_on_over_a_restart() {
    enrol_over_a_restart(|_| PathBuf::from(ASSAY));
}

#[test]
fn a_hundred_enrolments_go_on_over_an_upgrade() {
    enrol_over_a_restart(|servers| {
        let other = servers.server.beside("assay-next");
        fs::copy(ASSAY, &other).unwrap();
        // Another build: not the same bytes.
        let mut file = OpenOptions::new().append(true).open(&other).unwrap();
        file.write_all(&[0]).unwrap();
        other
    });
}

/// A request of the client's, signed but not sent.
async fn signed(client: &mut Client, jws: &Jws) -> String {
    let nonce = client.acme.nonce().await.unwrap();
    let account = client.acme.account().map(str::to_owned);
    let jws = jws.sign(client.acme.key(), account.as_deref(), Some(&nonce));
    jws.unwrap().to_string()
}

#[tokio::test]
async fn what_was_answered_before_a_stop_or_a_kill_is_refused_after_it() {
    let mut server = Server::start(Setup::default());
    let mut client = server.client().await;
    let account = client.acme.account().unwrap().to_owned();
    let contact = json!({"contact": ["mailto:a@example.org"]});
    for stop in [true, false] {
        let write = signed(&mut client, &Jws::new(&account, &contact)).await;
        let answer = client.acme.post_raw(&account, write.clone(), JOSE_JSON);
        assert_eq!(answer.await.unwrap().status, 200);
        let read = signed(&mut client, &Jws::post_as_get(&account)).await;
        let answer = client.acme.post_raw(&account, read.clone(), JOSE_JSON);
        assert_eq!(answer.await.unwrap().status, 200);
        let unused = signed(&mut client, &Jws::post_as_get(&account)).await;
        if stop {
            assert_eq!(server.terminate().code(), Some(0));
        } else {
            server.kill();
        }
        server.restart();
        client = client.again(&server).await;
        let answer = client.acme.post_raw(&account, write, JOSE_JSON).await;
        assert_problem(&answer.unwrap(), 400, "badNonce");
        let answer = client.acme.post_raw(&account, read, JOSE_JSON).await;
        let answer = answer.unwrap();
        if stop {
            assert_problem(&answer, 400, "badNonce");
        } else {
            // It changed nothing: docs/divergences.md.
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let answer = client.acme.post_raw(&account, unused, JOSE_JSON).await;
        assert_eq!(answer.unwrap().status, 200);
    }
}
