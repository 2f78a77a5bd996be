use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// The header to which proxies append the address of their client.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The peer of the connection that a request came in on: an extension of the
/// request. [`Server`](crate::Server) sets it; a request without one counts as
/// coming from 0.0.0.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The address that limits and logs use for a request: an extension of the
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// Returns what [`HttpService`](crate::HttpService) noted for a request, or the
    /// unspecified address.
    pub(crate) fn noted_in(extensions: &Extensions) -> IpAddr {
        extensions
            .get()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Self(client)| *client)
    }

    /// Determines the client's address: the peer, or, if the peer is a trusted
    /// proxy, the rightmost address of X-Forwarded-For that is no trusted
    /// proxy. Whatever is left of that address was sent by the client and is
    /// not trusted.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = extensions
            .get::<Peer>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        let mut client = peer.to_canonical();
        // A header field that the client itself sent may be no text. It must
        // not hide what proxies appended.
        let values: Vec<_> = (headers.get_all(FORWARDED_FOR).iter())
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let mut hops = values.iter().rev().flat_map(|value| value.rsplit(','));
        while is_in(trusted, client) {
            match hops.next().and_then(|hop| parse(hop.trim())) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        Self(client)
    }
}

/// Returns whether one of `networks` holds an address. IPv4-mapped addresses
/// count as IPv4.
pub(crate) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Logs peers whose X-Forwarded-For is not trusted: each once, and only the
/// first few, so that no client can flood the log.
#[derive(Default)]
pub(crate) struct Forwarders(Mutex<HashSet<IpAddr>>);

impl Forwarders {
    /// The maximum number of logged peers.
    const MOST: usize = 32;

    /// Checks the header of a request that came in from `peer`.
    pub(crate) fn check(&self, peer: Option<&Peer>, headers: &HeaderMap, trusted: &[IpNet]) {
        let Some(Peer(peer)) = peer else { return };
        if headers.contains_key(FORWARDED_FOR) && !is_in(trusted, *peer) && self.is_new(*peer) {
            let peer = peer.to_canonical();
            let network = IpNet::from(peer);
            tracing::warn!(
                event = "forwarded_for_ignored",
                %peer,
                remedy = format_args!(
                    "if it is your proxy, add \"{network}\" to server.trusted_proxies; otherwise ignore this: a client set the header"
                ),
                "X-Forwarded-For is ignored because this peer is not in server.trusted_proxies: its requests are counted under its own address"
            );
        }
    }

    fn is_new(&self, peer: IpAddr) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len() < Self::MOST && seen.insert(host(peer))
    }
}

/// Returns what counts as one host: an IPv6 host can take any address of its
/// /64.
pub(crate) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// Returns what counts as one site: the largest network that one customer of a
/// provider has.
pub(crate) fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() >> 8 << 8)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80)),
    }
}

/// Parses an address with or without a port.
fn parse(hop: &str) -> Option<IpAddr> {
    hop.parse()
        .or_else(|_| hop.parse().map(|socket: SocketAddr| socket.ip()))
        .map(|address: IpAddr| address.to_canonical())
        .ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn untrusted_peers_are_logged_once_and_few_of_them() {
        let forwarders = Forwarders::default();
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!(forwarders.is_new(peer(0)));
        assert!(!forwarders.is_new(peer(0)));
        let reported = (1..1_000).filter(|number| forwarders.is_new(peer(*number)));
        assert_eq!(reported.count(), Forwarders::MOST - 1);
    }

    #[test]
    fn the_forwarded_address_counts_only_behind_a_trusted_proxy() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("::1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            // The client sent the first address itself.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["203.0.113.9, 198.51.100.7, 10.0.0.2"],
                "198.51.100.7",
            ),
            (
                "10.0.0.1",
                &["198.51.100.7", "10.0.0.3 ,10.0.0.2"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["\u{ff}, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["\u{ff}", "198.51.100.7"], "198.51.100.7"),
        ] {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().unwrap()));
            let mut headers = HeaderMap::new();
            for value in forwarded {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append("x-forwarded-for", value);
            }
            assert_eq!(
                ClientAddress::of(&extensions, &headers, &trusted),
                ClientAddress(expected.parse().unwrap()),
                "{peer} {forwarded:?}"
            );
        }
    }
}
