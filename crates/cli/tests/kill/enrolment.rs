//! One device's way to its certificate, step by step: what the server
//! acknowledged is kept, and held against what it says later.

use std::time::{SystemTime, UNIX_EPOCH};

use assay_simulator::{
    AccountKey, AcmeClient, Algorithm, ClientError, CsrRequest, Device, KeyType, Response,
    evidence::DeviceProperties,
};
use data_encoding::BASE64URL_NOPAD;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{fleet::Fleet, server::random};

/// A device, and what the server acknowledged to it.
pub(crate) struct Enrolment {
    identifier: String,
    key: AccountKey,
    device: Device,
    account_url: Option<String>,
    order: Option<Order>,
    /// The authorization as it was last seen.
    authorization: Option<Value>,
    /// The chain as it was downloaded.
    chain_pem: Option<String>,
}

struct Order {
    url: String,
    /// As it was last seen.
    body: Value,
}

/// How far an order is, in the order in which it can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    None,
    Pending,
    Ready,
    Processing,
    Valid,
}

impl Enrolment {
    pub(crate) fn new() -> Self {
        let identifier = format!("KILL{:08X}{:08X}", random(), random());
        let properties = DeviceProperties::mac(&identifier, &format!("00008110-{identifier}"));
        Self {
            key: AccountKey::generate(Algorithm::Es256).unwrap(),
            device: Device::new(properties, KeyType::P256).unwrap(),
            identifier,
            account_url: None,
            order: None,
            authorization: None,
            chain_pem: None,
        }
    }

    /// Goes on from what was acknowledged until the certificate is there, or
    /// the order is processing, which only time can help.
    pub(crate) async fn go_on(
        &mut self,
        client: &mut AcmeClient,
        fleet: &Fleet,
    ) -> Result<(), ClientError> {
        self.speak(client);
        while self.chain_pem.is_none() && self.status() != Status::Processing {
            let answer = match self.status() {
                Status::None if self.account_url.is_none() => {
                    let answer = ok(client.new_account().await?);
                    self.account_url = Some(answer.location().unwrap().to_owned());
                    answer
                }
                Status::None => {
                    let identifiers = [("permanent-identifier", self.identifier.as_str())];
                    let answer = ok(client.new_order(&identifiers).await?);
                    self.order = Some(Order {
                        url: answer.location().unwrap().to_owned(),
                        body: answer.json().unwrap(),
                    });
                    answer
                }
                Status::Pending => self.prove(client, fleet).await?,
                Status::Ready => {
                    let csr = self.device.csr(&CsrRequest::default()).unwrap();
                    let payload = json!({"csr": BASE64URL_NOPAD.encode(&csr)});
                    let url = self.text("finalize");
                    fleet.finalizing();
                    let answer = ok(client.post(&url, &payload).await?);
                    self.saw_order(&answer);
                    answer
                }
                Status::Processing | Status::Valid => {
                    let answer = ok(client.post_as_get(&self.text("certificate")).await?);
                    self.chain_pem = Some(answer.text());
                    answer
                }
            };
            fleet.answered();
            drop(answer);
        }
        Ok(())
    }

    /// The authorization of a pending order: read, or proved, or, when it is
    /// valid, the order read again.
    async fn prove(
        &mut self,
        client: &mut AcmeClient,
        fleet: &Fleet,
    ) -> Result<Response, ClientError> {
        let url = self.authorization_url();
        let Some(authorization) = &self.authorization else {
            let answer = ok(client.post_as_get(&url).await?);
            self.authorization = Some(answer.json().unwrap());
            return Ok(answer);
        };
        if authorization["status"] == "valid" {
            let answer = ok(client.post_as_get(&self.order_url()).await?);
            self.saw_order(&answer);
            return Ok(answer);
        }
        let challenge = &authorization["challenges"][0];
        let freshness = Sha256::digest(challenge["token"].as_str().unwrap());
        let evidence = fleet
            .authority
            .attest(
                &self.device.properties,
                &self.device.spki_der(),
                &freshness,
                now(),
            )
            .unwrap()
            .attestation_object();
        let payload = json!({"attObj": BASE64URL_NOPAD.encode(&evidence)});
        let answer = ok(client
            .post(challenge["url"].as_str().unwrap(), &payload)
            .await?);
        let challenge = answer.json().unwrap();
        assert_eq!(challenge["status"], "valid", "{challenge}");
        // From here on the authorization must be this, down to the moment of
        // its validation.
        if let Some(authorization) = &mut self.authorization {
            authorization["status"] = json!("valid");
            authorization["challenges"][0] = challenge;
        }
        Ok(answer)
    }

    /// Checks over the wire that everything that was acknowledged is there.
    /// What went further than that, unacknowledged, is taken note of.
    pub(crate) async fn check(&mut self, client: &mut AcmeClient) -> Result<(), ClientError> {
        self.speak(client);
        let Some(account_url) = &self.account_url else {
            return Ok(());
        };
        // That the key's signature is taken shows that it is the account's.
        let account = ok(client.post_as_get(account_url).await?).json().unwrap();
        assert_eq!(account["status"], "valid", "{account}");
        let Some(order) = &self.order else {
            return Ok(());
        };
        let list = ok(client
            .post_as_get(account["orders"].as_str().unwrap())
            .await?)
        .json()
        .unwrap();
        assert!(
            list["orders"]
                .as_array()
                .unwrap()
                .contains(&json!(order.url)),
            "{list}"
        );

        let before = order.body.clone();
        let answer = ok(client.post_as_get(&order.url).await?);
        self.saw_order(&answer);
        let after = &self.order.as_ref().unwrap().body;
        for member in ["identifiers", "authorizations", "finalize", "expires"] {
            assert_eq!(after[member], before[member], "{member} of {after}");
        }
        if !before["certificate"].is_null() {
            assert_eq!(after["certificate"], before["certificate"]);
        }

        let authorization = ok(client.post_as_get(&self.authorization_url()).await?)
            .json()
            .unwrap();
        if let Some(before) = &self.authorization {
            if before["status"] == "valid" {
                assert_eq!(authorization, *before);
            }
            assert_eq!(
                authorization["challenges"][0]["token"],
                before["challenges"][0]["token"]
            );
        }
        assert_eq!(
            authorization["status"] == "valid",
            self.status() > Status::Pending,
            "{authorization} of {:?}",
            self.status()
        );
        self.authorization = Some(authorization);

        if let Some(chain_pem) = &self.chain_pem {
            let again = ok(client.post_as_get(&self.text("certificate")).await?);
            assert_eq!(again.text(), *chain_pem);
        }
        Ok(())
    }

    /// How far the order is, as far as it was acknowledged.
    pub(crate) fn status(&self) -> Status {
        self.order
            .as_ref()
            .map_or(Status::None, |order| status(&order.body))
    }

    pub(crate) fn has_certificate(&self) -> bool {
        self.chain_pem.is_some()
    }

    pub(crate) fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The last part of the order's URL.
    pub(crate) fn order_id(&self) -> &str {
        self.order.as_ref().unwrap().url.rsplit('/').next().unwrap()
    }

    /// The downloaded certificate's serial number, hex.
    pub(crate) fn serial(&self) -> String {
        let chain_pem = self.chain_pem.as_ref().unwrap();
        let der = CertificateDer::from_pem_slice(chain_pem.as_bytes()).unwrap();
        let certificate = assay_attest::UnverifiedCertificate::decode(&der).unwrap();
        certificate.serial_number
    }

    fn speak(&self, client: &mut AcmeClient) {
        client.set_key(self.key.clone());
        client.set_account(self.account_url.clone());
    }

    /// Takes note of an order; it never goes back.
    fn saw_order(&mut self, answer: &Response) {
        let order = self.order.as_mut().unwrap();
        let body = answer.json().unwrap();
        assert!(
            status(&body) >= status(&order.body),
            "{} became {body}",
            order.body
        );
        order.body = body;
    }

    fn order_url(&self) -> String {
        self.order.as_ref().unwrap().url.clone()
    }

    fn authorization_url(&self) -> String {
        let order = self.order.as_ref().unwrap();
        order.body["authorizations"][0].as_str().unwrap().to_owned()
    }

    /// A member of the order.
    fn text(&self, name: &str) -> String {
        self.order.as_ref().unwrap().body[name]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn status(order: &Value) -> Status {
    match order["status"].as_str() {
        Some("pending") => Status::Pending,
        Some("ready") => Status::Ready,
        Some("processing") => Status::Processing,
        Some("valid") => Status::Valid,
        _ => panic!("this order was to succeed: {order}"),
    }
}

/// Nothing that these devices ask for is refused.
fn ok(answer: Response) -> Response {
    answer
        .success()
        .unwrap_or_else(|problem| panic!("{problem}"))
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
