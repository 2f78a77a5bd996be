//! Formats the engine's events as log lines. Operators' filters and alarms
//! depend on fields, their order, levels and targets: `tests/lines.jsonl`
//! contains each of them.

use std::sync::Arc;

use assay_engine::{
    events::{DisplacedCounts, Event, Refused, UdidDiffers},
    ports::Observer,
};
use assay_proto::RevocationReason;
use assay_server::RequestLog;
use data_encoding::HEXLOWER;
use tracing::field::display;

/// The target of lines that must not be lost among those of requests. Each
/// corresponds to a durable change, so no request causes one without cost. They
/// have their own queue.
pub const TARGET: &str = "assay_engine::event";

/// The target of the other lines: the engine's modules that report them.
const ENGINE: &str = "assay_engine::engine";
const ACCOUNTS: &str = "assay_engine::events";
const REFUSAL: &str = "assay_engine::refusal";
const SPACE: &str = "assay_engine::space";
const FINALIZE: &str = "assay_engine::usecase::finalize";
const OTHER_DEVICE: &str = "assay_engine::usecase::other_device";
const SERVER_CERTIFICATE: &str = "assay_engine::usecase::server_certificate";

/// Writes a line for each event that has one. Lines that a flood of requests
/// can cause are rate-limited, and counted beyond the limit.
pub struct LogObserver {
    request_log: Arc<RequestLog>,
}

impl LogObserver {
    /// Shares `request_log` with the server.
    pub fn new(request_log: Arc<RequestLog>) -> Self {
        Self { request_log }
    }

    /// Whether an event is logged.
    fn logs(&self, event: &Event<'_>) -> bool {
        match event {
            Event::AccountCreated { request, .. } => self.request_log.count_account(request.client),
            Event::PaddedSignature { .. } => {
                self.request_log.count_padded_signature();
                false
            }
            Event::Refused(refused) => {
                let client = refused.request.client;
                self.request_log
                    .count_finding(refused.gate, refused.kind, client)
            }
            _ => true,
        }
    }
}

impl Observer for LogObserver {
    fn observe(&self, event: &Event<'_>) {
        if !self.logs(event) {
            return;
        }
        match event {
            Event::AccountChanged { .. }
            | Event::AccountCreated { .. }
            | Event::AccountDeactivated { .. }
            | Event::AccountKeyChanged { .. }
            | Event::AuthorizationDeactivated { .. } => log_account(event),
            Event::ClockDeparted { .. }
            | Event::ClockFollowed { .. }
            | Event::ClockReturned { .. } => log_clock(event),
            Event::FreeSpaceBack { .. }
            | Event::FreeSpaceLow { .. }
            | Event::FreeSpaceUnknown { .. } => log_space(event),
            Event::IssuanceFailed { .. }
            | Event::IssuancePostponed { .. }
            | Event::Issued { .. }
            | Event::Revoked { .. }
            | Event::ServerIntentDropped { .. } => log_certificate(event),
            Event::EarlierOrdersUnread { order, error } => tracing::warn!(
                target: OTHER_DEVICE,
                event = event.name(),
                %order,
                %error,
                "earlier orders of a device cannot be compared with its evidence: enrolment continues"
            ),
            Event::OrdersDisplaced(displaced) => log_displaced(
                event,
                displaced,
                "pending orders gave way to newer ones for the same identifiers",
            ),
            Event::ProvisionalAccountsDropped(dropped) => log_displaced(
                event,
                dropped,
                "accounts without a valid authorization gave way to newer ones",
            ),
            Event::Refused(refused) => log_refused(event, refused),
            Event::UdidDiffers(differs) => log_udid_differs(event, differs),
            // Recorded, and counted above.
            Event::ChallengeJudged(_)
            | Event::CsrReceived { .. }
            | Event::PaddedSignature { .. } => {}
        }
    }
}

fn log_account(event: &Event<'_>) {
    let client = event.client().map(display);
    match event {
        // Does not use TARGET, because a flood can cause it.
        Event::AccountCreated {
            account,
            thumbprint,
            ..
        } => tracing::info!(
            target: ACCOUNTS,
            event = event.name(),
            %account,
            client,
            %thumbprint,
            "account created"
        ),
        Event::AccountChanged {
            account,
            contacts_before,
            contacts,
            ..
        } => tracing::info!(
            target: TARGET,
            event = event.name(),
            %account,
            client,
            contacts_before,
            contacts,
            "contacts of an account replaced"
        ),
        Event::AccountKeyChanged {
            account, old, new, ..
        } => tracing::info!(
            target: TARGET,
            event = event.name(),
            %account,
            client,
            old_thumbprint = %old,
            new_thumbprint = %new,
            "account has another key"
        ),
        Event::AccountDeactivated {
            account,
            orders_ended,
            ..
        } => tracing::info!(
            target: TARGET,
            event = event.name(),
            %account,
            client,
            orders_ended,
            "account deactivated"
        ),
        Event::AuthorizationDeactivated {
            account,
            authorization,
            order,
            order_ended,
            ..
        } => tracing::info!(
            target: TARGET,
            event = event.name(),
            %account,
            client,
            %authorization,
            %order,
            order_ended,
            "authorization deactivated"
        ),
        _ => {}
    }
}

fn log_certificate(event: &Event<'_>) {
    match event {
        Event::Issued {
            account,
            order,
            serial,
            evidence,
            issuer,
            not_after,
            ..
        } => {
            let facts = evidence.map(|evidence| &evidence.facts);
            tracing::info!(
                target: TARGET,
                event = event.name(),
                %account,
                %order,
                %serial,
                device_serial = facts.and_then(|facts| facts.serial.as_deref()),
                udid = facts.and_then(|facts| facts.udid.as_deref()),
                key = evidence.map(|evidence| evidence.key.as_str()),
                issuer,
                %not_after,
                "issued"
            );
        }
        Event::IssuanceFailed {
            account,
            order,
            failure,
            ..
        } => tracing::error!(
            target: FINALIZE,
            event = event.name(),
            %account,
            %order,
            reason = failure.reason,
            detail = failure.detail,
            "issuance failed"
        ),
        Event::IssuancePostponed {
            account,
            order,
            reason,
            detail,
        } => tracing::error!(
            target: FINALIZE,
            event = event.name(),
            %account,
            %order,
            reason,
            detail,
            "the certificate is not signed yet; the order stays in processing, and is tried again"
        ),
        Event::Revoked {
            ordered,
            serial,
            reason,
            by,
            ..
        } => tracing::info!(
            target: TARGET,
            event = event.name(),
            account = ordered.map(|(account, _)| display(account)),
            order = ordered.map(|(_, order)| display(order)),
            %serial,
            reason = reason.map(RevocationReason::code),
            %by,
            "revoked"
        ),
        Event::ServerIntentDropped { serial, .. } => tracing::warn!(
            target: SERVER_CERTIFICATE,
            event = event.name(),
            %serial,
            "a TLS certificate was not finished by an earlier process and never will be"
        ),
        _ => {}
    }
}

fn log_clock(event: &Event<'_>) {
    match event {
        Event::ClockDeparted { reading } => tracing::error!(
            target: ENGINE,
            event = event.name(),
            now = %reading.now,
            wall = %reading.wall,
            "{reading}: nothing expires until they agree; set the clock right, or confirm it \
             with `assay store accept-clock TIME`"
        ),
        Event::ClockReturned { reading } => tracing::info!(
            target: ENGINE,
            event = event.name(),
            now = %reading.now,
            wall = %reading.wall,
            "the clock is right again"
        ),
        Event::ClockFollowed { reading, seconds } => tracing::warn!(
            target: ENGINE,
            event = event.name(),
            now = %reading.now,
            wall = %reading.wall,
            seconds,
            "the server's time went forward to the clock's"
        ),
        _ => {}
    }
}

fn log_space(event: &Event<'_>) {
    match event {
        Event::FreeSpaceUnknown { error } => tracing::error!(
            target: SPACE,
            event = event.name(),
            %error,
            "the free space of the database's file system cannot be read"
        ),
        Event::FreeSpaceLow { free, threshold } => tracing::error!(
            target: SPACE,
            event = event.name(),
            free,
            threshold,
            "new accounts and orders are refused, what was begun goes on: make room on the \
             disk of the database"
        ),
        Event::FreeSpaceBack { free } => tracing::info!(
            target: SPACE,
            event = event.name(),
            free,
            "new accounts and orders are taken again"
        ),
        _ => {}
    }
}

fn log_displaced(event: &Event<'_>, displaced: &DisplacedCounts, message: &str) {
    let DisplacedCounts {
        count,
        refused,
        network,
    } = displaced;
    tracing::warn!(
        target: ENGINE,
        event = event.name(),
        count,
        refused,
        network = network.map(display),
        "{message}"
    );
}

fn log_refused(event: &Event<'_>, refused: &Refused<'_>) {
    tracing::warn!(
        target: REFUSAL,
        event = event.name(),
        gate = refused.gate.as_str(),
        account = %refused.account,
        order = refused.order.map(display),
        // Same name as in the span, so that one search finds both.
        identifier = %refused.identifier,
        reason = refused.reason,
        detail = %refused.detail,
        evidence_sha256 = refused.object_sha256.map(|hash| HEXLOWER.encode(hash)),
        "refused"
    );
}

fn log_udid_differs(event: &Event<'_>, differs: &UdidDiffers<'_>) {
    let (listed, earlier) = (differs.listed, differs.earlier);
    tracing::warn!(
        target: OTHER_DEVICE,
        event = event.name(),
        account = %differs.account,
        client = differs.request.client.map(display),
        order = %differs.order,
        identifier = %differs.identifier.to_wire().value,
        serial = differs.evidence.serial.as_deref(),
        udid = differs.evidence.udid.as_deref(),
        attribute = listed.map(|(attribute, _)| attribute.as_str()),
        listed = listed.map(|(_, listed)| listed),
        earlier_order = earlier.map(|(order, _)| display(order)),
        earlier_udid = earlier.map(|(_, udid)| udid),
        "the evidence is good, and attests another UDID than the list or an earlier order has"
    );
}
