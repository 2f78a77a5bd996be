use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::net::TcpListener;

use crate::{limits::RateLimits, tls::TlsIdentity};

/// How long a client may usually take to send the head of a request.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an HTTP/2 connection is usually kept open without a request.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// The places beside [`ServerConfig::max_connections`], in which connections
/// wait for one of these, and are told of the server's health.
pub const RESERVED_CONNECTIONS: usize = 64;

/// How a [`Server`](crate::Server) serves.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where connections come in.
    pub listen: TcpListener,
    /// The TLS end; `None` serves plain HTTP/1.1, for a proxy in front.
    pub tls: Option<Arc<TlsIdentity>>,
    /// The proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each request gets a line of the access log.
    pub access_log: bool,
    /// Whether each connection begins with a header of the PROXY protocol,
    /// version 2. Only `trusted_proxies` may connect then.
    pub proxy_protocol: bool,
    /// How often one address may ask.
    pub rate_limits: RateLimits,
    /// The most connections at once; others wait for a place.
    pub max_connections: usize,
    /// The most connections at once of one address (IPv6: of one /64); 0 is no
    /// limit. Others are closed.
    pub connections_per_address: usize,
    /// How long a client may take to send the head of a request. On HTTP/1.1
    /// the time runs from the end of the last response: a connection is kept
    /// open that long without a request.
    pub header_timeout: Duration,
    /// How long an HTTP/2 connection is kept open without a request.
    pub idle_timeout: Duration,
    /// How long requests that have arrived whole may take once the server is to
    /// end.
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// The usual configuration: no TLS, no proxies, 800 connections (what the
    /// usual limit of 1,024 open files allows), a quarter of them for one
    /// address, 20 s for a head, 75 s idle, 3 s to end.
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
