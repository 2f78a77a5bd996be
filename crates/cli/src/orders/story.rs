//! One order in words and in JSON: what was asked, proved, refused and issued.

use std::fmt;

use assay_engine::{
    domain::{
        AuthorizationStatus, Certificate, CertificateHolder, DeviceFacts, Failure, Note, Order,
        OrderState,
    },
    ports::Store,
    remedy::remedy,
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
    /// The end of the certificate's validity.
    pub not_after: Option<Timestamp>,
    /// When the certificate was revoked.
    pub revoked: Option<Timestamp>,
}

/// An order's whole story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    #[serde(flatten)]
    pub order: Summary,
    pub expires: Timestamp,
    /// What to do about the reason for which it is invalid.
    pub remedy: Option<String>,
    pub failure: Option<FailureStory>,
    pub authorizations: Vec<AuthorizationStory>,
    pub issued: Option<CertificateStory>,
    /// What was refused and did not end the order, oldest first.
    pub notes: Vec<NoteStory>,
}

/// Something that was refused and did not end the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoteStory {
    pub at: Timestamp,
    pub reason: String,
    /// The exact finding.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
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
    /// The certificate.
    pub pem: String,
    /// SHA-256 of the certificate of the CA that issued it, hex.
    pub issuer_sha256: String,
}

impl Summary {
    /// The order at `now`, and what became of its certificate.
    pub async fn read(store: &dyn Store, order: &Order, now: Timestamp) -> anyhow::Result<Self> {
        let certificate = certificate(store, order).await?;
        Ok(Self::of(order, certificate.as_ref(), now))
    }

    fn of(order: &Order, certificate: Option<&Certificate>, now: Timestamp) -> Self {
        Self {
            id: order.id.to_string(),
            status: order.status(now),
            created: order.created,
            account: order.account.to_string(),
            identifiers: order.identifiers.iter().map(|one| one.to_wire()).collect(),
            reason: match order.state() {
                OrderState::Invalid(failure) => Some(failure.reason.clone()),
                _ if order.is_expired(now) => Some("expired".to_owned()),
                _ => None,
            },
            certificate: match order.state() {
                OrderState::Valid { certificate } => Some(certificate.to_string()),
                _ => None,
            },
            not_after: certificate.map(|certificate| certificate.not_after),
            revoked: certificate
                .and_then(|certificate| certificate.revocation)
                .map(|revocation| revocation.at),
        }
    }

    /// The status, and whether the certificate was revoked since.
    fn status_in_words(&self) -> String {
        let status = self.status.as_str();
        match self.revoked {
            Some(_) => format!("{status}, revoked"),
            None => status.to_owned(),
        }
    }
}

/// The order's certificate.
async fn certificate(store: &dyn Store, order: &Order) -> anyhow::Result<Option<Certificate>> {
    let OrderState::Valid { certificate } = order.state() else {
        return Ok(None);
    };
    let found = store.certificate(certificate.clone()).await?;
    Ok(found.map(|found| found.value))
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
            let evidence = authorization.evidence().map(evidence);
            authorizations.push(AuthorizationStory {
                id: id.to_string(),
                identifier: authorization.identifier.to_wire(),
                compared_with: authorization.admitted.attribute.as_str().to_owned(),
                status: status(authorization.status(now)).to_owned(),
                evidence,
            });
        }
        let certificate = certificate(store, &order).await?;
        let notes = store.notes(order.id).await?.into_iter().map(note);
        let summary = Summary::of(&order, certificate.as_ref(), now);
        let failure = match order.state() {
            OrderState::Invalid(ended_by) => Some(failure(ended_by)),
            _ => None,
        };
        Ok(Self {
            expires: order.expires,
            remedy: summary.reason.as_deref().and_then(remedy_of),
            order: summary,
            failure,
            authorizations,
            issued: certificate.map(issued),
            notes: notes.collect(),
        })
    }
}

fn remedy_of(reason: &str) -> Option<String> {
    remedy(reason).map(str::to_owned)
}

fn note(Note { at, reason, detail }: Note) -> NoteStory {
    NoteStory {
        at,
        remedy: remedy_of(&reason),
        reason,
        detail,
    }
}

fn issued(certificate: Certificate) -> CertificateStory {
    let revocation = certificate.revocation;
    CertificateStory {
        serial: certificate.serial.to_string(),
        issued: certificate.issued,
        not_after: certificate.not_after,
        root_sha256: match certificate.holder {
            CertificateHolder::Device { root_sha256, .. } => Some(HEXLOWER.encode(&root_sha256)),
            CertificateHolder::Server => None,
        },
        revoked: revocation.map(|revocation| revocation.at),
        revocation_reason: revocation
            .and_then(|revocation| revocation.reason)
            .map(RevocationReason::code),
        revoked_by: revocation.map(|revocation| revocation.by.to_string()),
        pem: assay_ca::certificate_pem(&certificate.der).unwrap_or_default(),
        issuer_sha256: HEXLOWER.encode(&certificate.issuer),
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
            "{}  {}  {:<14}  {}",
            self.created,
            self.id,
            self.status_in_words(),
            identifiers(&self.identifiers)
        )?;
        match (&self.reason, &self.certificate) {
            (Some(reason), _) => write!(f, "  {reason}")?,
            (None, Some(serial)) => write!(f, "  certificate {serial}")?,
            (None, None) => {}
        }
        match self.not_after {
            Some(not_after) => write!(f, ", ends {not_after}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = &self.order;
        writeln!(f, "order          {}", order.id)?;
        writeln!(f, "status         {}", order.status_in_words())?;
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
            if let Some(remedy) = &self.remedy {
                write!(f, "\n  what to do   {remedy}")?;
            }
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
        if self.failure.is_none()
            && let (Some(reason), Some(remedy)) = (&order.reason, &self.remedy)
        {
            write!(f, "\n{reason:<14} at {}", self.expires)?;
            write!(f, "\n  what to do   {remedy}")?;
        }
        for note in &self.notes {
            write!(f, "\nnote           {} at {}", note.reason, note.at)?;
            write!(f, "\n  finding      {}", printable(&note.detail))?;
            if let Some(remedy) = &note.remedy {
                write!(f, "\n  what to do   {remedy}")?;
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
