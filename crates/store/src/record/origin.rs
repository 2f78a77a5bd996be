//! The stored form of the network of a request: the 4 bytes of an IPv4 address,
//! or the first 8 of an IPv6 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use assay_engine::domain::Origin;

pub(crate) fn encode(origin: Origin) -> Vec<u8> {
    match origin.address() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

/// Returns `None` for invalid bytes.
pub(crate) fn decode(bytes: &[u8]) -> Option<Origin> {
    let address = if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        IpAddr::V4(Ipv4Addr::from(octets))
    } else {
        let prefix = <[u8; 8]>::try_from(bytes).ok()?;
        IpAddr::V6(Ipv6Addr::from(u128::from(u64::from_be_bytes(prefix)) << 64))
    };
    // An IPv6 network that maps IPv4 has another form.
    Some(Origin::of(address)).filter(|origin| origin.address() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_back() {
        for (address, len) in [("192.0.2.7", 4), ("2001:db8:1:2::", 8), ("::", 8)] {
            let origin = Origin::of(address.parse().unwrap());
            let bytes = encode(origin);
            assert_eq!(bytes.len(), len);
            assert_eq!(decode(&bytes), Some(origin));
        }
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[0; 16]), None);
    }
}
