//! Restarts: the socket that a service manager hands in.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use rustix::process::Signal;

use crate::support::{Process, Server, Setup, message};

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
            "the inherited socket 1 does not listen",
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
            "leave one of them out",
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
