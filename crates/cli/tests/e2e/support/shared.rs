use std::sync::{Arc, Mutex, Weak};

use super::{Server, Setup};

/// A server for all the tests that run at the same time and disturb nobody: the
/// last one out ends it.
pub(crate) struct Shared {
    setup: Setup<'static>,
    server: Mutex<Weak<Server>>,
}

impl Shared {
    pub(crate) const fn new(setup: Setup<'static>) -> Self {
        Self {
            setup,
            server: Mutex::new(Weak::new()),
        }
    }

    pub(crate) fn server(&self) -> Arc<Server> {
        let mut shared = self.server.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Server::start(self.setup));
            *shared = Arc::downgrade(&server);
            server
        })
    }
}
