//! Bounded queues of log lines and the thread that writes them. Logging never
//! waits for the reader of the log (docs/adr/0018).

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The interval between attempts to write to a non-blocking descriptor that is
/// not ready.
const AGAIN: Duration = Duration::from_millis(10);
/// The minimum time between reports of dropped lines while more lines wait.
const REPORT: Duration = Duration::from_secs(1);

/// The queue of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Durable changes, faults, start and stop. Written first.
    Events = 0,
    /// Lines about single requests and connections, and all debug lines.
    Requests = 1,
    /// Access lines, one per request, if enabled. Written last, so that they
    /// displace no other lines.
    Access = 2,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Events, Self::Requests, Self::Access];
}

/// The maximum number of bytes in each queue: about 20,000 events, 3,000 lines
/// about requests, and as many access lines.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub events: usize,
    pub requests: usize,
    pub access: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 8 << 20,
            requests: 1 << 20,
            access: 1 << 20,
        }
    }
}

/// Formats the line that reports the number of dropped lines.
pub type Report = Box<dyn Fn(Kind, u64) -> String + Send>;

/// The queues. Clones share them.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    limits: [usize; Kind::ALL.len()],
    state: Mutex<State>,
    /// Signals that there is a line to write.
    filled: Condvar,
    /// Signals that all lines are written.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    lines: [VecDeque<String>; Kind::ALL.len()],
    bytes: [usize; Kind::ALL.len()],
    dropped: [u64; Kind::ALL.len()],
    writing: bool,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The thread cannot start.
    pub fn start(
        out: impl Write + Send + 'static,
        limits: Limits,
        report: Report,
    ) -> io::Result<Self> {
        let queue = Self(Arc::new(Shared {
            limits: [limits.events, limits.requests, limits.access],
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }));
        let writer = queue.clone();
        thread::Builder::new()
            .name("assay-log".to_owned())
            .spawn(move || writer.write_to(out, report))?;
        Ok(queue)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or drops and counts it if its queue is full. Never waits
    /// for the reader.
    pub fn push(&self, kind: Kind, line: String) {
        let mut state = self.lock();
        let place = kind as usize;
        if state.bytes[place] + line.len() > self.0.limits[place] {
            state.dropped[place] += 1;
            return;
        }
        state.bytes[place] += line.len();
        state.lines[place].push_back(line);
        self.0.filled.notify_one();
    }

    /// Waits until all lines are written, but no longer than `limit`. Returns
    /// whether all are written.
    pub fn flush(&self, limit: Duration) -> bool {
        let state = self.lock();
        let pending = |state: &mut State| state.writing || state.next().is_some();
        let waited = self.0.emptied.wait_timeout_while(state, limit, pending);
        let (_state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    /// Writes lines as they arrive; does not return.
    fn write_to(&self, mut out: impl Write, report: Report) {
        let mut reported: Option<Instant> = None;
        loop {
            let line = self.take();
            if write(&mut out, line.as_bytes()).is_err() {
                // There is no reader. The next line tries again.
                self.done();
                continue;
            }
            // The write succeeded.
            for kind in Kind::ALL {
                let is_due = reported.is_none_or(|last| last.elapsed() >= REPORT);
                let dropped = self.dropped(kind, is_due);
                if dropped > 0 {
                    reported = Some(Instant::now());
                    // If this fails, the next line fails as well.
                    let _ = write(&mut out, report(kind, dropped).as_bytes());
                }
            }
            self.done();
        }
    }

    /// Takes the next line; events first.
    fn take(&self) -> String {
        let mut state = self.lock();
        loop {
            if let Some(place) = state.next()
                && let Some(line) = state.lines[place].pop_front()
            {
                state.bytes[place] -= line.len();
                state.writing = true;
                return line;
            }
            let waited = self.0.filled.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The number of lines dropped since the last report, if a report is due or
    /// no lines are left to write.
    fn dropped(&self, kind: Kind, is_due: bool) -> u64 {
        let mut state = self.lock();
        if is_due || state.next().is_none() {
            std::mem::take(&mut state.dropped[kind as usize])
        } else {
            0
        }
    }

    /// Marks the current line as written or lost.
    fn done(&self) {
        let mut state = self.lock();
        state.writing = false;
        if state.next().is_none() {
            self.0.emptied.notify_all();
        }
    }
}

impl State {
    /// The queue of the next line.
    fn next(&self) -> Option<usize> {
        self.lines.iter().position(|lines| !lines.is_empty())
    }
}

/// Writes all bytes, even if another process made the pipe or socket
/// non-blocking.
fn write(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes a line when the test allows it.
    struct Reader {
        lines: mpsc::Receiver<String>,
    }

    struct Pipe(mpsc::SyncSender<String>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let line = String::from_utf8(bytes.to_vec()).unwrap();
            // A finished test reads no more.
            self.0.send(line).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn report(kind: Kind, count: u64) -> String {
        format!("{kind:?} dropped {count}")
    }

    /// Queues of 100 and 10 bytes with a reader that reads nothing, and a
    /// writer that waits for it with one line taken.
    fn stuck() -> (Queue, Reader) {
        let (sender, lines) = mpsc::sync_channel(0);
        let limits = Limits {
            events: 100,
            requests: 10,
            access: 10,
        };
        let queue = Queue::start(Pipe(sender), limits, Box::new(report)).unwrap();
        queue.push(Kind::Requests, "stuck".to_owned());
        while !queue.lock().writing {
            thread::yield_now();
        }
        (queue, Reader { lines })
    }

    impl Reader {
        fn read(&self, count: usize) -> Vec<String> {
            (0..count).map(|_| self.lines.recv().unwrap()).collect()
        }
    }

    #[test]
    fn lines_of_requests_take_no_room_from_events_which_are_written_first() {
        let (queue, reader) = stuck();
        for number in 0..1_000 {
            queue.push(Kind::Requests, format!("{:5}", number));
        }
        for _ in 0..20 {
            queue.push(Kind::Events, "event".to_owned());
        }
        let read = reader.read(24);
        assert_eq!(read[0], "stuck");
        // The first write succeeded.
        assert_eq!(read[1], "Requests dropped 998");
        assert_eq!(read[2..22], ["event"; 20]);
        assert_eq!(read[22..], ["    0", "    1"]);
        assert!(queue.flush(Duration::from_secs(60)));
    }

    #[test]
    fn a_flood_of_access_lines_takes_no_room_from_other_lines_which_are_written_first() {
        let (queue, reader) = stuck();
        for _ in 0..1_000 {
            queue.push(Kind::Access, "access".to_owned());
        }
        queue.push(Kind::Requests, "other".to_owned());
        queue.push(Kind::Events, "event".to_owned());
        let read = reader.read(5);
        assert_eq!(
            read,
            ["stuck", "Access dropped 999", "event", "other", "access"]
        );
    }

    #[test]
    fn what_does_not_fit_is_counted_for_each_queue() {
        let (queue, reader) = stuck();
        for _ in 0..25 {
            queue.push(Kind::Events, "event".to_owned());
        }
        for _ in 0..3 {
            queue.push(Kind::Requests, "other".to_owned());
        }
        let read = reader.read(25);
        let reports: Vec<_> = read
            .iter()
            .filter(|line| line.contains("dropped"))
            .collect();
        assert_eq!(reports, ["Events dropped 5", "Requests dropped 1"]);
    }

    #[test]
    fn a_stuck_reader_holds_up_neither_who_logs_nor_who_flushes() {
        let (queue, _reader) = stuck();
        for _ in 0..1_000 {
            queue.push(Kind::Events, "event".to_owned());
        }
        assert!(!queue.flush(Duration::from_millis(10)));
    }

    #[test]
    fn a_reader_that_went_away_holds_up_nobody() {
        let (queue, reader) = stuck();
        drop(reader);
        queue.push(Kind::Events, "event".to_owned());
        assert!(queue.flush(Duration::from_secs(60)));
    }

    #[test]
    fn a_non_blocking_reader_gets_all_of_every_line() {
        struct Slow(Vec<u8>, bool);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.0.push(bytes[0]);
                Ok(1)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut slow = Slow(Vec::new(), false);
        write(&mut slow, b"line").unwrap();
        assert_eq!(slow.0, b"line");
    }
}
