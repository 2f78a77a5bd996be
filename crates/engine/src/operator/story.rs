//! One order as JSON: what was requested, proved, refused and issued.

use std::collections::BTreeMap;

use assay_proto::{
    RevocationReason, Timestamp,
    admin::{
        AuthorizationStory, CertificateStory, EvidenceStory, FailureStory, NoteStory, Story,
        Summary,
    },
};
use data_encoding::HEXLOWER;

use crate::{
    domain::{
        AuthorizationStatus, Certificate, CertificateHolder, DeviceFacts, EvidenceRecord, Failure,
        Note, Order, OrderState,
    },
    ports::{Store, StoreError},
    remedy::remedy,
};

/// Returns the order as of `now`, with the state of its certificate.
pub(super) async fn summary(
    store: &dyn Store,
    order: &Order,
    now: Timestamp,
) -> Result<Summary, StoreError> {
    let certificate = certificate(store, order).await?;
    Ok(summary_of(order, certificate.as_ref(), now))
}

/// Returns everything recorded about the order.
pub(super) async fn story(
    store: &dyn Store,
    order: Order,
    now: Timestamp,
) -> Result<Story, StoreError> {
    let authorizations = authorizations(store, &order, now).await?;
    let certificate = certificate(store, &order).await?;
    let notes = store.notes(order.id).await?.into_iter().map(note);
    let summary = summary_of(&order, certificate.as_ref(), now);
    let failure = match order.state() {
        OrderState::Invalid(ended_by) => Some(failure(ended_by)),
        _ => None,
    };
    Ok(Story {
        directory: Some(order.directory.to_string()),
        profile: Some(order.profile.to_string()),
        expires: order.expires,
        remedy: summary.reason.as_deref().and_then(remedy_of),
        order: summary,
        failure,
        authorizations,
        issued: certificate.map(issued),
        notes: notes.collect(),
    })
}

fn summary_of(order: &Order, certificate: Option<&Certificate>, now: Timestamp) -> Summary {
    Summary {
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

/// Returns the order's certificate.
async fn certificate(store: &dyn Store, order: &Order) -> Result<Option<Certificate>, StoreError> {
    let OrderState::Valid { certificate } = order.state() else {
        return Ok(None);
    };
    let found = store.certificate(certificate.clone()).await?;
    Ok(found.map(|found| found.value))
}

async fn authorizations(
    store: &dyn Store,
    order: &Order,
    now: Timestamp,
) -> Result<Vec<AuthorizationStory>, StoreError> {
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
            admitted_by: (authorization.admitted.rule).map(|rule| rule.as_str().to_owned()),
        });
    }
    Ok(authorizations)
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

fn evidence(record: &EvidenceRecord) -> EvidenceStory {
    EvidenceStory {
        at: record.at,
        key: record.key.as_str().to_owned(),
        spki_sha256: HEXLOWER.encode(&record.spki_sha256),
        root_sha256: HEXLOWER.encode(&record.root_sha256),
        evidence_sha256: HEXLOWER.encode(&record.object_sha256),
        facts: facts(&record.facts),
    }
}

fn facts(facts: &DeviceFacts) -> BTreeMap<String, String> {
    (facts.named().into_iter())
        .filter_map(|(name, text)| Some((name.to_owned(), text?)))
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
