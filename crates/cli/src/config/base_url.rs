use std::{fmt, net::IpAddr, str::FromStr};

use assay_ca::authority::Host;
use serde::{Deserialize, Deserializer, de::Error as _};

/// The origin of all URLs of a server: `https`, a host and an optional port,
/// nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    host: UrlHost,
    port: Option<u16>,
}

/// The host of a base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlHost {
    /// A DNS name, in lower case.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl BaseUrl {
    /// `https://localhost:PORT`
    pub fn localhost(port: u16) -> Self {
        Self {
            host: UrlHost::Dns("localhost".to_owned()),
            port: Some(port),
        }
    }

    /// Replaces the host.
    pub fn with_host(&self, host: UrlHost) -> Self {
        Self {
            host,
            port: self.port,
        }
    }

    /// The host.
    pub fn host(&self) -> &UrlHost {
        &self.host
    }

    /// The port; 443 by default.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(443)
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            UrlHost::Dns(name) => name == "localhost",
            UrlHost::Ip(address) => address.is_loopback(),
        }
    }
}

impl UrlHost {
    /// Converts the host to the CA's type.
    pub fn for_certificate(&self) -> Host {
        match self {
            Self::Dns(name) => Host::Dns(name.clone()),
            Self::Ip(address) => Host::Ip(*address),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            UrlHost::Dns(name) => write!(f, "https://{name}")?,
            UrlHost::Ip(IpAddr::V4(address)) => write!(f, "https://{address}")?,
            UrlHost::Ip(IpAddr::V6(address)) => write!(f, "https://[{address}]")?,
        }
        match self.port {
            Some(port) if port != 443 => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for UrlHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            Err(format!(
                "{text:?} is not a base URL: {why}, for example https://ca.example.org:8443"
            ))
        };
        let Some(authority) = text.strip_prefix("https://") else {
            return bad("it must begin with https://");
        };
        if authority.ends_with('/') {
            return bad("it must not end in a slash");
        }
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return bad("it must be an origin, nothing but scheme, host and port");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => match port.parse::<u16>() {
                Ok(port) if port > 0 => (host, Some(port)),
                _ => return bad("the port must be a number from 1 to 65535"),
            },
            _ => (authority, None),
        };
        let host = if let Some(address) = host.strip_prefix('[') {
            match address.strip_suffix(']').map(str::parse) {
                Some(Ok(address)) => UrlHost::Ip(IpAddr::V6(address)),
                _ => return bad("the address in brackets is not an IPv6 address"),
            }
        } else if let Ok(address) = host.parse() {
            UrlHost::Ip(IpAddr::V4(address))
        } else {
            let last_is_number = host
                .rsplit('.')
                .next()
                .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
            if !assay_ca::is_dns_name(host) || last_is_number {
                return bad("its host is neither a DNS name nor an address");
            }
            UrlHost::Dns(host.to_ascii_lowercase())
        };
        Ok(Self { host, port })
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
