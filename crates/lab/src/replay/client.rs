//! A client whose every request is the same each time, and which keeps every
//! byte that the server sends.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use anyhow::{Context as _, bail};
use assay_simulator::{AccountKey, Algorithm, JOSE_JSON, Jws, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    task::JoinHandle,
};

/// The host of the URLs of a replay, which no name server knows (RFC 6761
/// section 6.4).
const HOST_NAME: &str = "replay.invalid";

/// PKCS #8 of an Ed25519 key (RFC 8410 section 7) without its last 32 bytes,
/// the key.
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The base of all URLs.
pub(super) fn base_url() -> String {
    format!("https://{HOST_NAME}")
}

/// One account on one connection.
pub(super) struct Client {
    account: Option<String>,
    connection: JoinHandle<hyper::Result<()>>,
    key: AccountKey,
    nonce: Option<String>,
    received: Received,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Speaks HTTP/1.1 over `stream`, without TLS.
    pub(super) async fn over(stream: DuplexStream) -> anyhow::Result<Self> {
        let received = Received::default();
        let listening = Listening {
            stream,
            received: received.clone(),
        };
        let (sender, connection) = handshake(TokioIo::new(listening)).await?;
        Ok(Self {
            account: None,
            connection: tokio::spawn(connection),
            key: account_key()?,
            nonce: None,
            received,
            sender,
        })
    }

    /// Closes the connection and gives back all that came in on it.
    pub(super) async fn close(self) -> anyhow::Result<Vec<u8>> {
        drop(self.sender);
        self.connection.await??;
        Ok(self.received.take())
    }

    /// An unsigned request without a body.
    pub(super) async fn plain(&mut self, method: Method, url: &str) -> anyhow::Result<Response> {
        self.exchange(method, url, Bytes::new()).await
    }

    /// newAccount; speaks as that account from then on.
    pub(super) async fn new_account(
        &mut self,
        url: &str,
        payload: &Value,
    ) -> anyhow::Result<Response> {
        let answer = self.send(&Jws::new(url, payload).with_jwk()).await?;
        self.account = answer.location().map(str::to_owned);
        Ok(answer)
    }

    /// A signed POST.
    pub(super) async fn post(&mut self, url: &str, payload: &Value) -> anyhow::Result<Response> {
        self.send(&Jws::new(url, payload)).await
    }

    /// A signed POST with an empty payload (RFC 8555 section 6.3).
    pub(super) async fn read(&mut self, url: &str) -> anyhow::Result<Response> {
        self.send(&Jws::post_as_get(url)).await
    }

    async fn send(&mut self, jws: &Jws) -> anyhow::Result<Response> {
        let nonce = self.nonce.take().context("the server gave no nonce")?;
        let body = jws.sign(&self.key, self.account.as_deref(), Some(&nonce))?;
        let body = Bytes::from(body.to_string());
        self.exchange(Method::POST, jws.url(), body).await
    }

    async fn exchange(
        &mut self,
        method: Method,
        url: &str,
        body: Bytes,
    ) -> anyhow::Result<Response> {
        let Some(path) = url.strip_prefix(&base_url()) else {
            bail!("{url:?} is no URL of this server");
        };
        let mut request = Request::builder().uri(path).header(HOST, HOST_NAME);
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, JOSE_JSON);
        }
        let request = request.method(method).body(Full::new(body))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        let response = Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        };
        self.nonce = response.replay_nonce().map(str::to_owned);
        Ok(response)
    }
}

/// A key pair whose private key is public, with deterministic signatures
/// (RFC 8032).
fn account_key() -> anyhow::Result<AccountKey> {
    let key = assay_engine::sha256(b"assay replay account");
    Ok(AccountKey::from_pkcs8_der(
        Algorithm::EdDsa,
        &[&ED25519_PKCS8[..], &key].concat(),
    )?)
}

/// Bytes that came in; clones share them.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    fn push(&self, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A stream that keeps what is read from it.
struct Listening {
    stream: DuplexStream,
    received: Received,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.received.push(&buffer.filled()[before..]);
        poll
    }
}

impl AsyncWrite for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
