//! Why a server could not be reached.

use std::io;

use super::tls::TlsCause;

/// Why there is no HTTP response.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HttpError {
    /// No TCP connection, or one that broke at once.
    #[error("no connection to {address}: {reason}; is the server running there?")]
    Connect {
        /// Host and port.
        address: String,
        /// The kind of the system error.
        kind: io::ErrorKind,
        /// The text of the system error.
        reason: String,
    },
    /// The connection broke while the request was in flight.
    #[error("the connection to {url} broke during the request: {reason}")]
    Exchange {
        /// The requested URL.
        url: String,
        /// The error of hyper.
        reason: String,
    },
    /// No response within the timeout.
    #[error("{url} did not respond within {seconds} seconds")]
    TimedOut {
        /// The requested URL.
        url: String,
        /// How long the client waited.
        seconds: u64,
    },
    /// The TLS handshake failed: the certificate is not from the CA bundle, names another host, or
    /// the server does not use TLS.
    #[error("no TLS with {server_name} ({reason}): {cause}")]
    Tls {
        /// The server name that the certificate must contain.
        server_name: String,
        /// The cause.
        cause: TlsCause,
        /// The error of rustls.
        reason: String,
    },
    /// The CA bundle is unusable.
    #[error("the CA bundle cannot be used: {reason}")]
    Trust {
        /// What is wrong with it.
        reason: String,
    },
    /// Not a URL of the form `https://host:port/path` or `http://host:port/path`.
    #[error("{url:?} is not an http or https URL with a host")]
    Url {
        /// The text given.
        url: String,
    },
}
