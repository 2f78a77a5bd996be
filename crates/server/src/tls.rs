use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    CipherSuite, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The server's TLS identity: TLS 1.2 and 1.3 with aws-lc-rs, HTTP/2 and
/// HTTP/1.1 by ALPN, and a certificate that can be replaced while the server
/// runs.
#[derive(Debug)]
pub struct TlsIdentity {
    config: Arc<ServerConfig>,
    current: Arc<ServedKey>,
}

/// Why a certificate and key cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsIdentityError {
    /// The chain has no certificate.
    #[error("the TLS certificate chain is empty: it needs at least the server's certificate")]
    EmptyChain,
    /// The certificate does not parse, the key's type is not supported, or the
    /// two do not belong together.
    #[error("the TLS certificate and key cannot be used: {0}")]
    Unusable(rustls::Error),
}

impl TlsIdentity {
    /// Creates an identity from a certificate chain in DER, the server's own
    /// first, and its private key in PKCS#8 DER.
    ///
    /// # Errors
    /// [`TlsIdentityError`]
    pub fn new(chain_der: Vec<Vec<u8>>, key_pkcs8_der: &[u8]) -> Result<Self, TlsIdentityError> {
        let provider = Arc::new(provider());
        let key = certified(&provider, chain_der, key_pkcs8_der)?;
        let current = Arc::new(ServedKey(RwLock::new(key)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsIdentityError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.ignore_client_order = true;
        // A device connects once in months, so issuing session tickets costs
        // more than resumption saves.
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            current,
        })
    }

    /// Uses another chain and key from the next handshake on.
    ///
    /// # Errors
    /// [`TlsIdentityError`]; the old chain and key stay then.
    pub fn replace(
        &self,
        chain_der: Vec<Vec<u8>>,
        key_pkcs8_der: &[u8],
    ) -> Result<(), TlsIdentityError> {
        let key = certified(self.config.crypto_provider(), chain_der, key_pkcs8_der)?;
        *self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// aws-lc-rs, but with the suite of AES-128 and SHA-256 first: every TLS 1.3
/// client has it (RFC 8446 section 9.1), it is as strong as X25519 and P-256,
/// and it is the cheapest. Processors hash SHA-256 in hardware but not the
/// SHA-384 of `TLS_AES_256_GCM_SHA384`, and a key schedule hashes much.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

fn certified(
    provider: &CryptoProvider,
    chain_der: Vec<Vec<u8>>,
    key_pkcs8_der: &[u8],
) -> Result<Arc<CertifiedKey>, TlsIdentityError> {
    if chain_der.is_empty() {
        return Err(TlsIdentityError::EmptyChain);
    }
    let chain = chain_der.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key_pkcs8_der.to_vec()));
    CertifiedKey::from_der(chain, key, provider)
        .map(Arc::new)
        .map_err(TlsIdentityError::Unusable)
}

/// The chain and key that are served now.
struct ServedKey(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for ServedKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&key))
    }
}

/// The key is left out.
impl fmt::Debug for ServedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedKey").finish_non_exhaustive()
    }
}
