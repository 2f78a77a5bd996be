//! The destination of a request.

use std::time::Duration;

use hyper::{Uri, header::HeaderValue};

use crate::http::HttpError;

/// The server endpoint of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

/// A URL, split into the parts that a request needs.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) origin: Origin,
    pub(super) server_name: String,
    pub(super) host: HeaderValue,
    pub(super) path: Uri,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, HttpError> {
        let invalid = || HttpError::Url {
            url: url.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid()),
        };
        let authority = uri.authority().ok_or_else(invalid)?;
        // An IPv6 address has brackets in a URL and nowhere else.
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self {
            url: url.to_owned(),
            origin: Origin {
                tls,
                host: host.clone(),
                port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            },
            server_name: host,
            host: HeaderValue::from_str(authority.as_str()).map_err(|_| invalid())?,
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .parse()
                .map_err(|_| invalid())?,
        })
    }

    pub(super) fn invalid_url(&self) -> HttpError {
        HttpError::Url {
            url: self.url.clone(),
        }
    }

    pub(super) fn timed_out(&self, limit: Duration) -> HttpError {
        HttpError::TimedOut {
            url: self.url.clone(),
            seconds: limit.as_secs(),
        }
    }
}
