//! The steps of an enrolment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use assay_proto::WireIdentifier;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    authority::AttestationAuthority,
    client::{AcmeClient, ClientError, ClientKind},
    enroll::{
        Attested, EnrollError, EnrollProgress, Enrolled, Enrollment, Prepared, Step,
        UnexpectedAnswer, Watch, answer, chain,
    },
    faults::{Fault, Misstep, Shape},
    http::HttpClient,
    jose::{AccountKey, Algorithm},
    response::Response,
};

/// The polling interval if the server sends no Retry-After.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// How long Apple's client waits if the challenge or the order is not final at once.
const APPLE_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn walk(
    prepared: Prepared,
    enrollment: &Enrollment,
    authority: &AttestationAuthority,
    watch: Watch<'_>,
) -> Result<Enrolled, EnrollError> {
    let Prepared {
        account_key,
        device,
        csr_der,
        trust,
    } = prepared;

    let misstep = enrollment.shape.misstep();

    watch(EnrollProgress::Step(Step::Connect));
    let mut http = HttpClient::new(trust);
    http.set_timeout(enrollment.client.timeout());
    if let Some(source) = enrollment.source {
        http.connect_from(source);
    }
    http.open(&enrollment.directory)
        .await
        .map_err(|error| EnrollError::client(Step::Connect, ClientError::Http(error)))?;

    watch(EnrollProgress::Step(Step::Directory));
    let mut client = AcmeClient::connect_over(http, &enrollment.directory, account_key)
        .await
        .map_err(|error| EnrollError::client(Step::Directory, error))?;
    client.set_kind(enrollment.client);
    let mut walk = Walk {
        client,
        step: Step::Directory,
        watch,
        kind: enrollment.client,
        patience: enrollment.patience,
    };

    walk.begin(Step::NewNonce);
    let nonce = walk.client.fetch_nonce().await;
    walk.asked(nonce)?;

    walk.begin(Step::NewAccount);
    let answer = walk.client.new_account().await;
    let answer = walk.accepted(answer)?;
    let account_url = walk.required(answer.location(), "Location")?;

    let mut placed = walk.order(enrollment).await?;
    let token = placed.token.clone();
    if misstep == Some(Misstep::AnswerOfAnotherOrder) {
        placed = walk.order(enrollment).await?;
    }

    walk.begin(Step::Attest);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(EnrollError::local)?
        .as_secs();
    let thumbprint = walk.client.key().thumbprint();
    let vouch = |shape| answer::evidence(shape, authority, &device, &token, &thumbprint, now);
    let attestation_object = vouch(enrollment.shape)?;
    (walk.watch)(EnrollProgress::Attested(Attested {
        token: &token,
        attestation_object: &attestation_object,
        csr_der: &csr_der,
    }));

    walk.begin(Step::Challenge);
    if misstep == Some(Misstep::OtherAccount) {
        walk.change_account().await?;
    }
    let payload = answer::payload(misstep, &attestation_object);
    let answer = walk.post(&placed.challenge_url, &payload).await?;
    let wait = busy(&walk.object(&answer)?, &answer);

    walk.begin(Step::PollAuthorization);
    let undecided = ["pending"];
    let authorization = walk
        .poll(&placed.authorization_url, &undecided, wait)
        .await?;
    let challenge = attestation_challenge(&authorization).unwrap_or(&Value::Null);
    walk.valid(&authorization, &challenge["error"])?;
    if misstep == Some(Misstep::AnswerAgain) {
        let other = Fault::find("serial-of-another-device").map(Shape::Fault);
        let other = vouch(other.unwrap_or_default())?;
        let payload = answer::payload(None, &other);
        let answer = walk.post(&placed.challenge_url, &payload).await?;
        let challenge = walk.object(&answer)?;
        walk.valid(&challenge, &challenge["error"])?;
    }

    walk.begin(Step::Finalize);
    let payload = json!({"csr": BASE64URL_NOPAD.encode(&csr_der)});
    let answer = walk.post(&placed.finalize_url, &payload).await?;
    let wait = busy(&walk.object(&answer)?, &answer);

    walk.begin(Step::PollOrder);
    let undecided = ["pending", "ready", "processing"];
    let order = walk.poll(&placed.order_url, &undecided, wait).await?;
    walk.valid(&order, &order["error"])?;
    let certificate_url = walk.required(order["certificate"].as_str(), "certificate")?;

    walk.begin(Step::Certificate);
    let answer = walk.get(&certificate_url).await?;
    let chain_pem = answer.text();
    let certificate_pem = chain::check(&chain_pem, &device.spki_der())
        .map_err(|cause| walk.unexpected(cause))?
        .to_owned();

    Ok(Enrolled {
        account_url,
        order_url: placed.order_url,
        certificate_url,
        key_pem: device.key_pem(),
        certificate_pem,
        chain_pem,
        attestation_object,
        token,
        csr_der,
    })
}

/// An order, and the challenge of its only authorization.
struct Placed {
    order_url: String,
    authorization_url: String,
    challenge_url: String,
    finalize_url: String,
    token: String,
}

/// An enrolment in progress, and the current step for its errors.
struct Walk<'a> {
    client: AcmeClient,
    step: Step,
    watch: Watch<'a>,
    kind: ClientKind,
    patience: Duration,
}

impl Walk<'_> {
    fn begin(&mut self, step: Step) {
        self.step = step;
        (self.watch)(EnrollProgress::Step(step));
    }

    /// Orders, and reads the challenge.
    async fn order(&mut self, enrollment: &Enrollment) -> Result<Placed, EnrollError> {
        self.begin(Step::NewOrder);
        let WireIdentifier { kind, value } = &enrollment.identifier;
        let value = match enrollment.shape.misstep() {
            Some(Misstep::UnlistedIdentifier) => &answer::with_another_end(value),
            _ => value,
        };
        let answer = self.client.new_order(&[(kind, value)]).await;
        let answer = self.accepted(answer)?;
        let order_url = self.required(answer.location(), "Location")?;
        let order = self.object(&answer)?;
        // An order with one identifier has one authorization (RFC 8555 section 7.1.3).
        let authorization_url = order["authorizations"][0].as_str();
        let authorization_url = self.required(authorization_url, "authorizations")?;
        let finalize_url = self.required(order["finalize"].as_str(), "finalize")?;

        self.begin(Step::Authorization);
        let answer = self.get(&authorization_url).await?;
        let authorization = self.object(&answer)?;
        let challenge = attestation_challenge(&authorization)
            .ok_or_else(|| self.unexpected(UnexpectedAnswer::NoChallenge))?;
        Ok(Placed {
            challenge_url: self.required(challenge["url"].as_str(), "url")?,
            token: self.required(challenge["token"].as_str(), "token")?,
            order_url,
            authorization_url,
            finalize_url,
        })
    }

    /// Creates another account and continues with it.
    async fn change_account(&mut self) -> Result<(), EnrollError> {
        let key = AccountKey::generate(Algorithm::Es256).map_err(EnrollError::local)?;
        self.client.set_key(key);
        self.client.set_account(None);
        let answer = self.client.new_account().await;
        self.accepted(answer).map(drop)
    }

    async fn get(&mut self, url: &str) -> Result<Response, EnrollError> {
        let answer = self.client.post_as_get(url).await;
        self.accepted(answer)
    }

    async fn post(&mut self, url: &str, payload: &Value) -> Result<Response, EnrollError> {
        let answer = self.client.post(url, payload).await;
        self.accepted(answer)
    }

    /// Polls an authorization or order until it is final.
    async fn poll(
        &mut self,
        url: &str,
        undecided: &[&str],
        mut wait: Option<Duration>,
    ) -> Result<Value, EnrollError> {
        if self.kind == ClientKind::Apple {
            return self.ask_once(url, undecided, wait.is_some()).await;
        }
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(wait) = wait {
                if Instant::now() + wait > deadline {
                    return Err(EnrollError::Undecided {
                        step: self.step,
                        url: url.to_owned(),
                        patience: self.patience.as_secs(),
                    });
                }
                sleep(wait).await;
            }
            let answer = self.get(url).await?;
            let polled = self.object(&answer)?;
            let status = self.required(polled["status"].as_str(), "status")?;
            if !undecided.contains(&status.as_str()) {
                return Ok(polled);
            }
            wait = Some(answer.retry_after().unwrap_or(DEFAULT_INTERVAL));
        }
    }

    /// Reads an authorization or order as Apple's client does: it waits once if there is no result
    /// yet.
    async fn ask_once(
        &mut self,
        url: &str,
        undecided: &[&str],
        is_busy: bool,
    ) -> Result<Value, EnrollError> {
        if is_busy {
            sleep(APPLE_WAIT).await;
        }
        let answer = self.get(url).await?;
        let asked = self.object(&answer)?;
        let status = self.required(asked["status"].as_str(), "status")?;
        if undecided.contains(&status.as_str()) {
            return Err(EnrollError::Undecided {
                step: self.step,
                url: url.to_owned(),
                patience: if is_busy { APPLE_WAIT.as_secs() } else { 0 },
            });
        }
        Ok(asked)
    }

    fn asked<T>(&self, result: Result<T, ClientError>) -> Result<T, EnrollError> {
        result.map_err(|error| EnrollError::client(self.step, error))
    }

    fn accepted(&self, answer: Result<Response, ClientError>) -> Result<Response, EnrollError> {
        let step = self.step;
        self.asked(answer)?
            .success()
            .map_err(|source| EnrollError::Problem { step, source })
    }

    /// Requires that an authorization or order is valid; `error` explains why it is not.
    fn valid(&self, object: &Value, error: &Value) -> Result<(), EnrollError> {
        match object["status"].as_str() {
            Some("valid") => Ok(()),
            status => Err(EnrollError::invalid(
                self.step,
                status.unwrap_or_default(),
                error,
            )),
        }
    }

    fn object(&self, answer: &Response) -> Result<Value, EnrollError> {
        let missing = UnexpectedAnswer::Missing { name: "JSON body" };
        answer.json().map_err(|_| self.unexpected(missing))
    }

    fn required(&self, value: Option<&str>, name: &'static str) -> Result<String, EnrollError> {
        value
            .map(str::to_owned)
            .ok_or_else(|| self.unexpected(UnexpectedAnswer::Missing { name }))
    }

    fn unexpected(&self, cause: UnexpectedAnswer) -> EnrollError {
        EnrollError::Unexpected {
            step: self.step,
            cause,
        }
    }
}

/// How long to wait before the first poll: no wait, unless the server is still processing the
/// request. RFC 8555 section 7.4: "Send a POST-as-GET request after the time given in the
/// Retry-After header field of the response, if any."
fn busy(given: &Value, answer: &Response) -> Option<Duration> {
    (given["status"] == "processing").then(|| answer.retry_after().unwrap_or(DEFAULT_INTERVAL))
}

fn attestation_challenge(authorization: &Value) -> Option<&Value> {
    authorization["challenges"]
        .as_array()?
        .iter()
        .find(|challenge| challenge["type"] == "device-attest-01")
}
