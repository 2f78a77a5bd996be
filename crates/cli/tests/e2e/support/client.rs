//! A client, step by step, and what it must be told.

use std::sync::Arc;

use assay_simulator::{
    AccountKey, AcmeClient, Algorithm, CsrRequest, Device, HttpClient, ProblemReport, Response,
    Trust,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::{Certificate, Server};

/// A client with its own connection, and soon its own account.
pub(crate) struct Client {
    pub(crate) acme: AcmeClient,
    trust: Trust,
}

/// An order and its first challenge.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) identifiers: Vec<(String, String)>,
    pub(crate) order: String,
    pub(crate) finalize: String,
    pub(crate) authorizations: Vec<String>,
    pub(crate) challenge: String,
    pub(crate) token: String,
}

impl Client {
    /// A client without an account.
    pub(crate) async fn connect(directory: &str, origin: &str, root_pem: &str) -> Self {
        let trust = Trust::from_pem(root_pem).unwrap();
        let key = AccountKey::generate(Algorithm::Es256).unwrap();
        Self {
            acme: connect(directory, origin, &trust, key).await,
            trust,
        }
    }

    /// What `ask` is answered, sent by so many connections of this client's at
    /// the same moment; each has its number.
    pub(crate) async fn at_once<F: Future<Output = Response> + Send + 'static>(
        &self,
        server: &Server,
        connections: usize,
        ask: impl Fn(usize, Client) -> F,
    ) -> Vec<Response> {
        let barrier = Arc::new(Barrier::new(connections));
        let mut tasks = Vec::new();
        for number in 0..connections {
            let mut client = self.again(server).await;
            client.acme.fetch_nonce().await.unwrap();
            let (barrier, asked) = (Arc::clone(&barrier), ask(number, client));
            tasks.push(tokio::spawn(async move {
                barrier.wait().await;
                asked.await
            }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    }

    /// The same account on a connection of its own.
    pub(crate) async fn again(&self, server: &Server) -> Self {
        let directory = &server.process().directory;
        let key = self.acme.key().clone();
        let mut acme = connect(directory, &server.origin(), &self.trust, key).await;
        acme.set_account(self.acme.account().map(str::to_owned));
        Self {
            acme,
            trust: self.trust.clone(),
        }
    }

    /// The same key in the directory of this name, without an account there.
    pub(crate) async fn in_directory(&self, server: &Server, name: &str) -> Self {
        let default = &server.process().directory;
        let directory = default.replace("/acme/", &format!("/acme/{name}/"));
        let key = self.acme.key().clone();
        Self {
            acme: connect(&directory, &server.origin(), &self.trust, key).await,
            trust: self.trust.clone(),
        }
    }

    pub(crate) async fn post(&mut self, url: &str, payload: &Value) -> Response {
        self.acme.post(url, payload).await.unwrap()
    }

    /// POST-as-GET, whatever the answer.
    pub(crate) async fn get(&mut self, url: &str) -> Response {
        self.acme.post_as_get(url).await.unwrap()
    }

    /// POST-as-GET of a JSON object that must be there.
    pub(crate) async fn read(&mut self, url: &str) -> Value {
        let answer = self.get(url).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap()
    }

    pub(crate) async fn status(&mut self, url: &str) -> String {
        self.read(url).await["status"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn new_order(&mut self, identifiers: &[(&str, &str)]) -> Response {
        self.acme.new_order(identifiers).await.unwrap()
    }

    /// An order for a permanent identifier, which must succeed.
    pub(crate) async fn order(&mut self, identifier: &str) -> Placed {
        self.order_all(&[("permanent-identifier", identifier)])
            .await
    }

    /// An order that must succeed.
    pub(crate) async fn order_all(&mut self, identifiers: &[(&str, &str)]) -> Placed {
        let answer = self.new_order(identifiers).await;
        self.placed(&answer).await
    }

    /// Reads the order that newOrder answered with, and its first challenge.
    pub(crate) async fn placed(&mut self, answer: &Response) -> Placed {
        assert_eq!(answer.status, 201, "{}", answer.text());
        let order = answer.json().unwrap();
        assert_eq!(order["status"], "pending");
        let texts = |value: &Value| {
            let all = value.as_array().unwrap().iter();
            all.map(|one| one.as_str().unwrap().to_owned()).collect()
        };
        let authorizations: Vec<String> = texts(&order["authorizations"]);
        let (challenge, token) = self.challenge(&authorizations[0]).await;
        let identifiers = order["identifiers"].as_array().unwrap().iter();
        Placed {
            identifiers: identifiers
                .map(|one| {
                    let text = |name: &str| one[name].as_str().unwrap().to_owned();
                    (text("type"), text("value"))
                })
                .collect(),
            order: answer.location().unwrap().to_owned(),
            finalize: order["finalize"].as_str().unwrap().to_owned(),
            authorizations,
            challenge,
            token,
        }
    }

    /// URL and token of the only challenge of an authorization.
    pub(crate) async fn challenge(&mut self, authorization: &str) -> (String, String) {
        let authorization = self.read(authorization).await;
        let [challenge] = authorization["challenges"].as_array().unwrap().as_slice() else {
            panic!("not one challenge: {authorization}");
        };
        assert_eq!(challenge["type"], "device-attest-01");
        let text = |name: &str| challenge[name].as_str().unwrap().to_owned();
        (text("url"), text("token"))
    }

    /// Sends an attestation object to the order's first challenge.
    pub(crate) async fn answer(&mut self, placed: &Placed, object: &[u8]) -> Response {
        let payload = json!({"attObj": BASE64URL_NOPAD.encode(object)});
        self.post(&placed.challenge, &payload).await
    }

    /// Answers one authorization of several with good evidence of the device.
    pub(crate) async fn prove(&mut self, server: &Server, device: &Device, authorization: &str) {
        let (challenge, token) = self.challenge(authorization).await;
        let object = BASE64URL_NOPAD.encode(&server.attest(device, &token));
        let answer = self.post(&challenge, &json!({"attObj": object})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// An order whose evidence is accepted.
    pub(crate) async fn ready(
        &mut self,
        server: &Server,
        device: &Device,
        identifier: &str,
    ) -> Placed {
        let placed = self.order(identifier).await;
        let object = server.attest(device, &placed.token);
        let answer = self.answer(&placed, &object).await;
        assert_ready(self, &placed, &answer).await;
        placed
    }

    pub(crate) async fn finalize(&mut self, placed: &Placed, csr: &[u8]) -> Response {
        let payload = json!({"csr": BASE64URL_NOPAD.encode(csr)});
        self.post(&placed.finalize, &payload).await
    }

    /// Finalizes, which must succeed, and downloads.
    pub(crate) async fn certificate(&mut self, placed: &Placed, csr: &[u8]) -> Certificate {
        let answer = self.finalize(placed, csr).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.download(placed).await
    }

    /// The certificate of a valid order.
    pub(crate) async fn download(&mut self, placed: &Placed) -> Certificate {
        let order = self.read(&placed.order).await;
        assert_eq!(order["status"], "valid", "{order}");
        let url = order["certificate"].as_str().unwrap().to_owned();
        let answer = self.get(&url).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Certificate::read(url, &answer.text())
    }

    /// A whole enrolment, from newOrder to the certificate.
    pub(crate) async fn enrol(
        &mut self,
        server: &Server,
        device: &Device,
        identifier: &str,
    ) -> Certificate {
        let placed = self.ready(server, device, identifier).await;
        let csr = device.csr(&CsrRequest::default()).unwrap();
        self.certificate(&placed, &csr).await
    }
}

async fn connect(directory: &str, origin: &str, trust: &Trust, key: AccountKey) -> AcmeClient {
    let mut http = HttpClient::new(trust.clone());
    http.send_via(origin).unwrap();
    AcmeClient::connect_over(http, directory, key)
        .await
        .unwrap()
}

/// That a request was refused with exactly this status and problem type.
pub(crate) fn assert_problem(answer: &Response, status: u16, kind: &str) -> ProblemReport {
    let problem = answer.problem();
    assert_eq!(
        (answer.status, problem.problem_type.as_str()),
        (
            status,
            format!("urn:ietf:params:acme:error:{kind}").as_str()
        ),
        "{}",
        answer.text()
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    problem
}

/// That the evidence was accepted: challenge and authorization valid, the order
/// ready.
pub(crate) async fn assert_ready(client: &mut Client, placed: &Placed, answer: &Response) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json().unwrap()["status"], "valid");
    assert_eq!(client.status(&placed.authorizations[0]).await, "valid");
    assert_eq!(client.status(&placed.order).await, "ready");
}

/// That the evidence was refused for good, and why: challenge, authorization
/// and order are invalid with the error that was told, the operator is told the
/// reason, and the same account may order again.
pub(crate) async fn assert_dead(
    server: &Server,
    client: &mut Client,
    placed: &Placed,
    answer: &Response,
    reason: &str,
) {
    assert_problem(answer, 400, "badAttestationStatement");
    let told = answer.json().unwrap();
    let challenge = client.read(&placed.challenge).await;
    assert_eq!(
        (&challenge["status"], &challenge["error"]),
        (&json!("invalid"), &told)
    );
    let authorization = client.read(&placed.authorizations[0]).await;
    assert_eq!(
        (&authorization["status"], &authorization["challenges"][0]),
        (&json!("invalid"), &challenge)
    );
    let order = client.read(&placed.order).await;
    assert_eq!(
        (&order["status"], &order["error"]),
        (&json!("invalid"), &told)
    );
    assert_eq!(order.get("certificate"), None);

    let event = server.refused(&placed.order);
    assert_eq!(
        (&event["reason"], &event["gate"]),
        (&json!(reason), &json!("appraisal")),
        "{event}"
    );
    let story = server.story(&placed.order);
    assert_eq!(story["reason"], reason);
    assert_eq!(story["failure"]["client"], told);
    // The log has no more than 512 bytes of it, as they are written.
    let (kept, logged) = (&story["failure"]["detail"], event["detail"].as_str());
    let start = logged.unwrap().trim_end_matches('…');
    assert!(kept.as_str().unwrap().starts_with(start), "{kept} {event}");
    assert!(start.len() > 250 || kept == start, "{kept} {event}");

    let identifiers: Vec<_> = placed
        .identifiers
        .iter()
        .map(|(kind, value)| (kind.as_str(), value.as_str()))
        .collect();
    client.order_all(&identifiers).await;
}
