//! Why a TLS handshake failed.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a TLS handshake failed, as far as the client can tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsCause {
    /// The server's certificate has expired, by this machine's clock.
    Expired,
    /// The certificate is invalid for another reason.
    InvalidCertificate,
    /// The certificate is not for servers.
    NotForServers,
    /// The certificate is not valid yet, by this machine's clock.
    NotYetValid,
    /// The server does not use TLS.
    NoTls,
    /// The certificate is for other names than the URL's host.
    OtherName,
    /// The server ended the handshake, or shares no parameters with this client.
    RefusedByServer,
    /// The certificate does not chain to a certificate of the CA bundle.
    UnknownCa,
    /// The connection broke, or another error occurred.
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
            // A CA of the same name with another key, such as one that was created again.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownCa,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::NotForServers
            }
            _ => Self::InvalidCertificate,
        }
    }

    /// The stable name. The reasons of the server's `tls_refused` event use the same names.
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
            Self::InvalidCertificate => "check the server's certificate with openssl s_client",
            Self::NotForServers => {
                "the server's certificate needs the extended key usage serverAuth"
            }
            Self::NoTls => "check that this is the port of a TLS server",
            Self::OtherName => "use the URL of a host that the certificate names",
            Self::RefusedByServer => "see event tls_refused in the server's log",
            Self::UnknownCa => "check that the CA bundle contains the server's root",
            Self::Unknown => "check that a TLS server runs there, with nothing in between",
        }
    }
}

impl fmt::Display for TlsCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.as_str(), self.remedy())
    }
}
