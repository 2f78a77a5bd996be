use std::{net::IpAddr, sync::Arc};

use assay_engine::Engine;
use ipnet::IpNet;

use crate::{
    address::Forwarders,
    body::Bodies,
    limits::{Failure, Limit, Limits},
    memory::Memory,
    refusal::{Aftermath, Refusal},
    request_log::RequestLog,
    work::Work,
};

/// The state that all requests share.
pub(crate) struct AppState {
    pub(crate) bodies: Bodies,
    pub(crate) engine: Arc<Engine>,
    pub(crate) forwarders: Forwarders,
    pub(crate) limits: Limits,
    pub(crate) memory: Arc<Memory>,
    pub(crate) request_log: Arc<RequestLog>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) work: Work,
}

impl AppState {
    /// Charges a request to a limit of its sender.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn charge(&self, limit: Limit, client: IpAddr) -> Result<(), Refusal> {
        (self.limits.charge(limit, client)).map_err(|too_soon| Refusal::too_fast(limit, &too_soon))
    }

    /// Charges a request that failed, and ends its connection. Once its sender
    /// has no tokens for failures left, a request without a genuine nonce gets
    /// 429. A request with one still gets the exact error, because a device may
    /// share its address with the sender of junk. Neither gets a new nonce,
    /// which would allow three more failures.
    pub(crate) fn fail(&self, client: IpAddr, refusal: Refusal, genuine_nonce: bool) -> Refusal {
        if refusal.is_fault() {
            return refusal;
        }
        let aftermath = |withholds_nonce| Aftermath {
            closes: true,
            withholds_nonce,
        };
        match self.limits.fail(client) {
            Failure::Free => refusal,
            Failure::Charged => refusal.with_aftermath(aftermath(false)),
            Failure::Beyond(_) if genuine_nonce => refusal.with_aftermath(aftermath(true)),
            Failure::Beyond(too_soon) => {
                (refusal.instead_too_fast(&too_soon)).with_aftermath(aftermath(true))
            }
        }
    }
}
