//! A server on real sockets, and TLS clients for it.

use std::{sync::Arc, time::Duration};

use assay_server::{Server, ServerConfig, TlsIdentity};
use http_body_util::Full;
use hyper::{
    body::Bytes,
    client::conn::http2::{Connection, SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::World;

pub(crate) const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) ended: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(change: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::of(&World::new(), change).await
    }

    pub(crate) async fn of(world: &World, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let listen = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listen.local_addr().unwrap().to_string();
        let mut config = ServerConfig::new(listen);
        change(&mut config);
        let (stop, stopped) = oneshot::channel();
        let server = Server::new(
            Arc::clone(&world.engine),
            Arc::clone(&world.request_log),
            config,
        );
        let ended = tokio::spawn(async move {
            server.run(async { drop(stopped.await) }).await.unwrap();
        });
        Self {
            address,
            stop,
            ended,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }
}

/// The requests and the connection of an HTTP/2 client.
type Http2 = (
    SendRequest<Full<Bytes>>,
    Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>, TokioExecutor>,
);

/// Connects over TLS with HTTP/2. The connection must be polled.
pub(crate) async fn http2(server: &Running, trusted: &CertifiedKey<KeyPair>) -> Http2 {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector(trusted, &[&version::TLS13], &["h2"])
        .connect(name, server.connect().await)
        .await
        .unwrap();
    handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap()
}

/// Sends a request and reads to the end of its answer.
pub(crate) async fn ask(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> String {
    stream.write_all(GET).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed after {answer:?}");
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(answer).unwrap()
}

/// Waits until the server has closed the connection.
pub(crate) async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    drop(timeout(Duration::from_secs(10), end).await.unwrap());
}

pub(crate) fn self_signed() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

pub(crate) fn identity(key: &CertifiedKey<KeyPair>) -> Arc<TlsIdentity> {
    let chain = vec![key.cert.der().to_vec()];
    Arc::new(TlsIdentity::new(chain, key.signing_key.serialized_der()).unwrap())
}

pub(crate) fn connector(
    trusted: &CertifiedKey<KeyPair>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.cert.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}
