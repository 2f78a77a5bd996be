//! Challenges that are validated in the background, over HTTP (RFC 8555
//! sections
//! 7.1.5, 7.5.1 and 8.2).

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::sync::Arc;

use assay_proto::Timestamp;
use assay_simulator::{
    CsrRequest, Device, KeyType, Response, SubjectAltName, evidence::DeviceProperties,
};
use common::{
    Client, NOW, World, assert_refused, fulfil,
    validator::{TestValidator, not_validated},
};
use serde_json::{Value, json};

/// A server with a validator, and an order.
struct Scene {
    world: World,
    validator: Arc<TestValidator>,
    client: Client,
    order_url: String,
    order: Value,
    challenge: String,
}

impl Scene {
    async fn new() -> Self {
        let validator = Arc::new(TestValidator::default());
        let world = World::with_validators(vec![Arc::clone(&validator) as _]);
        let client = world.client().await;
        let (order_url, order) = client.order("C02A").await;
        let mut scene = Self {
            world,
            validator,
            client,
            order_url,
            order,
            challenge: String::new(),
        };
        let authorization = scene.authorization().await;
        let url = authorization["challenges"][1]["url"].as_str().unwrap();
        scene.challenge = url.to_owned();
        scene
    }

    async fn answer(&self) -> Response {
        self.client.post(&self.challenge, &json!({})).await
    }

    async fn read(&self) -> Response {
        self.client.read(&self.challenge).await
    }

    fn authorization_url(&self) -> &str {
        self.order["authorizations"][0].as_str().unwrap()
    }

    async fn authorization(&self) -> Value {
        self.client
            .read(self.authorization_url())
            .await
            .json()
            .unwrap()
    }

    async fn order(&self) -> Value {
        self.client.read(&self.order_url).await.json().unwrap()
    }

    /// Runs one round of the background worker.
    async fn work(&self) {
        for id in self.world.engine.due_validations(9).await.unwrap() {
            self.world.engine.validate(id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_second_challenge_is_offered_with_a_url_of_its_own() {
    let scene = Scene::new().await;
    let authorization = scene.authorization().await;
    let challenges = authorization["challenges"].as_array().unwrap();
    assert_eq!(challenges.len(), 2);
    assert_eq!(challenges[0]["type"], "device-attest-01");
    let of_first = scene
        .authorization_url()
        .replace("authorization", "challenge");
    assert_eq!(challenges[0]["url"], of_first);
    let second = json!({
        "type": "test-01",
        "url": scene.challenge,
        "status": "pending",
        "token": challenges[1]["token"],
    });
    assert_eq!(challenges[1], second);
    assert_ne!(challenges[0]["url"], challenges[1]["url"]);
    assert_ne!(challenges[0]["token"], challenges[1]["token"]);
    let answer = scene.read().await;
    assert_eq!((answer.status, answer.json().unwrap()), (200, second));
    assert_eq!(answer.links("up"), [scene.authorization_url()]);
    assert_eq!(answer.header("retry-after"), None);
}

#[tokio::test]
async fn a_client_sees_how_its_validation_goes_and_when_to_ask_again() {
    let scene = Scene::new().await;
    let answer = scene.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let processing = answer.json().unwrap();
    assert_eq!(processing["status"], "processing");
    assert_eq!(processing["error"], Value::Null);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.links("up"), [scene.authorization_url()]);
    // Reading it and answering it again change nothing.
    for again in [scene.read().await, scene.answer().await] {
        assert_eq!(again.json().unwrap(), processing);
        assert_eq!(again.header("retry-after"), Some("1"));
    }
    let authorization = scene.authorization().await;
    assert_eq!(authorization["status"], "pending");
    assert_eq!(authorization["challenges"][1], processing);
    assert_eq!(scene.order().await["status"], "pending");

    scene.validator.plan(Err(not_validated(false)));
    scene.work().await;
    let answer = scene.read().await;
    let retried = answer.json().unwrap();
    assert_eq!(retried["status"], "processing");
    let problem = not_validated(false).problem;
    assert_eq!(retried["error"]["detail"], problem.detail);
    assert_eq!(
        retried["error"]["type"],
        "urn:ietf:params:acme:error:unauthorized"
    );
    assert_eq!(answer.header("retry-after"), Some("6"));
    assert_eq!(scene.order().await["status"], "pending");
}

#[tokio::test]
async fn a_failed_validation_is_rendered_with_its_problem_everywhere() {
    let scene = Scene::new().await;
    scene.validator.plan(Err(not_validated(true)));
    scene.answer().await;
    scene.work().await;
    let answer = scene.read().await;
    let failed = answer.json().unwrap();
    assert_eq!(failed["status"], "invalid");
    assert_eq!(failed["error"]["detail"], "no route to the device");
    assert_eq!(failed["validated"], Value::Null);
    assert_eq!(answer.header("retry-after"), None);
    let authorization = scene.authorization().await;
    assert_eq!(authorization["status"], "invalid");
    assert_eq!(authorization["challenges"], json!([failed]));
    let order = scene.order().await;
    assert_eq!(
        (&order["status"], &order["error"]),
        (&json!("invalid"), &failed["error"])
    );
}

#[tokio::test]
async fn control_makes_an_order_ready_but_yields_no_certificate() {
    let scene = Scene::new().await;
    scene.answer().await;
    scene.work().await;
    let answer = scene.read().await;
    let valid = answer.json().unwrap();
    assert_eq!(valid["status"], "valid");
    assert_eq!(valid["validated"], Timestamp(NOW).to_string());
    assert_eq!(answer.header("retry-after"), None);
    let authorization = scene.authorization().await;
    assert_eq!(authorization["status"], "valid");
    assert_eq!(authorization["challenges"], json!([valid]));
    assert_eq!(scene.order().await["status"], "ready");
    let device = Device::new(DeviceProperties::mac("C02A", "U"), KeyType::P256).unwrap();
    let request = CsrRequest {
        common_name: String::new(),
        names: vec![SubjectAltName::PermanentIdentifier("C02A".to_owned())],
    };
    let csr = assay_proto::Base64Url::encode(&device.csr(&request).unwrap());
    let finalize = scene.order["finalize"].as_str().unwrap();
    let refused = scene.client.post(finalize, &json!({"csr": csr})).await;
    assert_refused(&refused, 400, "badCSR");
    assert_eq!(scene.order().await["status"], "ready");
}

#[tokio::test]
async fn no_retry_after_once_another_challenge_decided() {
    let scene = Scene::new().await;
    scene.answer().await;
    fulfil(&scene.world, &scene.order_url, b"spki").await;
    assert_eq!(scene.read().await.header("retry-after"), None);
    let authorization = scene.authorization().await;
    assert_eq!(authorization["status"], "valid");
    assert_eq!(authorization["challenges"].as_array().unwrap().len(), 1);
    scene.work().await;
    assert_eq!(scene.validator.asked(), []);
}
