//! Networks in the configuration.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, bail, ensure};
use ipnet::IpNet;

/// Parses all networks of a key.
pub(super) fn parse_all(key: &str, texts: &[String]) -> anyhow::Result<Vec<IpNet>> {
    (texts.iter())
        .map(|text| parse(text).context(key.to_owned()))
        .collect()
}

/// Parses trusted networks. An address with bits beyond its prefix is refused:
/// it may mean the address or its network, which is far larger.
pub(super) fn parse_trusted(key: &str, texts: &[String]) -> anyhow::Result<Vec<IpNet>> {
    let networks = parse_all(key, texts)?;
    for network in &networks {
        check_exact(network).context(key.to_owned())?;
    }
    Ok(networks)
}

fn check_exact(network: &IpNet) -> anyhow::Result<()> {
    ensure!(
        network.addr() == network.network(),
        "\"{network}\" has an address with bits beyond its prefix: write \"{}\" for the whole network, or \"{}\" for the one address",
        network.trunc(),
        IpNet::from(network.addr())
    );
    Ok(())
}

/// Parses `ADDRESS/BITS`.
pub(super) fn parse(text: &str) -> anyhow::Result<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let alone = IpNet::from(address);
        bail!("{text:?} has no prefix length: write \"{alone}\" for this one address");
    }
    let network: IpNet = text.parse().ok().with_context(|| {
        let example = "an address, a slash and a number of bits, such as \"10.0.0.0/8\" or \"192.0.2.1/32\"";
        match text.split_once('/') {
            Some((address, bits)) if address.parse::<IpAddr>().is_ok() => {
                format!("{text:?} is not a network: {bits:?} is not a valid number of bits for such an address; write {example}")
            }
            _ => format!("{text:?} is not a network: host names are not looked up; write {example}"),
        }
    })?;
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        // IPv4-mapped addresses are counted as IPv4.
        let bits = v6.prefix_len() - 96;
        bail!("{network} is an IPv4 network: write {v4}/{bits}");
    }
    Ok(network)
}

/// Whether a network contains every address.
pub(super) fn is_everyone(network: &IpNet) -> bool {
    network.prefix_len() == 0
}

/// Whether two sockets cannot listen at the same time: they have the same port,
/// and the same address or one of them the unspecified address. The unspecified
/// IPv6 address also covers IPv4.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let takes = |all: IpAddr, one: IpAddr| {
        all == one || (all.is_unspecified() && (all.is_ipv6() || one.is_ipv4()))
    };
    let [one, other] = [a, b].map(|address| address.ip().to_canonical());
    a.port() != 0 && a.port() == b.port() && (takes(one, other) || takes(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for text in [
            "10.0.0.0/8",
            "192.0.2.1/32",
            "2001:db8::/32",
            "::1/128",
            "0.0.0.0/0",
        ] {
            let trusted = parse_trusted("key", &[text.to_owned()]).unwrap();
            assert_eq!(trusted[0].to_string(), text);
        }
    }

    #[test]
    fn a_wrong_network_is_named_with_what_to_write() {
        for (text, expected) in [
            (
                "10.0.0.1/8",
                r#"write "10.0.0.0/8" for the whole network, or "10.0.0.1/32" for"#,
            ),
            (
                "fd00::1/8",
                r#"write "fd00::/8" for the whole network, or "fd00::1/128" for"#,
            ),
            ("10.0.0.1", r#"write "10.0.0.1/32" for this one address"#),
            ("::1", r#"write "::1/128" for this one address"#),
            ("::ffff:10.0.0.0/104", "write 10.0.0.0/8"),
            ("10.0.0.0/33", r#""33" is not a valid number of bits"#),
            (
                "10.0.0.0/255.0.0.0",
                r#""255.0.0.0" is not a valid number of bits"#,
            ),
            ("proxy.example.org", "host names are not looked up"),
            ("localhost/32", "host names are not looked up"),
            ("", "is not a network"),
        ] {
            let error = format!(
                "{:#}",
                parse_trusted("key", &[text.to_owned()]).unwrap_err()
            );
            let error = error.strip_prefix("key: ").unwrap();
            assert!(
                error.starts_with(&format!("{text:?}")) || error.starts_with(text),
                "{error}"
            );
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
