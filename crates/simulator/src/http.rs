//! An HTTP/1.1 client with one connection to one server at a time, like a device.

mod error;
mod target;
mod tls;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request,
    client::conn::http1::{SendRequest, handshake},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs::default_provider,
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

pub use error::HttpError;
pub use tls::TlsCause;

use crate::{
    client::ClientKind,
    http::target::{Origin, Target},
    response::Response,
};

/// The maximum size of a response body, in bytes: large enough for a CRL or a long orders list.
const BODY_LIMIT: usize = 16 << 20;

/// The CA certificates that a client trusts. The system's own are never used.
#[derive(Clone, Debug)]
pub struct Trust {
    tls: Arc<ClientConfig>,
}

impl Trust {
    /// Trusts exactly the certificates of a PEM bundle. An empty bundle trusts no CA, which is
    /// enough for `http` URLs.
    ///
    /// # Errors
    ///
    /// [`HttpError::Trust`] if the bundle has text but no certificate that can be an anchor.
    pub fn from_pem(ca_bundle_pem: &str) -> Result<Self, HttpError> {
        let refused = |reason: String| HttpError::Trust { reason };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_bundle_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| refused(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| refused(error.to_string()))?;
        }
        if roots.is_empty() && !ca_bundle_pem.trim().is_empty() {
            return Err(refused("it contains no CERTIFICATE block".to_owned()));
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Simulated devices are independent clients: a session of one must not shorten the
        // handshake of the next.
        tls.resumption = Resumption::disabled();
        Ok(Self { tls: Arc::new(tls) })
    }
}

/// A client with at most one open connection. It connects on first use, keeps the connection alive,
/// and reconnects when the server has closed it.
#[derive(Debug)]
pub struct HttpClient {
    trust: Trust,
    via: Option<Origin>,
    source: Option<IpAddr>,
    headers: HeaderMap,
    timeout: Duration,
    connection: Option<Connection>,
}

impl HttpClient {
    /// A client that is not connected yet.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            via: None,
            source: None,
            headers: HeaderMap::new(),
            timeout: ClientKind::default().timeout(),
            connection: None,
        }
    }

    /// Sends everything to this origin (`http://127.0.0.1:8080`), whatever host the URLs name, as a
    /// reverse proxy does. `Host` and the TLS server name remain those of the URL.
    ///
    /// # Errors
    ///
    /// [`HttpError::Url`] if the text is not an origin.
    pub fn send_via(&mut self, origin: &str) -> Result<(), HttpError> {
        self.via = Some(Target::parse(origin)?.origin);
        self.connection = None;
        Ok(())
    }

    /// Connects from this local address. On Linux the whole of 127.0.0.0/8 is local, so one machine
    /// can act as many clients of a server on it.
    pub fn connect_from(&mut self, source: IpAddr) {
        self.source = Some(source);
        self.connection = None;
    }

    /// Sends these headers with every request, such as `X-Forwarded-For` or another `Host`. They
    /// replace the client's own headers with the same names.
    pub fn always_send(&mut self, headers: HeaderMap) {
        self.headers = headers;
    }

    /// Sets the timeout of a request, connecting included; the default is 60 seconds.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Connects now, including the TLS handshake, unless a connection is open.
    ///
    /// # Errors
    ///
    /// Any [`HttpError`] except [`HttpError::Exchange`].
    pub async fn open(&mut self, url: &str) -> Result<(), HttpError> {
        let target = Target::parse(url)?;
        let limit = self.timeout;
        timeout(limit, self.ready(&target))
            .await
            .map_err(|_| target.timed_out(limit))??;
        Ok(())
    }

    /// Sends one request and reads the whole response. Reconnects first if the server has closed
    /// the connection. A request that was in flight when it closed is never sent twice, because the
    /// server may have acted on it.
    ///
    /// # Errors
    ///
    /// [`HttpError`]. An HTTP status of 400 or above is not an error.
    pub async fn request(
        &mut self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, HttpError> {
        let target = Target::parse(url)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.path.clone();
        request.headers_mut().insert(HOST, target.host.clone());
        request.headers_mut().extend(headers);
        request.headers_mut().extend(self.headers.clone());
        let limit = self.timeout;
        timeout(limit, self.exchange(&target, request))
            .await
            .map_err(|_| target.timed_out(limit))?
    }

    async fn exchange(
        &mut self,
        target: &Target,
        request: Request<Full<Bytes>>,
    ) -> Result<Response, HttpError> {
        let failed = |error: hyper::Error| HttpError::Exchange {
            url: target.url.clone(),
            reason: error.to_string(),
        };
        let sending = self.ready(target).await?.sender.send_request(request);
        let answer = sending.await.map_err(failed)?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| HttpError::Exchange {
                url: target.url.clone(),
                reason: error.to_string(),
            })?
            .to_bytes();
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    /// Returns a connection to the target that can take a request: the open one, or a new one.
    async fn ready(&mut self, target: &Target) -> Result<&mut Connection, HttpError> {
        let origin = self.via.as_ref().unwrap_or(&target.origin);
        let usable = match self.connection.take() {
            Some(mut open) if open.origin == *origin && open.server_name == target.server_name => {
                open.sender.ready().await.is_ok().then_some(open)
            }
            _ => None,
        };
        let connection = match usable {
            Some(open) => open,
            None => Connection::open(origin, target, &self.trust, self.source).await?,
        };
        Ok(self.connection.insert(connection))
    }
}

#[derive(Debug)]
struct Connection {
    origin: Origin,
    server_name: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(
        origin: &Origin,
        target: &Target,
        trust: &Trust,
        source: Option<IpAddr>,
    ) -> Result<Self, HttpError> {
        let failed = |kind: io::ErrorKind, reason: String| HttpError::Connect {
            address: format!("{}:{}", origin.host, origin.port),
            kind,
            reason,
        };
        let stream = connect(origin, source)
            .await
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|error| failed(error.kind(), error.to_string()))?;
        let sender = if origin.tls {
            let name = ServerName::try_from(target.server_name.clone())
                .map_err(|_| target.invalid_url())?;
            let stream = TlsConnector::from(Arc::clone(&trust.tls))
                .connect(name, stream)
                .await
                .map_err(|error| HttpError::Tls {
                    server_name: target.server_name.clone(),
                    cause: TlsCause::of(&error),
                    reason: error.to_string(),
                })?;
            spawn(stream).await
        } else {
            spawn(stream).await
        };
        Ok(Self {
            origin: origin.clone(),
            server_name: target.server_name.clone(),
            sender: sender.map_err(|error| failed(io::ErrorKind::Other, error.to_string()))?,
        })
    }
}

/// Opens a connection, from the given local address if there is one.
async fn connect(origin: &Origin, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let server = (origin.host.as_str(), origin.port);
    let Some(source) = source else {
        return TcpStream::connect(server).await;
    };
    let target = lookup_host(server)
        .await?
        .find(|target| target.is_ipv4() == source.is_ipv4())
        .ok_or_else(|| {
            let reason = format!("it has no address that {source} can connect to");
            io::Error::new(io::ErrorKind::AddrNotAvailable, reason)
        })?;
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(target).await
}

/// Starts the task that drives a connection; it ends when the sender is dropped.
async fn spawn<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // An error of the connection is reported by the request in flight, if any.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests;
