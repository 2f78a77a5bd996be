//! Checks the lines of the engine's events byte for byte. Operators' filters
//! and alarms depend on names, fields, their order, levels and targets.

// The scenarios of the engine's own tests.
#[path = "../../../engine/tests/support/mod.rs"]
mod support;

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use assay_engine::events::{Kind, Severity};
use assay_proto::ProblemType;
use assay_server::RequestLog;
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use self::support::{Harness, Settings, TestClock, eventful};
use super::{
    LogObserver, Out, events,
    layer::LogLayer,
    line::{Format, Style},
    queue::{Limits, Queue},
};

/// One line of each kind, in the order in which the scenarios cause them.
const EXPECTED: &str = include_str!("tests/lines.jsonl");

/// The captured output.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that `walk` causes, without their time.
fn lines<W: Future>(walk: impl FnOnce() -> W) -> Vec<String> {
    let written = Written::default();
    let report = Box::new(|_, count| panic!("{count} lines were dropped"));
    let queue = Queue::start(written.clone(), Limits::default(), report).unwrap();
    let layer = LogLayer {
        style: Style {
            format: Format::Json,
            journal: false,
        },
        out: Out::Queue(queue.clone()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || runtime.block_on(walk()));
    assert!(queue.flush(Duration::from_secs(60)));
    let bytes = std::mem::take(&mut *written.0.lock().unwrap());
    let text = String::from_utf8(bytes).unwrap();
    let ours = text
        .lines()
        .filter(|line| line.contains("\"target\":\"assay"));
    ours.map(without_time).collect()
}

fn without_time(line: &str) -> String {
    let rest = line.strip_prefix("{\"timestamp\":\"").unwrap();
    let (time, rest) = rest.split_once("\",").unwrap();
    assert!(time.ends_with('Z'), "{time}");
    format!("{{{rest}")
}

/// Replaces random names by numbers; the same name gets the same number.
fn numbered(lines: &[String]) -> Vec<String> {
    let mut known = HashMap::new();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let is_random = |word: &str| {
        word.len() >= 20
            && word.contains(|letter: char| !"-_".contains(letter) && !letter.is_ascii_lowercase())
    };
    let mut number = |line: &String| {
        let mut numbered = line.clone();
        for word in line
            .split(|letter| !is_part(letter))
            .filter(|word| is_random(word))
        {
            let next = known.len() + 1;
            let number = *known.entry(word.to_owned()).or_insert(next);
            numbered = numbered.replace(word, &format!("<{number}>"));
        }
        numbered
    };
    lines.iter().map(&mut number).collect()
}

fn assert_expected(lines: &[String]) {
    let lines = numbered(lines).join("\n") + "\n";
    if let Some(path) = std::env::var_os("WRITE_LINES") {
        std::fs::write(path, &lines).unwrap();
    }
    for (line, expected) in lines.lines().zip(EXPECTED.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines, EXPECTED);
}

/// Server settings with a logger, and its request log.
fn logging() -> (Settings, Arc<RequestLog>) {
    let log = Arc::new(RequestLog::new(Arc::new(TestClock::starting())));
    let settings = Settings {
        observers: vec![Arc::new(LogObserver::new(Arc::clone(&log)))],
        ..Settings::default()
    };
    (settings, log)
}

#[test]
fn the_lines_of_the_engines_events_stay_as_they_are() {
    let lines = lines(async || {
        eventful::everything(&logging().0).await;
        let (settings, log) = logging();
        let harness = Harness::with(settings);
        eventful::many_accounts(&harness).await;
        eventful::short_signature(&harness).await;
        let client = "192.0.2.1".parse().unwrap();
        log.count_unauthenticated_refusal(ProblemType::BadNonce, client);
        for _ in 0..1_001 {
            let _ = log.count_access(client, false);
        }
        log.summarize();
    });
    let is_account = |line: &String| line.contains("\"client\":\"203.0.113.5\"");
    assert_eq!(lines.iter().filter(|line| is_account(line)).count(), 50);
    let rest: Vec<String> = lines.into_iter().filter(|line| !is_account(line)).collect();
    assert_expected(&rest);
}

/// Every event has a line, or is listed here as one without.
#[test]
fn every_event_has_a_line_of_its_severity_or_none_on_purpose() {
    let quiet = [Kind::ChallengeJudged, Kind::CsrReceived];
    let mut logged = BTreeSet::new();
    for line in EXPECTED.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = line["event"].as_str().unwrap();
        let Some(kind) = Kind::ALL.iter().find(|kind| kind.name() == name) else {
            // A summary of events without a line of their own.
            assert_eq!(line["target"], "assay_engine::request_log", "{name}");
            continue;
        };
        let level = match kind.severity() {
            Severity::Error => "ERROR",
            Severity::Warning => "WARN",
            Severity::Info => "INFO",
        };
        assert_eq!(line["level"], level, "{name}");
        // Lines that a request causes without cost must not use the target of
        // durable changes.
        if line["target"] == events::TARGET {
            assert!(kind.is_durable(), "{name}");
        }
        logged.insert(*kind);
    }
    let mut all: BTreeSet<Kind> = Kind::ALL.iter().copied().collect();
    assert_eq!(all.len(), Kind::ALL.len());
    all.retain(|kind| !quiet.contains(kind));
    assert_eq!(logged, all);
}
