use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    http::HttpError,
    response::ProblemReport,
    script::{Answer, Script},
};

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

fn authority() -> AttestationAuthority {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    AttestationAuthority::create(now.as_secs()).unwrap()
}

fn enrollment(directory: &str) -> Enrollment {
    Enrollment::new(
        directory,
        "",
        "one-time-code",
        DeviceProperties::mac("C02TEST", "UDID"),
    )
}

/// Enrols, and returns the steps that began.
async fn steps(
    enrollment: &Enrollment,
    authority: &AttestationAuthority,
) -> (Vec<Step>, Result<Enrolled, EnrollError>) {
    let mut steps = Vec::new();
    let mut watch = |progress: EnrollProgress<'_>| match progress {
        EnrollProgress::Step(step) => steps.push(step),
        EnrollProgress::Attested(sent) => {
            assert!(!sent.token.is_empty() && !sent.csr_der.is_empty());
            assert_eq!(sent.attestation_object.first(), Some(&0xa2));
        }
    };
    let result = enroll(enrollment, authority, &mut watch).await;
    (steps, result)
}

fn authorization(status: &str, error: &Value) -> Value {
    let challenge = json!({
        "type": "device-attest-01",
        "url": "BASE/challenge",
        "token": TOKEN,
        "status": status,
        "error": error,
    });
    json!({"status": status, "challenges": [{"type": "http-01"}, challenge]})
}

fn answers(bodies: Vec<Value>) -> Vec<Answer> {
    bodies
        .into_iter()
        .map(|body| Answer {
            status: 200,
            nonce: "n",
            body,
        })
        .collect()
}

fn order(status: &str) -> Value {
    json!({
        "status": status,
        "authorizations": ["BASE/authorization"],
        "finalize": "BASE/finalize",
    })
}

#[tokio::test]
async fn evidence_is_over_the_token_and_a_dead_challenge_is_a_refusal_with_its_reason() {
    let error = json!({
        "type": "urn:ietf:params:acme:error:badAttestationStatement",
        "detail": "stale",
        "status": 400,
    });
    let script = Script::play(answers(vec![
        json!({}),
        json!({}),
        order("pending"),
        authorization("pending", &Value::Null),
        json!({"status": "processing"}),
        authorization("pending", &Value::Null),
        authorization("invalid", &error),
    ]))
    .await;
    let authority = authority();
    let (steps, result) = steps(&enrollment(&script.url("/directory")), &authority).await;

    let refusal = result.unwrap_err();
    let expected = EnrollError::Problem {
        step: Step::PollAuthorization,
        source: Box::new(ProblemReport {
            status: 400,
            problem_type: "urn:ietf:params:acme:error:badAttestationStatement".to_owned(),
            detail: "stale".to_owned(),
            subproblems: Vec::new(),
            body: error.to_string(),
        }),
    };
    assert_eq!(refusal, expected);
    assert!(refusal.is_refusal());
    assert_eq!(
        steps,
        [
            Step::Connect,
            Step::Directory,
            Step::NewNonce,
            Step::NewAccount,
            Step::NewOrder,
            Step::Authorization,
            Step::Attest,
            Step::Challenge,
            Step::PollAuthorization,
        ]
    );
    let seen = script.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "HEAD /nonce",
            "POST /account",
            "POST /order",
            "POST /authorization",
            "POST /challenge",
            "POST /authorization",
            "POST /authorization",
        ]
    );
    assert_eq!(
        seen[2].payload["identifiers"],
        json!([{"type": "permanent-identifier", "value": "one-time-code"}])
    );
    let sent = seen[4].payload["attObj"].as_str().unwrap();
    let sent = BASE64URL_NOPAD.decode(sent.as_bytes()).unwrap();
    let holds = |part: &[u8]| sent.windows(part.len()).any(|window| window == part);
    assert!(holds(&Sha256::digest(TOKEN)));
    assert!(holds(b"C02TEST"));
    assert!(holds(authority.sub_der()));
}

/// A CA that certifies this key through an intermediate; the chain has no root.
fn chain_for(key_pem: &str) -> String {
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let ca_params = |name: &str| {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let key = || KeyPair::generate().unwrap();
    let root = CertifiedIssuer::self_signed(ca_params("root"), key()).unwrap();
    let sub = CertifiedIssuer::signed_by(ca_params("sub"), key(), &root).unwrap();
    let device_key = KeyPair::from_pem(key_pem).unwrap();
    let leaf = params("leaf").signed_by(&device_key, &sub).unwrap();
    leaf.pem() + &sub.pem()
}

/// All the responses of an enrolment that ends with this download.
fn happy(chain_pem: &str) -> Vec<Value> {
    let mut valid = order("valid");
    valid["certificate"] = json!("BASE/certificate");
    vec![
        json!({}),
        json!({}),
        order("pending"),
        authorization("pending", &Value::Null),
        json!({"status": "valid"}),
        authorization("valid", &Value::Null),
        order("processing"),
        valid,
        json!(chain_pem),
    ]
}

#[tokio::test]
async fn a_device_ends_up_with_a_certificate_for_its_key() {
    let trust = Trust::from_pem("").unwrap();
    let prepared = Prepared::new(&enrollment(""), &trust).unwrap();
    let key_pem = prepared.device.key_pem();
    let csr_der = prepared.csr_der.clone();
    let chain_pem = chain_for(&key_pem);
    let script = Script::play(answers(happy(&chain_pem))).await;
    let enrollment = enrollment(&script.url("/directory"));
    let enrolled = prepared
        .enroll(&enrollment, &authority(), &mut |_| {})
        .await
        .unwrap();

    assert_eq!(enrolled.key_pem, key_pem);
    assert_eq!(enrolled.chain_pem, chain_pem);
    let leaf = chain_pem
        .split_inclusive("-----END CERTIFICATE-----")
        .next();
    assert_eq!(Some(enrolled.certificate_pem.as_str()), leaf);
    assert_eq!(enrolled.account_url, script.url("/location"));
    assert_eq!(enrolled.order_url, script.url("/location"));
    assert_eq!(enrolled.certificate_url, script.url("/certificate"));
    assert_eq!(enrolled.token, TOKEN);
    assert_eq!(enrolled.csr_der, csr_der);
    let seen = script.seen();
    assert_eq!(
        seen[4].payload["attObj"],
        BASE64URL_NOPAD.encode(&enrolled.attestation_object)
    );
    assert_eq!(seen[6].line, "POST /finalize");
    assert_eq!(
        seen[6].payload,
        json!({"csr": BASE64URL_NOPAD.encode(&csr_der)})
    );
}

#[tokio::test]
async fn a_certificate_for_another_key_does_not_count() {
    let other = Device::new(DeviceProperties::default(), KeyType::P256).unwrap();
    let chain_pem = chain_for(&other.key_pem());
    let script = Script::play(answers(happy(&chain_pem))).await;
    let (_, result) = steps(&enrollment(&script.url("/directory")), &authority()).await;
    let expected = EnrollError::Unexpected {
        step: Step::Certificate,
        cause: UnexpectedAnswer::ForeignKey,
    };
    assert_eq!(result.unwrap_err(), expected);
}

#[tokio::test]
async fn a_refused_finalize_names_its_step() {
    let mut answers = answers(vec![
        json!({}),
        json!({}),
        order("pending"),
        authorization("pending", &Value::Null),
        json!({"status": "valid"}),
        authorization("valid", &Value::Null),
        json!({"type": "urn:ietf:params:acme:error:badCSR"}),
    ]);
    answers[6].status = 400;
    let script = Script::play(answers).await;
    let (_, result) = steps(&enrollment(&script.url("/directory")), &authority()).await;
    let refusal = result.unwrap_err();
    assert_eq!(refusal.kind(), "Finalize: badCSR");
    assert!(refusal.is_refusal());
}

#[tokio::test]
async fn an_order_that_stays_in_processing_outlasts_the_patience() {
    let mut bodies = vec![
        json!({}),
        json!({}),
        order("pending"),
        authorization("pending", &Value::Null),
        json!({"status": "valid"}),
        authorization("valid", &Value::Null),
        order("processing"),
    ];
    bodies.extend(std::iter::repeat_n(order("processing"), 100_000));
    let script = Script::play(answers(bodies)).await;
    let mut enrollment = enrollment(&script.url("/directory"));
    enrollment.patience = Duration::from_millis(100);
    let (_, result) = steps(&enrollment, &authority()).await;
    let expected = EnrollError::Undecided {
        step: Step::PollOrder,
        url: script.url("/location"),
        patience: 0,
    };
    assert_eq!(result.unwrap_err(), expected);
}

#[tokio::test]
async fn apples_client_asks_for_an_outcome_once() {
    let mut bodies = vec![
        json!({}),
        json!({}),
        order("pending"),
        authorization("pending", &Value::Null),
        json!({"status": "valid"}),
        authorization("valid", &Value::Null),
        order("valid"),
    ];
    bodies.extend(std::iter::repeat_n(order("processing"), 10));
    let script = Script::play(answers(bodies)).await;
    let mut enrollment = enrollment(&script.url("/directory"));
    enrollment.client = ClientKind::Apple;
    let (_, result) = steps(&enrollment, &authority()).await;
    let expected = EnrollError::Undecided {
        step: Step::PollOrder,
        url: script.url("/location"),
        patience: 0,
    };
    assert_eq!(result.unwrap_err(), expected);
    assert_eq!(script.seen().len(), 8);
}

#[tokio::test]
async fn no_server_is_a_fault() {
    let (steps, result) = steps(&enrollment("http://127.0.0.1:1/directory"), &authority()).await;
    let fault = result.unwrap_err();
    assert_eq!(steps, [Step::Connect]);
    assert!(
        matches!(
            fault,
            EnrollError::Network {
                step: Step::Connect,
                source: HttpError::Connect { .. }
            }
        ),
        "{fault:?}"
    );
    assert!(!fault.is_refusal());
}

#[test]
fn scenario_128_refusals_are_told_from_faults() {
    let problem = |name: &str, status| EnrollError::Problem {
        step: Step::NewOrder,
        source: Box::new(ProblemReport {
            status,
            problem_type: format!("urn:ietf:params:acme:error:{name}"),
            ..ProblemReport::default()
        }),
    };
    let cases = [
        (problem("rejectedIdentifier", 403), true),
        (problem("badAttestationStatement", 400), true),
        (problem("rateLimited", 429), false),
        (problem("badNonce", 400), false),
        (problem("serverInternal", 500), false),
        (problem("serverInternal", 0), false),
        (problem("malformed", 503), false),
    ];
    for (error, refusal) in cases {
        assert_eq!(error.is_refusal(), refusal, "{error}");
    }
}
