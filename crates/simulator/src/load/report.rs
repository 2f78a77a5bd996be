//! The results of a load test.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    enroll::Step,
    load::{CpuTime, Load, Outcome},
};

/// The results of a load test. Latencies are in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadReport {
    /// How many devices tried to enrol.
    pub devices: u32,
    /// How many enrolled at the same time.
    pub concurrency: u32,
    /// How many got a certificate.
    pub enrolled: u32,
    /// How many were refused: the server decided against them.
    pub refused: u32,
    /// How many failed with a fault: network, status 500 and above, or an unusable response.
    pub faults: u32,
    /// The refusals and faults, counted by kind.
    pub failures: Vec<Failure>,
    /// From the first connection to the last certificate, in seconds.
    pub elapsed_seconds: f64,
    /// Certificates per second.
    pub enrolments_per_second: f64,
    /// The latency of whole enrolments that got a certificate; `None` if there are none.
    pub enrolment: Option<Latency>,
    /// The latency of each step, in order, for all devices that finished it.
    pub steps: Vec<(Step, Latency)>,
    /// The server's processor time, if it was measured.
    pub server_cpu: Option<ServerCpu>,
    /// The client's processor time in the same interval, without making keys and CSRs.
    pub client_cpu: CpuTime,
}

/// The server's processor time, in total and per certificate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServerCpu {
    /// The time used during the load.
    pub time: CpuTime,
    /// User and system time per certificate, in microseconds; `None` without any certificate.
    pub microseconds_per_enrolment: Option<f64>,
}

/// Enrolments that failed in the same way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// The step and the problem type, or the kind of fault.
    pub kind: String,
    /// Whether the server refused the device.
    pub refusal: bool,
    /// How many enrolments failed so.
    pub count: u32,
    /// The full text of the first such error.
    pub example: String,
}

/// The distribution of a latency, in microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Latency {
    /// The number of measurements.
    pub count: u32,
    /// The median.
    pub p50: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The maximum.
    pub max: u64,
}

impl Latency {
    /// Computes nearest-rank percentiles; `None` without measurements.
    fn of(mut measured: Vec<Duration>) -> Option<Self> {
        measured.sort_unstable();
        let microseconds = |duration: &Duration| duration.as_micros().try_into().ok();
        let rank = |percent: usize| {
            let rank = (measured.len() * percent).div_ceil(100);
            microseconds(measured.get(rank.checked_sub(1)?)?)
        };
        Some(Self {
            count: measured.len().try_into().ok()?,
            p50: rank(50)?,
            p99: rank(99)?,
            max: microseconds(measured.last()?)?,
        })
    }
}

impl LoadReport {
    pub(super) fn new(
        load: &Load,
        outcomes: &[Outcome],
        elapsed: Duration,
        client_cpu: CpuTime,
        server_cpu: Option<CpuTime>,
    ) -> Self {
        let mut failures: BTreeMap<(String, bool), Failure> = BTreeMap::new();
        let mut steps: BTreeMap<Step, Vec<Duration>> = BTreeMap::new();
        let mut enrolments = Vec::new();
        for outcome in outcomes {
            let mut finished = outcome.steps.as_slice();
            match &outcome.error {
                None => enrolments.push(outcome.total),
                Some(error) => {
                    finished = finished.split_last().map_or(&[], |(_, before)| before);
                    let (kind, refusal) = (error.kind(), error.is_refusal());
                    let failure = failures.entry((kind, refusal));
                    let failure = failure.or_insert_with_key(|(kind, refusal)| Failure {
                        kind: kind.clone(),
                        refusal: *refusal,
                        count: 0,
                        example: error.to_string(),
                    });
                    failure.count += 1;
                }
            }
            for (step, took) in finished {
                steps.entry(*step).or_default().push(*took);
            }
        }
        let failures: Vec<_> = failures.into_values().collect();
        let failed = |refusal| {
            failures
                .iter()
                .filter(|failure| failure.refusal == refusal)
                .map(|failure| failure.count)
                .sum()
        };
        let enrolment = Latency::of(enrolments);
        let enrolled = enrolment.map_or(0, |latency| latency.count);
        Self {
            devices: load.devices,
            concurrency: load.concurrency.max(1),
            enrolled,
            refused: failed(true),
            faults: failed(false),
            failures,
            elapsed_seconds: elapsed.as_secs_f64(),
            enrolments_per_second: f64::from(enrolled) / elapsed.as_secs_f64(),
            enrolment,
            steps: steps
                .into_iter()
                .filter_map(|(step, measured)| Some((step, Latency::of(measured)?)))
                .collect(),
            server_cpu: server_cpu.map(|time| ServerCpu {
                time,
                microseconds_per_enrolment: (enrolled > 0)
                    .then(|| time.total_seconds() * 1e6 / f64::from(enrolled)),
            }),
            client_cpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        enroll::{EnrollError, UnexpectedAnswer},
        response::ProblemReport,
    };

    fn millis(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let upto = |count: u64| Latency::of((1..=count).rev().map(Duration::from_micros).collect());
        let latency = |count, p50, p99, max| {
            Some(Latency {
                count,
                p50,
                p99,
                max,
            })
        };
        assert_eq!(upto(0), None);
        assert_eq!(upto(1), latency(1, 1, 1, 1));
        assert_eq!(upto(2), latency(2, 1, 2, 2));
        assert_eq!(upto(5), latency(5, 3, 5, 5));
        assert_eq!(upto(100), latency(100, 50, 99, 100));
        assert_eq!(upto(1000), latency(1000, 500, 990, 1000));
    }

    #[test]
    fn a_report_counts_by_kind_and_measures_only_what_was_finished() {
        let outcome = |steps: &[(Step, u64)], error| Outcome {
            steps: steps
                .iter()
                .map(|(step, took)| (*step, millis(*took)))
                .collect(),
            total: millis(10),
            error,
        };
        let refused = |problem_type: &str, status| {
            Some(EnrollError::Problem {
                step: Step::NewOrder,
                source: Box::new(ProblemReport {
                    status,
                    problem_type: format!("urn:ietf:params:acme:error:{problem_type}"),
                    ..ProblemReport::default()
                }),
            })
        };
        let foreign = EnrollError::Unexpected {
            step: Step::Certificate,
            cause: UnexpectedAnswer::ForeignKey,
        };
        let both = [(Step::NewAccount, 4), (Step::NewOrder, 6)];
        let outcomes = [
            outcome(&[(Step::NewAccount, 2), (Step::NewOrder, 3)], None),
            outcome(&both, refused("rejectedIdentifier", 403)),
            outcome(&both, refused("rejectedIdentifier", 403)),
            outcome(&both, refused("rateLimited", 429)),
            outcome(
                &[(Step::NewAccount, 5), (Step::Certificate, 1)],
                Some(foreign),
            ),
        ];
        let cpu = |user_seconds| CpuTime {
            user_seconds,
            system_seconds: 0.5,
        };
        let load = Load {
            devices: 5,
            ..Load::new("https://ca.example/directory", "")
        };
        let report = LoadReport::new(&load, &outcomes, millis(500), cpu(1.0), Some(cpu(0.25)));

        let failure = |kind: &str, refusal, count| (kind.to_owned(), refusal, count);
        let failures: Vec<_> = report
            .failures
            .iter()
            .map(|each| (each.kind.clone(), each.refusal, each.count))
            .collect();
        assert_eq!(
            failures,
            [
                failure(
                    "Certificate: the certificate is not for the device's key",
                    false,
                    1
                ),
                failure("NewOrder: rateLimited", false, 1),
                failure("NewOrder: rejectedIdentifier", true, 2),
            ]
        );
        assert_eq!((report.enrolled, report.refused, report.faults), (1, 2, 2));
        assert_eq!(report.enrolments_per_second, 2.0);
        let latency = |count, p50, p99| Latency {
            count,
            p50,
            p99,
            max: p99,
        };
        assert_eq!(
            report.steps,
            [
                (Step::NewAccount, latency(5, 4000, 5000)),
                (Step::NewOrder, latency(1, 3000, 3000)),
            ]
        );
        assert_eq!(
            report
                .server_cpu
                .and_then(|cpu| cpu.microseconds_per_enrolment),
            Some(750_000.0)
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["steps"][0][0], "new-account");
        assert_eq!(json["steps"][0][1]["p50"], 4000);
    }
}
