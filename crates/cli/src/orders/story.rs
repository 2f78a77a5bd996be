//! One order in words and in JSON: what was asked, proved, refused and issued.

use std::fmt;

use assay_engine::{
    domain::{
        AuthorizationStatus, CertificateHolder, ChallengeState, DeviceFacts, Failure, Order,
        OrderState,
    },
    ports::Store,
};
use assay_proto::{OrderStatus, RevocationReason, Timestamp, WireIdentifier};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// An order in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub id: String,
    pub status: OrderStatus,
    pub created: Timestamp,
    pub account: String,
    pub identifiers: Vec<WireIdentifier>,
    /// Why it is invalid: the stable name of the reason.
    pub reason: Option<String>,
    /// The certificate's serial number, hex.
    pub certificate: Option<String>,
}

/// An order's whole story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    #[serde(flatten)]
    pub order: Summary,
    pub expires: Timestamp,
    pub failure: Option<FailureStory>,
    pub authorizations: Vec<AuthorizationStory>,
    pub issued: Option<CertificateStory>,
}

/// Why something failed: for the client and for the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureStory {
    pub at: Timestamp,
    pub gate: String,
    pub reason: String,
    /// The exact finding.
    pub detail: String,
    /// What the client was told.
    pub client: assay_proto::Problem,
    /// SHA-256 of the attestation object, hex.
    pub evidence_sha256: Option<String>,
}

/// An authorization of the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationStory {
    pub id: String,
    pub identifier: WireIdentifier,
    /// The attested attribute that the identifier is compared with.
    pub compared_with: String,
    pub status: String,
    pub evidence: Option<EvidenceStory>,
}

/// What was proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceStory {
    pub at: Timestamp,
    pub key: String,
    pub spki_sha256: String,
    pub root_sha256: String,
    pub evidence_sha256: String,
    /// The attested properties that were stated, by name.
    pub facts: std::collections::BTreeMap<String, String>,
}

/// What was issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateStory {
    pub serial: String,
    pub issued: Timestamp,
    pub not_after: Timestamp,
    pub root_sha256: Option<String>,
    pub revoked: Option<Timestamp>,
    /// The code of RFC 5280, where one was given.
    pub revocation_reason: Option<u8>,
    pub revoked_by: Option<String>,
}

impl Summary {
    /// The order at `now`.
    pub fn of(order: &Order, now: Timestamp) -> Self {
        Self {
            id: order.id.to_string(),
            status: order.status(now),
            created: order.created,
            account: order.account.to_string(),
            identifiers: order.identifiers.iter().map(|one| one.to_wire()).collect(),
            reason: match &order.state {
                OrderState::Invalid(invalid) => Some(invalid.failure.reason.clone()),
                _ if order.is_expired(now) => Some("expired".to_owned()),
                _ => None,
            },
            certificate: match &order.state {
                OrderState::Valid(valid) => Some(valid.certificate.to_string()),
                _ => None,
            },
        }
    }
}

impl Story {
    /// Reads everything about `order`.
    pub async fn read(store: &dyn Store, order: Order, now: Timestamp) -> anyhow::Result<Self> {
        let mut authorizations = Vec::new();
        for id in &order.authorizations {
            let Some(authorization) = store.authorization(*id).await? else {
                continue;
            };
            let authorization = authorization.value;
            let evidence = match &authorization.challenge.state {
                ChallengeState::Valid(validated) => Some(evidence(validated.evidence())),
                _ => None,
            };
            authorizations.push(AuthorizationStory {
                id: id.to_string(),
                identifier: authorization.identifier.to_wire(),
                compared_with: authorization.attribute.as_str().to_owned(),
                status: status(authorization.status(now)).to_owned(),
                evidence,
            });
        }
        let issued = match &order.state {
            OrderState::Valid(valid) => store
                .certificate(valid.certificate.clone())
                .await?
                .map(|certificate| certificate.value)
                .map(|certificate| CertificateStory {
                    serial: certificate.serial.to_string(),
                    issued: certificate.issued,
                    not_after: certificate.not_after,
                    root_sha256: match certificate.holder {
                        CertificateHolder::Device { root_sha256, .. } => {
                            Some(HEXLOWER.encode(&root_sha256))
                        }
                        CertificateHolder::Server => None,
                    },
                    revoked: certificate.revocation.map(|revocation| revocation.at),
                    revocation_reason: certificate
                        .revocation
                        .and_then(|revocation| revocation.reason)
                        .map(RevocationReason::code),
                    revoked_by: certificate
                        .revocation
                        .map(|revocation| revocation.by.to_string()),
                }),
            _ => None,
        };
        let failure = match &order.state {
            OrderState::Invalid(invalid) => Some(failure(&invalid.failure)),
            _ => None,
        };
        Ok(Self {
            order: Summary::of(&order, now),
            expires: order.expires,
            failure,
            authorizations,
            issued,
        })
    }
}

fn failure(failure: &Failure) -> FailureStory {
    FailureStory {
        at: failure.at,
        gate: failure.gate.as_str().to_owned(),
        reason: failure.reason.clone(),
        detail: failure.detail.clone(),
        client: failure.problem.clone(),
        evidence_sha256: failure.object_sha256.map(|hash| HEXLOWER.encode(&hash)),
    }
}

fn evidence(record: &assay_engine::domain::EvidenceRecord) -> EvidenceStory {
    EvidenceStory {
        at: record.at,
        key: record.key.as_str().to_owned(),
        spki_sha256: HEXLOWER.encode(&record.spki_sha256),
        root_sha256: HEXLOWER.encode(&record.root_sha256),
        evidence_sha256: HEXLOWER.encode(&record.object_sha256),
        facts: facts(&record.facts),
    }
}

fn facts(facts: &DeviceFacts) -> std::collections::BTreeMap<String, String> {
    let yes_no =
        |value: Option<bool>| value.map(|value| if value { "yes" } else { "no" }.to_owned());
    [
        ("serial", facts.serial.clone()),
        ("udid", facts.udid.clone()),
        ("model", facts.model.clone()),
        ("os_version", facts.os_version.clone()),
        ("sepos_version", facts.sepos_version.clone()),
        ("llb_version", facts.llb_version.clone()),
        ("sip_enabled", yes_no(facts.sip_enabled)),
        ("secure_boot", facts.secure_boot.clone()),
        (
            "kernel_extensions_allowed",
            yes_no(facts.kernel_extensions_allowed),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn status(status: AuthorizationStatus) -> &'static str {
    match status {
        AuthorizationStatus::Deactivated => "deactivated",
        AuthorizationStatus::Expired => "expired",
        AuthorizationStatus::Invalid => "invalid",
        AuthorizationStatus::Pending => "pending",
        AuthorizationStatus::Valid => "valid",
    }
}

/// `text` with what could disturb a terminal replaced.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn identifiers(identifiers: &[WireIdentifier]) -> String {
    identifiers
        .iter()
        // Debug escapes what could disturb a terminal.
        .map(|identifier| format!("{} {:?}", identifier.kind, identifier.value))
        .collect::<Vec<_>>()
        .join(", ")
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {}  {:<10}  {}",
            self.created,
            self.id,
            self.status.as_str(),
            identifiers(&self.identifiers)
        )?;
        match (&self.reason, &self.certificate) {
            (Some(reason), _) => write!(f, "  {reason}"),
            (None, Some(serial)) => write!(f, "  certificate {serial}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = &self.order;
        writeln!(f, "order          {}", order.id)?;
        writeln!(f, "status         {}", order.status.as_str())?;
        writeln!(f, "account        {}", order.account)?;
        writeln!(f, "identifiers    {}", identifiers(&order.identifiers))?;
        writeln!(f, "created        {}", order.created)?;
        write!(f, "expires        {}", self.expires)?;
        for authorization in &self.authorizations {
            write!(
                f,
                "\nauthorization  {} {}: {:?} is compared with the attested {}",
                authorization.id,
                authorization.status,
                authorization.identifier.value,
                authorization.compared_with
            )?;
            if let Some(evidence) = &authorization.evidence {
                write!(f, "\n  appraised    {}", evidence.at)?;
                write!(
                    f,
                    "\n  key          {} {}",
                    evidence.key, evidence.spki_sha256
                )?;
                write!(f, "\n  root         {}", evidence.root_sha256)?;
                write!(f, "\n  evidence     {}", evidence.evidence_sha256)?;
                for (name, value) in &evidence.facts {
                    write!(f, "\n  {name:<12} {value:?}")?;
                }
            }
        }
        if let Some(failure) = &self.failure {
            write!(f, "\nrefused        {} at {}", failure.reason, failure.at)?;
            write!(f, "\n  gate         {}", failure.gate)?;
            write!(f, "\n  finding      {}", printable(&failure.detail))?;
            write!(
                f,
                "\n  client saw   {}: {}",
                failure.client.kind.name(),
                failure.client.detail
            )?;
            if let Some(hash) = &failure.evidence_sha256 {
                write!(f, "\n  evidence     {hash}")?;
            }
        }
        if let Some(issued) = &self.issued {
            write!(f, "\ncertificate    {}", issued.serial)?;
            write!(f, "\n  issued       {}", issued.issued)?;
            write!(f, "\n  not after    {}", issued.not_after)?;
            if let Some(revoked) = &issued.revoked {
                write!(f, "\n  revoked      {revoked}")?;
            }
            if let Some(by) = &issued.revoked_by {
                write!(f, " by {by}")?;
            }
            if let Some(reason) = issued.revocation_reason {
                write!(f, ", reason {reason}")?;
            }
        }
        Ok(())
    }
}
