//! Why a server could not be asked.

use std::io;

use super::tls::TlsCause;

/// Why no HTTP answer was had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HttpError {
    /// No TCP connection, or one that broke at once.
    #[error("no connection to {address}: {reason}; is the server running there?")]
    Connect {
        /// Host and port.
        address: String,
        /// The kind of the system's error.
        kind: io::ErrorKind,
        /// The system's words for it.
        reason: String,
    },
    /// The connection broke while the request was under way.
    #[error("the exchange with {url} broke off: {reason}")]
    Exchange {
        /// The URL asked for.
        url: String,
        /// What hyper says.
        reason: String,
    },
    /// No answer in time.
    #[error("{url} did not answer within {seconds} seconds")]
    TimedOut {
        /// The URL asked for.
        url: String,
        /// How long the client waited.
        seconds: u64,
    },
    /// The TLS handshake failed: the certificate is not from the CA bundle, names another host,
    /// or the server speaks no TLS.
    #[error("no TLS with {server_name} ({reason}): {cause}")]
    Tls {
        /// The name that the certificate should have carried.
        server_name: String,
        /// Why.
        cause: TlsCause,
        /// What rustls says.
        reason: String,
    },
    /// The CA bundle is of no use.
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
