//! The HTTP layer: axum on hyper, TLS, one file per ACME resource.
//!
//! It parses requests into the engine's types and renders what the engine
//! returns. It decides nothing about accounts, orders or certificates, but who
//! gets a connection and memory, and how often a client may ask. [`HttpService`] is the whole layer without
//! sockets; [`Server`] accepts connections for it.
//!
//! The extractor `Signed` is the only way to a payload. It checks the media
//! type and size and has the engine authenticate the request.

mod access;
mod activity;
mod address;
mod body;
mod brief;
mod clock_refusals;
mod config;
mod connection;
mod crowd;
mod current;
mod health;
mod http_service;
mod limits;
mod memory;
mod named;
mod places;
mod proxy_protocol;
mod refusal;
mod refused;
mod render;
mod request_log;
mod routes;
mod server;
mod signed;
mod standing;
mod starting;
mod state;
mod tls;
mod work;

pub use access::ACCESS_TARGET;
pub use address::Peer;
pub use config::{RESERVED_CONNECTIONS, ServerConfig};
pub use connection::serve_stream;
pub use health::{ReadReadiness, serve_health};
pub use http_service::HttpService;
pub use limits::{Limit, Override, Rate, RateLimits, Rates};
pub use request_log::RequestLog;
pub use server::Server;
pub use starting::{Percent, answer_while_starting};
pub use tls::{TlsIdentity, TlsIdentityError};
