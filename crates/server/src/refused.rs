//! Counts connections that ended before their first request for a reason that
//! an operator can fix: how many, of which address and why.
//!
//! The first of an address and reason is logged at once, further ones as sums,
//! once a minute. Memory and log lines are bounded under a flood, too.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::{AlertDescription, Error, PeerIncompatible};
use tokio::time::Instant;

use crate::address::host;

/// How often sums are logged.
const SUMMARY: Duration = Duration::from_secs(60);
/// The maximum number of lines between two summaries, and in one summary.
const LINES: usize = 10;
/// The maximum number of address and reason pairs with their own count.
const CAPACITY: usize = 512;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// The PROXY protocol: no header, a wrong one, or a peer that is not a
    /// trusted proxy.
    Proxy(ProxyRefusal),
    /// The TLS handshake failed.
    Tls(TlsRefusal),
}

/// Why a connection with the PROXY protocol is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProxyRefusal {
    HeaderMalformed,
    HeaderMissing,
    NoClientAddress,
    NotATrustedProxy,
    Version1,
}

/// Why a TLS handshake failed: the client's alert (RFC 8446 section 6.2), or
/// what the client and this server do not have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TlsRefusal {
    AccessDenied,
    BadCertificate,
    CertificateExpired,
    CertificateRevoked,
    CertificateUnknown,
    DecryptError,
    HandshakeFailure,
    NoCommonCipher,
    NoCommonVersion,
    OtherAlert,
    ProtocolVersion,
    UnknownCa,
    UnsupportedCertificate,
}

impl TlsRefusal {
    /// Returns why a handshake failed; `None` if the client merely disconnected
    /// or did not send TLS.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<Error>()? {
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            Error::PeerIncompatible(
                // Before TLS 1.2 this extension does not exist, and rustls
                // looks for it before it looks at the version.
                PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Some(Self::NoCommonVersion),
            Error::PeerIncompatible(_) => Some(Self::NoCommonCipher),
            _ => None,
        }
    }

    fn of_alert(alert: AlertDescription) -> Option<Self> {
        Some(match alert {
            // The client cancelled. That says nothing about the server.
            AlertDescription::CloseNotify | AlertDescription::UserCanceled => return None,
            AlertDescription::AccessDenied => Self::AccessDenied,
            AlertDescription::BadCertificate => Self::BadCertificate,
            AlertDescription::CertificateExpired => Self::CertificateExpired,
            AlertDescription::CertificateRevoked => Self::CertificateRevoked,
            AlertDescription::CertificateUnknown => Self::CertificateUnknown,
            AlertDescription::DecryptError => Self::DecryptError,
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                Self::HandshakeFailure
            }
            AlertDescription::ProtocolVersion => Self::ProtocolVersion,
            AlertDescription::UnknownCA => Self::UnknownCa,
            AlertDescription::UnsupportedCertificate => Self::UnsupportedCertificate,
            _ => Self::OtherAlert,
        })
    }

    /// The stable name.
    fn reason(self) -> &'static str {
        match self {
            Self::AccessDenied => "access-denied",
            Self::BadCertificate => "bad-certificate",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateRevoked => "certificate-revoked",
            Self::CertificateUnknown => "certificate-unknown",
            Self::DecryptError => "decrypt-error",
            Self::HandshakeFailure => "handshake-failure",
            Self::NoCommonCipher => "no-common-cipher",
            Self::NoCommonVersion => "no-common-version",
            Self::OtherAlert => "other-alert",
            Self::ProtocolVersion => "protocol-version",
            Self::UnknownCa => "unknown-ca",
            Self::UnsupportedCertificate => "unsupported-certificate",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::UnknownCa => {
                "the client does not trust the CA of this server's TLS certificate: install ca/root.pem on it, or with tls = \"files\" the root of that chain, whose intermediates must be in tls_certificate"
            }
            Self::DecryptError => {
                "a signature of this server's TLS certificate does not verify for the client: most often it trusts an older CA of the same name; install the current ca/root.pem on it"
            }
            Self::CertificateExpired => {
                "this server's TLS certificate is expired or not yet valid by the client's clock: compare both clocks and the certificate's dates, and renew it"
            }
            Self::BadCertificate | Self::CertificateUnknown => {
                "the client does not accept this server's TLS certificate: most often its URL has a host that the certificate does not name, the CA is not trusted, or its clock is wrong; compare the client's directory URL with server.base_url"
            }
            Self::CertificateRevoked => {
                "the client reports that this server's TLS certificate is revoked: renew it"
            }
            Self::UnsupportedCertificate => {
                "this server's TLS certificate is not for servers: with tls = \"files\" it needs the extended key usage serverAuth"
            }
            Self::NoCommonVersion | Self::ProtocolVersion => {
                "the client supports neither TLS 1.2 nor 1.3: update it; a scanner can be ignored"
            }
            Self::HandshakeFailure | Self::NoCommonCipher => {
                "client and server have no cipher suite, group or signature scheme in common: update the client; a scanner can be ignored"
            }
            Self::AccessDenied | Self::OtherAlert => "see the client's own log",
        }
    }
}

impl ProxyRefusal {
    /// The stable name.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::HeaderMalformed => "header-malformed",
            Self::HeaderMissing => "header-missing",
            Self::NoClientAddress => "no-client-address",
            Self::NotATrustedProxy => "not-a-trusted-proxy",
            Self::Version1 => "version-1",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::HeaderMalformed => {
                "the proxy's header is not of version 2, or is longer than 2 KiB: check the proxy's settings"
            }
            Self::HeaderMissing => {
                "the proxy sends no PROXY protocol header: enable it there (HAProxy: send-proxy-v2), or disable server.proxy_protocol"
            }
            Self::NoClientAddress => {
                "the proxy's header names no TCP client: proxy only TCP connections; for health checks the proxy must send LOCAL"
            }
            Self::NotATrustedProxy => {
                "with server.proxy_protocol only server.trusted_proxies may connect: if this is your proxy, add it there; clients must connect to the proxy"
            }
            Self::Version1 => {
                "version 1 of the PROXY protocol is not supported: have the proxy send version 2 (HAProxy: send-proxy-v2). nginx sends version 1 only: end TLS there instead"
            }
        }
    }
}

/// How often a cause ended connections of an address.
type Sum = ((Cause, IpAddr), u64);

/// Counts refused connections.
#[derive(Default)]
pub(crate) struct RefusedConnections(Mutex<State>);

#[derive(Default)]
struct State {
    /// What was not logged since the last summary. 0 means: logged since then,
    /// or remembered so that further ones are summed.
    counts: HashMap<(Cause, IpAddr), u64>,
    /// What did not fit there.
    others: Others,
    lines: usize,
    summed: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Others {
    proxy: u64,
    tls: u64,
}

impl Others {
    fn add(&mut self, cause: Cause, count: u64) {
        match cause {
            Cause::Proxy(_) => self.proxy += count,
            Cause::Tls(_) => self.tls += count,
        }
    }
}

impl RefusedConnections {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection of `address` that ended because of `cause`.
    pub(crate) fn note(&self, cause: Cause, address: IpAddr) {
        if self.lock().count(cause, host(address)) {
            log(cause, address, 1);
        }
    }

    /// Logs the counts once a minute. Call it every second.
    pub(crate) fn summarize(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let summed = *state.summed.get_or_insert(now);
        if now.duration_since(summed) >= SUMMARY {
            state.summed = Some(now);
            drop(state);
            self.flush();
        }
    }

    /// Logs the counts. Call it at shutdown.
    pub(crate) fn flush(&self) {
        let (sums, others) = self.lock().take();
        for ((cause, address), count) in sums {
            log(cause, address, count);
        }
        if others.tls > 0 {
            tracing::warn!(
                event = "tls_refused",
                count = others.tls,
                "TLS handshakes failed, from more addresses than are listed"
            );
        }
        if others.proxy > 0 {
            tracing::warn!(
                event = "proxy_protocol_refused",
                count = others.proxy,
                "connections closed, from more addresses than are listed"
            );
        }
    }
}

impl State {
    /// Counts one. Returns whether it gets its own line.
    fn count(&mut self, cause: Cause, host: IpAddr) -> bool {
        let is_full = self.counts.len() >= CAPACITY;
        if let Some(count) = self.counts.get_mut(&(cause, host)) {
            *count += 1;
            return false;
        }
        if is_full {
            self.others.add(cause, 1);
            return false;
        }
        let is_logged = self.lines < LINES;
        self.lines += usize::from(is_logged);
        self.counts.insert((cause, host), u64::from(!is_logged));
        is_logged
    }

    /// Returns the largest sums and the total of the others, and resets the
    /// counts. An address without connections for a whole minute is forgotten,
    /// so that its next one is logged at once.
    fn take(&mut self) -> (Vec<Sum>, Others) {
        let mut sums: Vec<_> = (self.counts.drain())
            .filter(|(_, count)| *count > 0)
            .collect();
        sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut others = std::mem::take(&mut self.others);
        for ((cause, _), count) in sums.drain(LINES.min(sums.len())..) {
            others.add(cause, count);
        }
        self.counts.extend(sums.iter().map(|(key, _)| (*key, 0)));
        self.lines = 0;
        (sums, others)
    }
}

fn log(cause: Cause, address: IpAddr, count: u64) {
    match cause {
        Cause::Tls(refusal) => tracing::warn!(
            event = "tls_refused",
            client = %address,
            reason = refusal.reason(),
            count,
            remedy = refusal.remedy(),
            "TLS handshakes failed"
        ),
        Cause::Proxy(refusal) => tracing::warn!(
            event = "proxy_protocol_refused",
            peer = %address,
            reason = refusal.reason(),
            count,
            remedy = refusal.remedy(),
            "connections closed"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: Cause = Cause::Tls(TlsRefusal::NoCommonVersion);

    fn of(state: &mut State, count: usize, first: u32) -> usize {
        (0..count)
            .filter(|number| {
                let address = IpAddr::from((first + *number as u32).to_be_bytes());
                state.count(CAUSE, address)
            })
            .count()
    }

    #[test]
    fn the_first_of_an_address_is_logged_and_more_are_summed() {
        let mut state = State::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        assert!(state.count(CAUSE, address));
        for _ in 0..1_000 {
            assert!(!state.count(CAUSE, address));
        }
        // Another reason of the same address is something else.
        assert!(state.count(Cause::Proxy(ProxyRefusal::Version1), address));
        let (sums, others) = state.take();
        assert_eq!(sums, [((CAUSE, address), 1_000)]);
        assert_eq!(others, Others::default());
        // It continues and is summed. Then nothing comes for a minute.
        assert!(!state.count(CAUSE, address));
        assert_eq!(state.take().0, [((CAUSE, address), 1)]);
        assert!(state.take().0.is_empty());
        assert!(state.count(CAUSE, address));
    }

    #[test]
    fn a_flood_of_addresses_takes_few_lines_and_little_memory() {
        let mut state = State::default();
        assert_eq!(of(&mut state, 100_000, 0x0a00_0000), LINES);
        assert_eq!(state.counts.len(), CAPACITY);
        let (sums, others) = state.take();
        assert_eq!(sums.len(), LINES);
        assert_eq!(others.tls, 100_000 - 2 * LINES as u64);
        assert!(state.counts.len() <= LINES);
    }

    #[test]
    fn every_reason_has_a_unique_name_and_a_remedy() {
        let tls = [
            TlsRefusal::AccessDenied,
            TlsRefusal::BadCertificate,
            TlsRefusal::CertificateExpired,
            TlsRefusal::CertificateRevoked,
            TlsRefusal::CertificateUnknown,
            TlsRefusal::DecryptError,
            TlsRefusal::HandshakeFailure,
            TlsRefusal::NoCommonCipher,
            TlsRefusal::NoCommonVersion,
            TlsRefusal::OtherAlert,
            TlsRefusal::ProtocolVersion,
            TlsRefusal::UnknownCa,
            TlsRefusal::UnsupportedCertificate,
        ];
        let proxy = [
            ProxyRefusal::HeaderMalformed,
            ProxyRefusal::HeaderMissing,
            ProxyRefusal::NoClientAddress,
            ProxyRefusal::NotATrustedProxy,
            ProxyRefusal::Version1,
        ];
        let tls = tls.map(|refusal| (refusal.reason(), refusal.remedy()));
        let proxy = proxy.map(|refusal| (refusal.reason(), refusal.remedy()));
        let all: HashMap<_, _> = tls.iter().chain(&proxy).copied().collect();
        assert_eq!(all.len(), tls.len() + proxy.len());
        let documents = include_str!("../../../docs/errors.md");
        for (reason, remedy) in all {
            assert!(remedy.len() > 20, "{reason}");
            assert!(documents.contains(&format!("| `{reason}` |")), "{reason}");
        }
    }
}
