//! A CA key in a module: its signatures block.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use assay_ca::{FileSigner, Issuer, SignError, SignatureAlgorithm, Signer, authority::CaMaterial};
use assay_engine::ports::{Blocking, Job, Unfinished};
use async_trait::async_trait;
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// How long a signature waits for the module to be opened.
const LONGEST: Duration = Duration::from_secs(10);

/// A module that holds keys.
#[derive(Default)]
pub struct Module {
    /// The duration of a signature.
    delay: Duration,
    /// Whether signers panic.
    pub broken: AtomicBool,
    begun: AtomicUsize,
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Module {
    pub fn slow(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    /// Makes new signatures wait until the module is opened.
    pub fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    /// The number of signatures begun.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Returns once this many signatures have begun.
    pub async fn begins(&self, count: usize) {
        while self.begun() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The CA of `material`, with its key in this module.
    pub fn issuer(self: &Arc<Self>, material: &CaMaterial) -> Issuer {
        let der = CertificateDer::from_pem_slice(material.certificate_pem.as_bytes()).unwrap();
        let key = FileSigner::from_pkcs8_pem(&material.key_pem).unwrap();
        let module = Arc::clone(self);
        Issuer::new(&der, Box::new(KeyInModule { key, module })).unwrap()
    }

    fn wait(&self) {
        std::thread::sleep(self.delay);
        // Bounded, so that a failed test ends.
        let closed = self.closed.lock().unwrap();
        let waited = self
            .opened
            .wait_timeout_while(closed, LONGEST, |closed| *closed);
        drop(waited.unwrap());
    }
}

struct KeyInModule {
    key: FileSigner,
    module: Arc<Module>,
}

impl Signer for KeyInModule {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn spki_der(&self) -> &[u8] {
        self.key.spki_der()
    }

    fn may_block(&self) -> bool {
        true
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.module.begun.fetch_add(1, Ordering::SeqCst);
        self.module.wait();
        assert!(
            !self.module.broken.load(Ordering::SeqCst),
            "a broken module"
        );
        self.key.sign(message)
    }
}

/// Threads that may block.
#[derive(Default)]
pub struct TestThreads {
    /// Whether every job times out at once.
    pub impatient: AtomicBool,
}

#[async_trait]
impl Blocking for TestThreads {
    async fn run(&self, job: Job, patience: Duration) -> Result<(), Unfinished> {
        let running = tokio::task::spawn_blocking(job);
        if self.impatient.load(Ordering::SeqCst) {
            return Err(Unfinished::Late);
        }
        let ended = tokio::time::timeout(patience, running).await;
        ended.map(drop).map_err(|_| Unfinished::Late)
    }
}
