use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::net::TcpListener;

use crate::{limits::RateLimits, tls::TlsIdentity};

/// The default time limit for the head of a request.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// The default time after which an idle HTTP/2 connection is closed.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How many connections beyond [`ServerConfig::max_connections`] are accepted.
/// They wait for an ordinary place, and can ask for the server's health.
pub const RESERVED_CONNECTIONS: usize = 64;

/// Configuration of a [`Server`](crate::Server).
#[derive(Debug)]
pub struct ServerConfig {
    /// The listening socket.
    pub listen: TcpListener,
    /// The TLS identity; `None` serves plain HTTP/1.1, for a proxy in front.
    pub tls: Option<Arc<TlsIdentity>>,
    /// The proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each request is written to the access log.
    pub access_log: bool,
    /// Whether each connection begins with a PROXY protocol header, version 2.
    /// If so, only `trusted_proxies` may connect.
    pub proxy_protocol: bool,
    /// The rate limits of each address.
    pub rate_limits: RateLimits,
    /// The maximum number of connections. Further ones wait for a place.
    pub max_connections: usize,
    /// The maximum number of connections of one address (IPv6: of one /64); 0
    /// is no limit. Further ones are closed.
    pub connections_per_address: usize,
    /// The time limit for the head of a request. On HTTP/1.1 the time runs from
    /// the end of the last response, so it is also the keep-alive timeout.
    pub header_timeout: Duration,
    /// The time after which an idle HTTP/2 connection is closed.
    pub idle_timeout: Duration,
    /// At shutdown: the time limit for answering requests that have arrived
    /// whole.
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// A configuration for tests and replays: no TLS, no proxies, 800 connections
    /// (what the usual limit of 1,024 open files allows; the binary's default is
    /// 4,096), a quarter of them for one address, 20 s for a head, 75 s idle, 3 s to drain.
    #[must_use]
    pub fn new(listen: TcpListener) -> Self {
        Self {
            listen,
            tls: None,
            trusted_proxies: Vec::new(),
            access_log: false,
            proxy_protocol: false,
            rate_limits: RateLimits::default(),
            max_connections: 800,
            connections_per_address: 200,
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            drain_timeout: Duration::from_secs(3),
        }
    }
}
