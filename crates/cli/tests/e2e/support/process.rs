//! A running `assay`, what it prints and what it logs.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far more than anything takes: only what hangs takes that long.
const DEADLINE: Duration = Duration::from_secs(120);

/// A process that ends with this value.
pub(crate) struct Process {
    child: Child,
    lines: Mutex<mpsc::Receiver<String>>,
    log: Arc<Log>,
    /// The directory URL that the server says.
    pub(crate) directory: String,
    /// The socket that the server bound.
    pub(crate) address: Option<SocketAddr>,
}

/// Standard error: the events as JSON, other lines as strings.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    entries: Vec<Value>,
    ended: bool,
}

impl Process {
    /// Starts a command whose output is of interest.
    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_on(command, Stdio::null())
    }

    fn spawn_on(mut command: Command, stdin: Stdio) -> Self {
        let mut child = command
            .env("ASSAY_LOG_FORMAT", "json")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Whoever has dropped the process reads no more.
                let _ = sender.send(line);
            }
        });
        let log = Arc::new(Log::default());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
                writer.state.lock().unwrap().entries.push(entry);
                writer.changed.notify_all();
            }
            writer.state.lock().unwrap().ended = true;
            writer.changed.notify_all();
        });
        Self {
            child,
            lines: Mutex::new(lines),
            log,
            directory: String::new(),
            address: None,
        }
    }

    /// Starts `assay serve` and waits until it listens.
    pub(crate) fn serve(command: Command) -> Self {
        Self::serve_on(command, Stdio::null())
    }

    /// The same with a standard input of its own.
    pub(crate) fn serve_on(command: Command, stdin: Stdio) -> Self {
        let mut process = Self::spawn_on(command, stdin);
        let event = process.event(|event| event["event"] == "listening");
        process.address = event["address"].as_str().unwrap().parse().ok();
        let line = process.line();
        process.directory = line.strip_prefix("listening on ").unwrap().to_owned();
        process
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.lines
            .lock()
            .unwrap()
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|error| panic!("no output: {error}; {:?}", self.log()))
    }

    /// The first event of the log, past or to come, that is like this.
    pub(crate) fn event(&self, is: impl Fn(&Value) -> bool) -> Value {
        self.nth_event(0, is)
    }

    /// The event of the log, past or to come, that `n` like it precede.
    pub(crate) fn nth_event(&self, n: usize, is: impl Fn(&Value) -> bool) -> Value {
        self.wait(|state| {
            state
                .entries
                .iter()
                .filter(|entry| is(entry))
                .nth(n)
                .cloned()
        })
    }

    /// The log until now.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.state.lock().unwrap().entries.clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn exited(mut self) -> ExitStatus {
        // Standard error closes when the process ends.
        self.wait(|state| state.ended.then_some(()));
        self.child.wait().unwrap()
    }

    /// The most memory that the process had so far, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let words = line.unwrap().split_whitespace();
        words
            .skip(1)
            .map_while(|word| word.parse().ok())
            .next()
            .unwrap()
    }

    /// The name of each thread, and how much it gives way (nice(2)).
    pub(crate) fn niceness(&self) -> Vec<(String, i32)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            // A thread may end meanwhile.
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok())
            .map(|stat| {
                // proc_pid_stat(5): the name in brackets is the second field,
                // the niceness the nineteenth.
                let (name, rest) = stat.rsplit_once(')').unwrap();
                let name = name.split_once('(').unwrap().1;
                let niceness = rest.split_whitespace().nth(16).unwrap();
                (name.to_owned(), niceness.parse().unwrap())
            })
            .collect()
    }

    fn wait<T>(&self, look: impl Fn(&LogState) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.log.state.lock().unwrap();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !state.ended && !left.is_zero(),
                "it never came to that: {:?}",
                state.entries
            );
            state = self.log.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
