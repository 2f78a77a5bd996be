//! A test server that returns prepared responses and records the requests.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A prepared response. `BASE` in a JSON body is replaced by the server's URL; a string is sent
/// unchanged. The `Location` of each response is `BASE/location`.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The `Replay-Nonce`; empty for none.
    pub(crate) nonce: &'static str,
    pub(crate) body: Value,
}

/// A request that the server received.
#[derive(Clone)]
pub(crate) struct Seen {
    /// Method and path.
    pub(crate) line: String,
    /// The protected header; null if the request is not signed.
    pub(crate) protected: Value,
    /// The payload; null if there is none.
    pub(crate) payload: Value,
}

pub(crate) struct Script {
    base: String,
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Seen>>,
}

impl Script {
    /// Serves one connection: first a directory, then these responses.
    pub(crate) async fn play(answers: Vec<Answer>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory = Answer {
            status: 200,
            nonce: "",
            body: json!({
                "newNonce": "BASE/nonce",
                "newAccount": "BASE/account",
                "newOrder": "BASE/order",
            }),
        };
        let script = Arc::new(Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            answers: Mutex::new([directory].into_iter().chain(answers).collect()),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request| shared.answer(request));
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .unwrap();
        });
        script
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The requests after the one for the directory.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap()[1..].to_vec()
    }

    /// The nonces of the signed requests, in order.
    pub(crate) fn nonces(&self) -> Vec<Value> {
        let signed = |seen: &Seen| seen.protected.get("alg").is_some();
        self.seen()
            .into_iter()
            .filter(signed)
            .map(|seen| seen.protected["nonce"].clone())
            .collect()
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let envelope: Value = serde_json::from_slice(&body).unwrap_or_default();
        let decoded = |name: &str| {
            let text = envelope[name].as_str().unwrap_or_default();
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
            serde_json::from_slice(&bytes).unwrap_or_default()
        };
        self.seen.lock().unwrap().push(Seen {
            line: format!("{} {}", parts.method, parts.uri),
            protected: decoded("protected"),
            payload: decoded("payload"),
        });
        let prepared = self.answers.lock().unwrap().pop_front().unwrap();
        let mut answer = Response::builder()
            .status(prepared.status)
            .header("location", self.url("/location"))
            .header("retry-after", "0");
        if !prepared.nonce.is_empty() {
            answer = answer.header("replay-nonce", prepared.nonce);
        }
        let body = match prepared.body {
            Value::String(text) => text,
            json => json.to_string().replace("BASE", &self.base),
        };
        Ok(answer.body(Full::new(Bytes::from(body))).unwrap())
    }
}
