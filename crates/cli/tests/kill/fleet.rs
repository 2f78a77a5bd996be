//! Devices that enrol at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use assay_simulator::{AcmeClient, ClientError, authority::AttestationAuthority};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    enrolment::{Enrolment, now},
    server::Laboratory,
};

/// How many devices enrol at the same time.
const DEVICES: usize = 8;

/// What all devices share.
pub(crate) struct Fleet {
    pub(crate) laboratory: Laboratory,
    pub(crate) authority: AttestationAuthority,
    /// Set just before the server is killed: until then no error is excused.
    pub(crate) killing: AtomicBool,
    progress: watch::Sender<Progress>,
}

/// What happened since the devices set out.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Answers of the server.
    answers: u64,
    /// Finalize requests that were about to be sent.
    finalizes: u64,
}

/// What to do with an enrolment that was interrupted.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    /// See whether everything that was acknowledged is there.
    Check,
    /// Go on until it has its certificate, or is processing.
    GoOn,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let authority = AttestationAuthority::create(now()).unwrap();
        Self {
            laboratory: Laboratory::new(authority.root_pem()),
            authority,
            killing: AtomicBool::new(false),
            progress: watch::Sender::default(),
        }
    }

    /// Sends devices out, to enrol one after the other until the server is
    /// killed. Each task gives back its enrolments, of which the last is as
    /// far as the server acknowledged it.
    pub(crate) fn set_out(self: &Arc<Self>) -> JoinSet<Vec<Enrolment>> {
        self.killing.store(false, Ordering::SeqCst);
        self.progress.send_replace(Progress::default());
        let mut devices = JoinSet::new();
        for _ in 0..DEVICES {
            let fleet = Arc::clone(self);
            devices.spawn(async move {
                let mut enrolments = Vec::new();
                let end = fleet.enrol(&mut enrolments).await;
                assert!(fleet.killing.load(Ordering::SeqCst), "{end}");
                enrolments
            });
        }
        devices
    }

    /// Enrols one device after the other, until there is no answer.
    async fn enrol(&self, enrolments: &mut Vec<Enrolment>) -> ClientError {
        let mut client = match self.client().await {
            Ok(client) => client,
            Err(error) => return error,
        };
        loop {
            let mut enrolment = Enrolment::new();
            let end = enrolment.go_on(&mut client, self).await;
            enrolments.push(enrolment);
            if let Err(error) = end {
                return error;
            }
        }
    }

    /// Does something with each enrolment, several at a time.
    pub(crate) async fn each(
        self: &Arc<Self>,
        enrolments: Vec<Enrolment>,
        task: Task,
    ) -> Vec<Enrolment> {
        let mut shares: [Vec<Enrolment>; DEVICES] = Default::default();
        for (n, enrolment) in enrolments.into_iter().enumerate() {
            shares[n % DEVICES].push(enrolment);
        }
        let mut tasks = JoinSet::new();
        for mut share in shares {
            let fleet = Arc::clone(self);
            tasks.spawn(async move {
                let mut client = fleet.client().await.unwrap();
                for enrolment in &mut share {
                    match task {
                        Task::Check => enrolment.check(&mut client).await,
                        Task::GoOn => enrolment.go_on(&mut client, &fleet).await,
                    }
                    .unwrap();
                }
                share
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Waits until the server answered so often.
    pub(crate) async fn answers(&self, wanted: u64) {
        let mut progress = self.progress.subscribe();
        progress
            .wait_for(|now| now.answers >= wanted)
            .await
            .unwrap();
    }

    /// Waits until a device is about to send a finalize request.
    pub(crate) async fn next_finalize(&self) {
        let mut progress = self.progress.subscribe();
        let before = progress.borrow().finalizes;
        progress
            .wait_for(|now| now.finalizes > before)
            .await
            .unwrap();
    }

    pub(crate) fn answered(&self) {
        self.progress.send_modify(|now| now.answers += 1);
    }

    pub(crate) fn finalizing(&self) {
        self.progress.send_modify(|now| now.finalizes += 1);
    }

    async fn client(&self) -> Result<AcmeClient, ClientError> {
        let laboratory = &self.laboratory;
        AcmeClient::connect(&laboratory.directory_url(), &laboratory.ca_bundle()).await
    }
}
