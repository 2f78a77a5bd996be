//! The PROXY protocol, version 2: a proxy that passes TLS through names the
//! client in front of each connection.

use std::net::IpAddr;

use ipnet::IpNet;
use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX, Protocol};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    address::is_in,
    refused::{Cause, ProxyRefusal},
};

/// The first bytes of version 1, which is text.
const VERSION_1: &[u8] = b"PROXY ";

/// The length of a header's fixed part: the prefix, version and command, family
/// and protocol, and the length of the rest.
const FIXED: usize = 16;

/// The maximum length behind the fixed part of a header: addresses, and TLVs,
/// which are read and ignored. Senders usually send at most 536 bytes; client
/// certificates may take more.
const MAX_LENGTH: u16 = 2048;

/// The proxies that begin each connection with a header.
#[derive(Clone, Debug)]
pub(crate) struct ProxyProtocol {
    trusted: Vec<IpNet>,
}

impl ProxyProtocol {
    /// Creates settings with which all connections come from `trusted` proxies
    /// and begin with a header.
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted }
    }

    /// Returns whether a connection of `peer` is served.
    pub(crate) fn allows(&self, peer: IpAddr) -> bool {
        is_in(&self.trusted, peer)
    }
}

/// Reads a header and nothing behind it. Returns the client's address; `None`
/// if the proxy connects for itself (LOCAL, a health check).
///
/// # Errors
/// The bytes are not a header of version 2 for a TCP client, or the connection
/// ended.
pub(crate) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<IpAddr>, HeaderError> {
    let mut header = vec![0; PROTOCOL_PREFIX.len()];
    stream.read_exact(&mut header).await?;
    if header.starts_with(VERSION_1) {
        return Err(ProxyRefusal::Version1.into());
    }
    // PROXY protocol specification, section 2.2: "The receiver MUST be
    // configured to only receive the protocol described in this specification
    // and MUST not try to guess whether the protocol header is present or not."
    if header != PROTOCOL_PREFIX {
        return Err(ProxyRefusal::HeaderMissing.into());
    }
    header.resize(FIXED, 0);
    stream
        .read_exact(&mut header[PROTOCOL_PREFIX.len()..])
        .await?;
    let length = u16::from_be_bytes([header[14], header[15]]);
    if length > MAX_LENGTH {
        return Err(ProxyRefusal::HeaderMalformed.into());
    }
    header.resize(FIXED + usize::from(length), 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    let header = Header::try_from(header.as_slice()).map_err(|_| ProxyRefusal::HeaderMalformed)?;
    // "\x0 : LOCAL : the connection was established on purpose by the proxy
    // without being relayed. [...] the receiver must accept this connection as
    // valid and must use the real connection endpoints and discard the protocol
    // block including the family which is ignored."
    if header.command == Command::Local {
        return Ok(None);
    }
    let client: IpAddr = match (header.protocol, header.addresses) {
        (Protocol::Stream, Addresses::IPv4(addresses)) => addresses.source_address.into(),
        (Protocol::Stream, Addresses::IPv6(addresses)) => addresses.source_address.into(),
        // Limits do not apply to the proxy's own address, so it cannot stand in
        // for the client's.
        _ => return Err(ProxyRefusal::NoClientAddress.into()),
    };
    Ok(Some(client.to_canonical()))
}

/// Why the client's address is unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The connection ended before its header.
    #[error("the connection ended before its header: {0}")]
    Io(#[from] std::io::Error),
    /// The proxy sent something else than a valid header.
    #[error("{}", .0.reason())]
    Refused(ProxyRefusal),
}

impl HeaderError {
    /// The cause, if an operator can fix it; a connection that merely ends has
    /// none.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Io(_) => None,
            Self::Refused(refusal) => Some(Cause::Proxy(*refusal)),
        }
    }
}

impl From<ProxyRefusal> for HeaderError {
    fn from(refusal: ProxyRefusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    /// Builds a header: command and family, then `rest` behind the length.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 187];

    fn v6(source: &str) -> Vec<u8> {
        let source: std::net::Ipv6Addr = source.parse().unwrap();
        [&source.octets()[..], &[0; 16], &[0x12, 0x67, 1, 187]].concat()
    }

    /// Reads a header from `sent`. Returns the result and how many bytes are
    /// left.
    async fn read(sent: &[u8]) -> (Result<Option<IpAddr>, HeaderError>, usize) {
        let mut stream = sent;
        let found = read_header(&mut stream).await;
        (found, stream.len())
    }

    async fn client(sent: &[u8]) -> Option<String> {
        let (found, left) = read(&[sent, b"\x16\x03\x01"].concat()).await;
        assert_eq!(left, 3, "what follows the header is TLS");
        found.unwrap().map(|address| address.to_string())
    }

    async fn refusal(sent: &[u8]) -> ProxyRefusal {
        match read(sent).await.0 {
            Err(HeaderError::Refused(refusal)) => refusal,
            other => panic!("{sent:?}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_header_names_the_client_and_nothing_behind_it_is_read() {
        let seven = Some("203.0.113.7".to_owned());
        assert_eq!(client(&header(0x21, 0x11, &V4)).await, seven);
        // A TLV (PP2_TYPE_NOOP) is ignored.
        let with_tlv = [&V4[..], &[4, 0, 1, 0]].concat();
        assert_eq!(client(&header(0x21, 0x11, &with_tlv)).await, seven);
        for (source, shown) in [
            ("2001:db8::7", "2001:db8::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
        ] {
            let found = client(&header(0x21, 0x21, &v6(source))).await;
            assert_eq!(found.as_deref(), Some(shown));
        }
    }

    #[tokio::test]
    async fn local_uses_the_address_of_the_socket() {
        assert_eq!(client(&header(0x20, 0x00, b"")).await, None);
        assert_eq!(client(&header(0x20, 0x11, &V4)).await, None);
    }

    #[tokio::test]
    async fn version_1_is_refused_by_name() {
        for sent in [
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n",
            "PROXY UNKNOWN\r\n",
        ] {
            assert_eq!(refusal(sent.as_bytes()).await, ProxyRefusal::Version1);
        }
    }

    #[tokio::test]
    async fn a_header_of_another_kind_is_refused() {
        let long = vec![0; usize::from(MAX_LENGTH) + 1];
        for (sent, expected) in [
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".to_vec(),
                ProxyRefusal::HeaderMissing,
            ),
            (
                b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                ProxyRefusal::HeaderMissing,
            ),
            // Another version, an unknown command or family, short addresses.
            (header(0x31, 0x11, &V4), ProxyRefusal::HeaderMalformed),
            (header(0x22, 0x11, &V4), ProxyRefusal::HeaderMalformed),
            (header(0x21, 0x41, &V4), ProxyRefusal::HeaderMalformed),
            (header(0x21, 0x13, &V4), ProxyRefusal::HeaderMalformed),
            (header(0x21, 0x11, &V4[..11]), ProxyRefusal::HeaderMalformed),
            (header(0x21, 0x21, &V4), ProxyRefusal::HeaderMalformed),
            (header(0x21, 0x11, &long), ProxyRefusal::HeaderMalformed),
            // UDP, a UNIX socket, and no address at all.
            (header(0x21, 0x12, &V4), ProxyRefusal::NoClientAddress),
            (header(0x21, 0x31, &[0; 216]), ProxyRefusal::NoClientAddress),
            (header(0x21, 0x00, b""), ProxyRefusal::NoClientAddress),
        ] {
            assert_eq!(refusal(&sent).await, expected, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn a_truncated_header_has_no_cause_for_operators() {
        let whole = header(0x21, 0x11, &V4);
        for end in 0..whole.len() {
            let found = read(&whole[..end]).await.0;
            assert!(matches!(found, Err(HeaderError::Io(_))), "{end}: {found:?}");
        }
    }

    fn check<T: Debug>(sent: &[u8], result: &Result<Option<T>, HeaderError>) {
        if let Ok(Some(_)) = result {
            assert!(
                sent.starts_with(PROTOCOL_PREFIX) && sent[12] == 0x21,
                "{sent:?}"
            );
            assert!([0x11, 0x21].contains(&sent[13]), "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_refused(
            start in any::<[u8; 4]>(),
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let sent = [PROTOCOL_PREFIX, &start, &rest].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (found, _) = runtime.block_on(read(&sent));
            check(&sent, &found);
        }
    }
}
