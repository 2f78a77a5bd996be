//! Plays one recording to a whole server: HTTP bytes, authentication, the three
//! gates, the signature.

use anyhow::{Context as _, bail};
use assay_attest::TrustAnchor;
use assay_engine::{
    domain::{Challenge, ChallengeState},
    ids::AuthorizationId,
    ports::Store,
    profile::Profile,
};
use assay_recording::{
    Acme, Answer, CertificateFacts, EnrolmentResult, Issuance, RecordedProblem, Time, Verdict,
};
use assay_server::serve_stream;
use assay_simulator::{ProblemReport, Response};
use data_encoding::BASE64URL_NOPAD;
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::duplex;

use super::{
    client::{Client, base_url},
    server::{Observe, ReplayServer, Settings},
};

/// Bytes on their way between client and server.
const PIPE: usize = 64 * 1024;

/// The result of a replay.
pub struct Played {
    /// What the enrolment came to, and how it ended; an error if the server did
    /// not judge.
    pub result: anyhow::Result<(EnrolmentResult, End)>,
    /// All that the server sent: status lines, headers and bodies.
    pub transcript: Vec<u8>,
}

/// How a replay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With a certificate.
    Certificate,
    /// The evidence was good and the CSR refused; the problem's detail.
    CsrRefused(String),
    /// The evidence was refused; the problem's detail.
    EvidenceRefused(String),
    /// The evidence was good, and no CSR is recorded.
    NoCsr,
    /// The CSR was accepted, and the order failed; the problem's detail.
    OrderFailed(String),
}

impl End {
    /// Its stable name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::CsrRefused(_) => "csr-refused",
            Self::EvidenceRefused(_) => "evidence-refused",
            Self::NoCsr => "no-csr",
            Self::OrderFailed(_) => "order-failed",
        }
    }

    /// The problem's detail, where the server refused.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::CsrRefused(detail)
            | Self::EvidenceRefused(detail)
            | Self::OrderFailed(detail) => Some(detail),
            Self::Certificate | Self::NoCsr => None,
        }
    }
}

/// Starts the server that [`play`] plays to.
///
/// # Errors
/// As [`ReplayServer::start`].
pub async fn local_server(
    time: Time,
    acme: &Acme,
    anchors: Vec<TrustAnchor>,
    profile: Profile,
    observe: Observe,
) -> anyhow::Result<ReplayServer> {
    let settings = Settings {
        anchors,
        base_url: base_url(),
        observe,
        profile,
    };
    ReplayServer::start(time, acme, settings).await
}

/// Plays a recording to a [`local_server`], from the directory to its end, in
/// memory.
///
/// # Errors
/// The connection fails.
pub async fn play(server: &ReplayServer, acme: &Acme) -> anyhow::Result<Played> {
    let (near, far) = duplex(PIPE);
    let (engine, request_log) = (server.engine.clone(), server.request_log.clone());
    let serving = tokio::spawn(serve_stream(engine, request_log, far));
    let mut client = Client::over(near).await?;
    let result = walk(&mut client, server, acme).await;
    let transcript = client.close().await?;
    serving.await?;
    Ok(Played { result, transcript })
}

async fn walk(
    client: &mut Client,
    server: &ReplayServer,
    acme: &Acme,
) -> anyhow::Result<(EnrolmentResult, End)> {
    let urls = server.engine.urls();
    let directory = good(
        client.plain(Method::GET, &urls.directory()).await?,
        "directory",
    )?;
    let url = |name: &str| text(&directory, &[name]);
    good(
        client.plain(Method::HEAD, &url("newNonce")?).await?,
        "newNonce",
    )?;
    let account = json!({"termsOfServiceAgreed": true});
    good(
        client.new_account(&url("newAccount")?, &account).await?,
        "newAccount",
    )?;

    let identifier = json!({"type": acme.identifier.kind, "value": acme.identifier.value});
    let answer = client
        .post(&url("newOrder")?, &json!({"identifiers": [identifier]}))
        .await?;
    let order_url = answer.location().map(str::to_owned);
    let order = good(answer, "newOrder")?;
    let authorization_url = text(&order, &["authorizations", "0"])?;
    let authorization = good(client.read(&authorization_url).await?, "authorization")?;

    let payload = match &acme.answer {
        Answer::DeviceError(error) => json!({"error": error}),
        Answer::Object(object) => json!({"attObj": BASE64URL_NOPAD.encode(object)}),
    };
    let challenge = text(&authorization, &["challenges", "0", "url"])?;
    let answer = client.post(&challenge, &payload).await?;
    let verdict = verdict(server, &authorization_url, &answer).await?;
    if !verdict.is_accepted() {
        let end = End::EvidenceRefused(answer.problem().to_string());
        return Ok((EnrolmentResult::new(verdict, None), end));
    }
    let Some(csr) = &acme.csr else {
        return Ok((EnrolmentResult::new(verdict, None), End::NoCsr));
    };
    let order_url = order_url.context("newOrder gave no Location")?;
    let (issuance, end) = finalize(client, &order, &order_url, csr).await?;
    Ok((EnrolmentResult::new(verdict, Some(issuance)), end))
}

/// Sends the CSR for an order that is ready, and downloads the certificate.
async fn finalize(
    client: &mut Client,
    order: &Value,
    order_url: &str,
    csr: &[u8],
) -> anyhow::Result<(Issuance, End)> {
    let payload = json!({"csr": BASE64URL_NOPAD.encode(csr)});
    let answer = client.post(&text(order, &["finalize"])?, &payload).await?;
    if !(200..300).contains(&answer.status) {
        let problem = answer.problem();
        let issuance = Issuance::refused(recorded(&problem));
        return Ok((issuance, End::CsrRefused(problem.to_string())));
    }
    let order = good(client.read(order_url).await?, "order")?;
    if order["status"] == "invalid" {
        let problem = ProblemReport::from_json(answer.status, &order["error"], String::new());
        let issuance = Issuance::failed(recorded(&problem));
        return Ok((issuance, End::OrderFailed(problem.to_string())));
    }
    let certificate = client.read(&text(&order, &["certificate"])?).await?;
    let certificate = certificate.success().context("certificate")?;
    let (_, leaf) = pem_rfc7468::decode_vec(first_pem(&certificate.text()))
        .context("the certificate is not PEM")?;
    let facts = CertificateFacts::of(&leaf).context("the certificate cannot be read")?;
    Ok((Issuance::issued(Some(facts)), End::Certificate))
}

/// The first of several certificates, the leaf.
fn first_pem(chain: &str) -> &[u8] {
    const END: &str = "-----END CERTIFICATE-----\n";
    let end = chain.find(END).map_or(chain.len(), |at| at + END.len());
    &chain.as_bytes()[..end]
}

fn recorded(problem: &ProblemReport) -> RecordedProblem {
    let types = problem.subproblems.iter();
    let types = types.filter_map(|one| one["type"].as_str());
    RecordedProblem::new(problem.problem_type.as_str(), problem.detail.as_str())
        .with_subproblems(types.map(str::to_owned).collect())
}

/// The verdict, from the server's own record: over HTTP a client is told less.
async fn verdict(
    server: &ReplayServer,
    authorization_url: &str,
    answer: &Response,
) -> anyhow::Result<Verdict> {
    let id = authorization_url.rsplit('/').next();
    let id = id
        .and_then(AuthorizationId::parse)
        .context("the authorization has no name")?;
    let kept = server.store.authorization(id).await?;
    let kept = kept.context("the authorization was not kept")?;
    let challenge = kept.value.challenges().first();
    match challenge.map(Challenge::state) {
        Some(ChallengeState::Valid(_)) => Ok(Verdict::accepted()),
        Some(ChallengeState::Invalid(failure)) => Ok(Verdict::refused(&failure.reason)),
        _ => bail!("the answer was not judged: {}", answer.problem()),
    }
}

/// The JSON body of an answer that must be a success, if it has one.
fn good(answer: Response, step: &str) -> anyhow::Result<Value> {
    let answer = answer.success().context(step.to_owned())?;
    Ok(answer.json().unwrap_or_default())
}

/// A text within JSON.
fn text(value: &Value, path: &[&str]) -> anyhow::Result<String> {
    let pointer = format!("/{}", path.join("/"));
    let found = value.pointer(&pointer).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .with_context(|| format!("the server's answer has no {pointer}"))
}
