//! Checks whether a certificate can be used here: its dates, its usage and its
//! names. The module that combines certificate and key checks that they match.

use anyhow::{Context as _, bail, ensure};
use assay_ca::{Issuer, Root};
use assay_engine::issuance;
use assay_proto::Timestamp;
use const_oid::db::rfc5280::ID_KP_SERVER_AUTH;
use der::Decode as _;
use x509_cert::{
    Certificate,
    ext::pkix::{ExtendedKeyUsage, SubjectAltName, name::GeneralName},
};

use crate::config::UrlHost;

/// Refuses a CA that is not valid at `now`.
pub fn check_ca(name: &str, issuer: &Issuer, now: Timestamp) -> anyhow::Result<()> {
    check_validity(
        &format!("{name} CA's"),
        Timestamp(issuer.not_before()),
        Timestamp(issuer.not_after()),
        now,
        issuance::renew_ca(name),
    )
}

/// Refuses a server certificate that is not valid at `now`, not for TLS
/// servers, or not for `host`, if that is known.
pub fn check_server(leaf_der: &[u8], host: Option<&UrlHost>, now: Timestamp) -> anyhow::Result<()> {
    let leaf = Certificate::from_der(leaf_der).context("the TLS certificate is malformed")?;
    let tbs = leaf.tbs_certificate();
    let time = |time: &x509_cert::time::Time| Timestamp(time.to_unix_duration().as_secs());
    let (begin, end) = (
        time(&tbs.validity().not_before),
        time(&tbs.validity().not_after),
    );
    check_validity("TLS", begin, end, now, "replace it")?;
    // Apple's systems require the extension: "TLS server certificates must
    // contain an ExtendedKeyUsage (EKU) extension containing the
    // id-kp-serverAuth OID" (support.apple.com/103769).
    let usage = tbs
        .get_extension::<ExtendedKeyUsage>()
        .context("the TLS certificate's extended key usage is malformed")?;
    ensure!(
        usage.is_some_and(|(_, usage)| usage.0.contains(&ID_KP_SERVER_AUTH)),
        "the TLS certificate ({begin} to {end}) is not for servers: its extended key usage lacks serverAuth"
    );
    let Some(host) = host else { return Ok(()) };
    let names = tbs
        .get_extension::<SubjectAltName>()
        .context("the TLS certificate's subject alternative name is malformed")?;
    let names = names.map_or_else(Vec::new, |(_, names)| names.0);
    ensure!(
        names.iter().any(|name| is_for(name, host)),
        "the TLS certificate ({begin} to {end}) is not for {host}, the host of the base URL: it is for {}",
        listed(&names)
    );
    Ok(())
}

/// Refuses a root that is not valid at `now`.
pub fn check_root(root: &Root, now: Timestamp) -> anyhow::Result<()> {
    check_validity(
        "root's",
        Timestamp(root.not_before()),
        Timestamp(root.not_after()),
        now,
        "create a new server with `assay init`, in another directory: certificates below this root are no longer trusted",
    )
}

/// The start and the end of a certificate's (DER) validity.
pub fn validity_of(der: &[u8]) -> anyhow::Result<(Timestamp, Timestamp)> {
    let certificate = Certificate::from_der(der).context("the certificate is malformed")?;
    let validity = certificate.tbs_certificate().validity();
    let time = |time: &x509_cert::time::Time| Timestamp(time.to_unix_duration().as_secs());
    Ok((time(&validity.not_before), time(&validity.not_after)))
}

fn check_validity(
    whose: &str,
    begin: Timestamp,
    end: Timestamp,
    now: Timestamp,
    remedy: &str,
) -> anyhow::Result<()> {
    if now < begin {
        bail!(
            "the {whose} certificate begins at {begin} (and ends at {end}), and the clock says {now}: correct the clock, or {remedy}"
        );
    }
    // RFC 5280 section 4.1.2.5: "The validity period for a certificate is the
    // period of time from notBefore through notAfter, inclusive."
    if now > end {
        bail!(
            "the {whose} certificate ended at {end} (and began at {begin}), and the clock says {now}: correct the clock, or {remedy}"
        );
    }
    Ok(())
}

/// RFC 9525 section 6.3: a wildcard is the whole left-most label and matches
/// exactly one label.
fn is_for(name: &GeneralName, host: &UrlHost) -> bool {
    match (name, host) {
        (GeneralName::DnsName(name), UrlHost::Dns(host)) => {
            let name = name.as_str();
            name.eq_ignore_ascii_case(host)
                || match (name.strip_prefix("*."), host.split_once('.')) {
                    (Some(parent), Some((_, rest))) => parent.eq_ignore_ascii_case(rest),
                    _ => false,
                }
        }
        (GeneralName::IpAddress(name), UrlHost::Ip(host)) => match host {
            std::net::IpAddr::V4(host) => name.as_bytes() == host.octets(),
            std::net::IpAddr::V6(host) => name.as_bytes() == host.octets(),
        },
        _ => false,
    }
}

fn listed(names: &[GeneralName]) -> String {
    let dns: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    match dns.as_slice() {
        [] => "no DNS name".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn dns(host: &str) -> UrlHost {
        UrlHost::Dns(host.to_owned())
    }

    fn certificate(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2027, 1, 1);
        params.not_after = date_time_ymd(2027, 2, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn refusal(der: &[u8], host: &str, now: Timestamp) -> String {
        let error = check_server(der, Some(&dns(host)), now).unwrap_err();
        format!("{error:#}")
    }

    #[test]
    fn a_tls_certificate_is_for_the_base_urls_host() {
        let der = certificate(&["ca.example.org", "*.example.net", "192.0.2.7"], |_| {});
        for host in ["ca.example.org", "CA.example.org", "acme.example.net"] {
            check_server(&der, Some(&dns(host)), NOW).unwrap();
        }
        check_server(&der, Some(&UrlHost::Ip([192, 0, 2, 7].into())), NOW).unwrap();
        check_server(&der, None, NOW).unwrap();
        for host in [
            "example.org",
            "x.ca.example.org",
            "example.net",
            "a.b.example.net",
        ] {
            let refused = refusal(&der, host, NOW);
            for part in [
                host,
                "2027-02-01",
                "it is for ca.example.org, *.example.net",
            ] {
                assert!(refused.contains(part), "{refused}");
            }
        }
        assert!(check_server(&der, Some(&UrlHost::Ip([192, 0, 2, 8].into())), NOW).is_err());
        // The common name is ignored.
        let der = certificate(&[], |params| {
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, "ca.example.org");
        });
        assert!(refusal(&der, "ca.example.org", NOW).contains("no DNS name"));
    }

    #[test]
    fn a_tls_certificate_out_of_its_time_is_refused_with_its_dates() {
        let der = certificate(&["a"], |_| {});
        for (now, word) in [
            (NOW.minus(30 * 86_400), "begins at"),
            (NOW.plus(30 * 86_400), "ended at"),
        ] {
            let refused = refusal(&der, "a", now);
            let now = now.to_string();
            for part in [word, "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z", &now] {
                assert!(refused.contains(part), "{refused}");
            }
        }
    }

    #[test]
    fn a_tls_certificate_without_server_auth_is_refused() {
        for usages in [vec![], vec![ExtendedKeyUsagePurpose::ClientAuth]] {
            let der = certificate(&["a"], |params| params.extended_key_usages = usages);
            assert!(refusal(&der, "a", NOW).contains("serverAuth"));
        }
        assert!(refusal(b"junk", "a", NOW).contains("malformed"));
    }

    #[test]
    fn a_ca_out_of_its_time_is_refused_with_its_dates() {
        let issuer = assay_ca::authority::repeatable(NOW.0).unwrap();
        let (begin, end) = (
            Timestamp(issuer.not_before()),
            Timestamp(issuer.not_after()),
        );
        for now in [begin, NOW, end] {
            check_ca("issuing", &issuer, now).unwrap();
        }
        for now in [begin.minus(1), end.plus(1)] {
            let refused = format!("{:#}", check_ca("issuing", &issuer, now).unwrap_err());
            for part in [
                "issuing",
                &begin.to_string(),
                &end.to_string(),
                &now.to_string(),
            ] {
                assert!(refused.contains(part), "{refused}");
            }
        }
    }
}
