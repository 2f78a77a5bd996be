//! Why there is no TLS with a server.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a TLS handshake failed, as far as the client knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsCause {
    /// The server's certificate is not valid any more by this machine's clock.
    Expired,
    /// It cannot be used for a reason of its own.
    InvalidCertificate,
    /// It is not for servers.
    NotForServers,
    /// It is not valid yet by this machine's clock.
    NotYetValid,
    /// What answers there speaks no TLS.
    NoTls,
    /// The certificate is for other names than the URL's host.
    OtherName,
    /// The server ended the handshake, or has nothing in common with this client.
    RefusedByServer,
    /// The certificate does not chain to a certificate of the CA bundle.
    UnknownCa,
    /// The connection broke, or something else.
    Unknown,
}

impl TlsCause {
    pub(super) fn of(error: &io::Error) -> Self {
        let source = error.get_ref();
        match source.and_then(|source| source.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(error)) => Self::of_certificate(error),
            Some(Error::AlertReceived(AlertDescription::CloseNotify)) | None => Self::Unknown,
            Some(Error::AlertReceived(_) | Error::PeerIncompatible(_)) => Self::RefusedByServer,
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Self::NoTls,
            Some(_) => Self::Unknown,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            // A CA of the same name with another key, such as one that was made anew.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownCa,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::NotForServers
            }
            _ => Self::InvalidCertificate,
        }
    }

    /// Its stable name: where the server logs the same, `tls_refused` has these reasons too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "certificate-expired",
            Self::InvalidCertificate => "bad-certificate",
            Self::NotForServers => "unsupported-certificate",
            Self::NotYetValid => "certificate-not-yet-valid",
            Self::NoTls => "no-tls",
            Self::OtherName => "certificate-for-another-name",
            Self::RefusedByServer => "refused-by-server",
            Self::UnknownCa => "unknown-ca",
            Self::Unknown => "unknown",
        }
    }

    /// What to do about it.
    fn remedy(self) -> &'static str {
        match self {
            Self::Expired | Self::NotYetValid => {
                "compare the certificate's dates with this machine's clock, and renew it"
            }
            Self::InvalidCertificate => "look at the server's certificate with openssl s_client",
            Self::NotForServers => {
                "the server's certificate needs the extended key usage serverAuth"
            }
            Self::NoTls => "is that the port of a TLS server?",
            Self::OtherName => "use the URL of a host that the certificate names",
            Self::RefusedByServer => "the server's log says why, event tls_refused",
            Self::UnknownCa => "does the CA bundle hold the server's root?",
            Self::Unknown => "is a TLS server running there, and nothing in between?",
        }
    }
}

impl fmt::Display for TlsCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.as_str(), self.remedy())
    }
}
