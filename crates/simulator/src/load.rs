//! Measures a server under the load of many devices.
//!
//! The client's work must not be mistaken for the server's. Keys and CSRs are made before the clock
//! starts. For each enrolment the client still makes eight account signatures (P-256 by OpenSSL,
//! about 30 microseconds each), one evidence leaf (P-384, about 100 microseconds) and one TLS
//! handshake. The report shows the processor time of the whole client beside the server's, so that
//! a client that is the bottleneck is visible.

mod cpu;
mod report;

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};

pub use cpu::CpuTime;
pub use report::{Failure, Latency, LoadReport, ServerCpu};

use crate::{
    authority::AttestationAuthority,
    client::ClientKind,
    enroll::{EnrollError, EnrollProgress, Enrollment, Prepared, Step},
    evidence::DeviceProperties,
    http::{HttpError, Trust},
    key::KeyType,
};

/// The maximum number of source addresses.
pub const SOURCE_ADDRESSES: u32 = 255 * 256;

/// The parameters of a load test.
#[derive(Clone, Debug)]
pub struct Load {
    /// The directory URL.
    pub directory: String,
    /// The CA certificates to trust for TLS, in PEM.
    pub ca_bundle_pem: String,
    /// How many devices enrol, once each, each with its own account and TLS connection.
    pub devices: u32,
    /// How many of them enrol at the same time; 0 counts as 1.
    pub concurrency: u32,
    /// The prefix of the serial numbers; six digits from `000001` on follow. The serial number is
    /// also the `ClientIdentifier`.
    pub serial_prefix: String,
    /// The type of the devices' keys.
    pub key: KeyType,
    /// How the devices handle delays and errors.
    pub client: ClientKind,
    /// From how many addresses of 127.0.0.0/8 the devices connect. Each is in its own /24, so that
    /// the server's limits count it separately; the server must listen on this machine. With 0 the
    /// system chooses the address; values above [`SOURCE_ADDRESSES`] count as that number.
    pub source_addresses: u32,
    /// The server's process ID, to measure its processor time: same machine, Linux.
    pub server_pid: Option<u32>,
}

impl Load {
    /// A hundred devices from `LOAD-000001` on, four at a time, with P-256 keys.
    #[must_use]
    pub fn new(directory: &str, ca_bundle_pem: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            ca_bundle_pem: ca_bundle_pem.to_owned(),
            devices: 100,
            concurrency: 4,
            serial_prefix: "LOAD-".to_owned(),
            key: KeyType::P256,
            client: ClientKind::default(),
            source_addresses: 0,
            server_pid: None,
        }
    }

    /// The source address of the device with this number, counted from 1.
    fn source(&self, number: u32) -> Option<IpAddr> {
        let addresses = self.source_addresses.min(SOURCE_ADDRESSES);
        let [.., high, low] = ((number - 1).checked_rem(addresses)?).to_be_bytes();
        // 127.0.0.0/24 is reserved for other clients.
        Some(Ipv4Addr::new(127, high + 1, low, 1).into())
    }

    /// The serial numbers of the devices, for the server's inventory.
    pub fn serials(&self) -> impl Iterator<Item = String> {
        (1..=self.devices).map(|number| format!("{}{number:06}", self.serial_prefix))
    }
}

/// The progress of a load test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The number of devices that have their keys and CSRs.
    Prepared(u32),
    /// The number of devices that finished, with or without a certificate.
    Done(u32),
}

/// The result of one enrolment.
struct Outcome {
    steps: Vec<(Step, Duration)>,
    total: Duration,
    error: Option<EnrollError>,
}

/// Enrols all devices and measures. A device that fails is counted, and the others continue.
///
/// # Errors
///
/// [`LoadError`]: the load test could not start, or could not measure.
pub async fn run(
    load: &Load,
    authority: Arc<AttestationAuthority>,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<LoadReport, LoadError> {
    let trust = Trust::from_pem(&load.ca_bundle_pem)?;
    let mut waiting = Vec::new();
    for (serial, number) in load.serials().zip(1..) {
        let mut enrollment = Enrollment::new(
            &load.directory,
            &load.ca_bundle_pem,
            &serial,
            DeviceProperties::mac(&serial, &format!("UDID-{serial}")),
        );
        enrollment.key = load.key;
        enrollment.client = load.client;
        enrollment.source = load.source(number);
        let prepared = Prepared::new(&enrollment, &trust).map_err(LoadError::Prepare)?;
        waiting.push(Mutex::new(Some((enrollment, prepared))));
        on_progress(Progress::Prepared(number));
    }

    let read = |pid: Option<u32>| pid.map(cpu::of_process).transpose();
    let server_before = read(load.server_pid).map_err(LoadError::ServerCpu)?;
    let client_before = cpu::of_client().map_err(LoadError::ClientCpu)?;
    let started = Instant::now();

    let waiting = Arc::new(waiting);
    let next = Arc::new(AtomicUsize::new(0));
    let (report, mut outcomes) = mpsc::unbounded_channel();
    let mut workers = JoinSet::new();
    for _ in 0..load.concurrency.max(1) {
        let (waiting, next) = (Arc::clone(&waiting), Arc::clone(&next));
        let (authority, report) = (Arc::clone(&authority), report.clone());
        workers.spawn(async move {
            while let Some(device) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                let taken = device.lock().ok().and_then(|mut device| device.take());
                let Some((enrollment, prepared)) = taken else {
                    continue;
                };
                let outcome = enroll_one(&enrollment, prepared, &authority).await;
                if report.send(outcome).is_err() {
                    return;
                }
            }
        });
    }
    drop(report);
    let mut done = Vec::new();
    let mut number = 0;
    while let Some(outcome) = outcomes.recv().await {
        done.push(outcome);
        number += 1;
        on_progress(Progress::Done(number));
    }

    let elapsed = started.elapsed();
    let client = cpu::of_client()
        .map_err(LoadError::ClientCpu)?
        .since(client_before);
    let server_after = read(load.server_pid).map_err(LoadError::ServerCpu)?;
    let server = server_after
        .zip(server_before)
        .map(|(after, before)| after.since(before));
    Ok(LoadReport::new(load, &done, elapsed, client, server))
}

async fn enroll_one(
    enrollment: &Enrollment,
    prepared: Prepared,
    authority: &AttestationAuthority,
) -> Outcome {
    let started = Instant::now();
    let mut begun: Vec<(Step, Instant)> = Vec::new();
    let result = prepared
        .enroll(enrollment, authority, &mut |progress| {
            if let EnrollProgress::Step(step) = progress {
                begun.push((step, Instant::now()));
            }
        })
        .await;
    let finished = Instant::now();
    let ends = begun
        .iter()
        .skip(1)
        .map(|(_, next)| *next)
        .chain([finished]);
    Outcome {
        steps: begun
            .iter()
            .zip(ends)
            .map(|((step, start), end)| (*step, end - *start))
            .collect(),
        total: finished - started,
        error: result.err(),
    }
}

/// Why a load test could not start or could not measure.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The client's own processor time cannot be read.
    #[error("the processor time of this process cannot be read: {0}")]
    ClientCpu(io::Error),
    /// A device could not be prepared.
    #[error(transparent)]
    Prepare(EnrollError),
    /// The server's processor time cannot be read.
    #[error(
        "the server's processor time cannot be read: {0}; does the process run on this machine?"
    )]
    ServerCpu(io::Error),
    /// The CA bundle is unusable.
    #[error(transparent)]
    Trust(#[from] HttpError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_device_tries_once_and_what_fails_is_counted() {
        let load = Load {
            devices: 5,
            concurrency: 2,
            server_pid: Some(std::process::id()),
            ..Load::new("http://127.0.0.1:1/directory", "")
        };
        let authority = Arc::new(AttestationAuthority::create(1_800_000_000).unwrap());
        let mut progress = Vec::new();
        let report = run(&load, authority, &mut |each| progress.push(each))
            .await
            .unwrap();
        let expected: Vec<_> = (1..=5)
            .map(Progress::Prepared)
            .chain((1..=5).map(Progress::Done))
            .collect();
        assert_eq!(progress, expected);
        assert_eq!((report.enrolled, report.refused, report.faults), (0, 0, 5));
        let [failure] = report.failures.as_slice() else {
            panic!("{:?}", report.failures);
        };
        assert_eq!(failure.kind, "Connect: no connection");
        assert_eq!((failure.count, failure.refusal), (5, false));
        assert_eq!(report.steps, []);
        let server = report.server_cpu.unwrap();
        assert_eq!(server.microseconds_per_enrolment, None);
    }

    #[test]
    fn sources_are_spread_over_networks_of_the_loopback() {
        let load = |source_addresses| Load {
            source_addresses,
            ..Load::new("https://ca.example/directory", "")
        };
        let source = |addresses, number| {
            let source = load(addresses).source(number);
            source.map_or_else(String::new, |source| source.to_string())
        };
        assert_eq!(source(0, 1), "");
        for (number, expected) in [
            (1, "127.1.0.1"),
            (2, "127.1.1.1"),
            (257, "127.2.0.1"),
            (300, "127.2.43.1"),
            (301, "127.1.0.1"),
        ] {
            assert_eq!(source(300, number), expected);
        }
        assert_eq!(source(u32::MAX, SOURCE_ADDRESSES), "127.255.255.1");
        assert_eq!(source(u32::MAX, SOURCE_ADDRESSES + 1), "127.1.0.1");
    }

    #[test]
    fn serials_are_numbered_from_one() {
        let load = Load {
            devices: 2,
            ..Load::new("https://ca.example/directory", "")
        };
        let serials: Vec<_> = load.serials().collect();
        assert_eq!(serials, ["LOAD-000001", "LOAD-000002"]);
    }

    #[tokio::test]
    async fn a_server_process_that_is_not_there_is_told_before_anything_is_sent() {
        let load = Load {
            devices: 0,
            server_pid: Some(0),
            ..Load::new("https://ca.example/directory", "")
        };
        let authority = Arc::new(AttestationAuthority::create(1_800_000_000).unwrap());
        let refused = run(&load, authority, &mut |_| {}).await.unwrap_err();
        assert!(matches!(refused, LoadError::ServerCpu(_)), "{refused:?}");
    }
}
