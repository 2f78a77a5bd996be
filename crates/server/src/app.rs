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

/// What all requests share.
pub(crate) struct App {
    pub(crate) bodies: Bodies,
    pub(crate) engine: Arc<Engine>,
    pub(crate) forwarders: Forwarders,
    pub(crate) limits: Limits,
    pub(crate) memory: Arc<Memory>,
    pub(crate) request_log: Arc<RequestLog>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) work: Work,
}

impl App {
    /// Charges a request to a limit of its sender's.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn charge(&self, limit: Limit, client: IpAddr) -> Result<(), Refusal> {
        (self.limits.charge(limit, client)).map_err(|too_soon| Refusal::too_fast(limit, &too_soon))
    }

    /// Charges a request that failed, and ends its connection. Once its sender
    /// may not fail any more, a request without a genuine nonce is told so; one
    /// with such a nonce is told what is wrong, since it may be a device's that
    /// shares its address with the sender of junk. Neither gets another nonce:
    /// it would be one for three more failures.
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
