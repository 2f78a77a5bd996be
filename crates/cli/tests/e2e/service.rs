//! The service manager's view: what the server reports to it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::PathBuf,
    process::Command,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{Process, Server, Setup, assert_exit};

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02SERVICE01,,"],
    config: "",
};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(server: &Server) -> Self {
        let path = server.beside("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(120)))
            .unwrap();
        Self { socket, path }
    }

    /// `serve` under this service manager, whose watchdog waits so long.
    fn command(&self, server: &Server, watchdog: Duration) -> Command {
        let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("NOTIFY_SOCKET", &self.path)
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        command
    }

    fn receive(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The first message, past or to come, that has this line.
    fn until(&self, is: impl Fn(&str) -> bool) -> String {
        loop {
            let message = self.receive();
            if message.lines().any(&is) {
                return message;
            }
        }
    }
}

fn directory_of(process: &Process) -> String {
    let mut stream = TcpStream::connect(process.address.unwrap()).unwrap();
    stream
        .write_all(b"GET /acme/directory HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_reports_that_it_serves_that_it_lives_and_that_it_ends() {
    let server = Server::init(SETUP);
    server.configure("server.tls = \"off\"\nserver.base_url = \"https://localhost\"");
    let manager = Manager::new(&server);
    let process = Process::serve(manager.command(&server, Duration::from_millis(600)));

    // Nothing comes before it, and it serves by then.
    let ready = manager.receive();
    assert_eq!(
        ready,
        "READY=1\nSTATUS=Serving https://localhost/acme/directory\n"
    );
    assert!(directory_of(&process).starts_with("HTTP/1.1 200 OK"));
    for _ in 0..3 {
        manager.until(|line| line == "WATCHDOG=1");
    }

    // What fails shows, and it lives on.
    fs::write(server.dir().join("devices.csv"), "no list\n").unwrap();
    let status = manager.until(|line| line.starts_with("STATUS="));
    assert!(
        status.starts_with("STATUS=Serving https://localhost/acme/directory; devices: "),
        "{status}"
    );
    manager.until(|line| line == "WATCHDOG=1");

    process.signal(Signal::TERM);
    let stopping = manager.until(|line| line == "STOPPING=1");
    assert!(stopping.contains("\nSTATUS=Ending"), "{stopping}");
    assert_eq!(process.exited().code(), Some(0));
}

/// sd_notify(3): "@" begins the name of an abstract socket.
#[test]
fn a_service_manager_is_reached_at_an_abstract_socket() {
    let server = Server::init(SETUP);
    let name = format!("assay-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let timeout = Some(Duration::from_secs(120));
    socket.set_read_timeout(timeout).unwrap();
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let process = Process::serve(command);
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).unwrap();
    let ready = std::str::from_utf8(&message[..length]).unwrap();
    assert!(ready.starts_with("READY=1\nSTATUS=Serving "), "{ready}");
    process.signal(Signal::TERM);
    assert_eq!(process.exited().code(), Some(0));
}

#[test]
fn a_server_that_cannot_serve_is_never_ready() {
    let server = Server::init(SETUP);
    fs::write(server.dir().join("assay.toml"), "[server]\nlisten = 1\n").unwrap();
    let manager = Manager::new(&server);
    let output = manager
        .command(&server, Duration::from_secs(1))
        .output()
        .unwrap();
    assert_exit(&output, 2);
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 10]).is_err());
}

#[test]
fn without_a_service_manager_it_serves_and_one_that_is_gone_is_a_warning() {
    let server = Server::init(SETUP);
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", server.beside("nowhere"));
    let process = Process::serve(command);
    process.event(|event| event["event"] == "notify_failed" && event["level"] == "WARN");
}
