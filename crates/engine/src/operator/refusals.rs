use assay_proto::admin::{ListRefusals, Refusal, Refusals};

use crate::{Engine, RecentRefusal, remedy::remedy};

/// Returns the newest refusals, oldest first.
pub(super) fn list(engine: &Engine, request: &ListRefusals) -> Refusals {
    let mut refusals = engine.recent_refusals(request.device.as_deref());
    let total = refusals.len();
    refusals.drain(..total.saturating_sub(request.limit));
    Refusals {
        refusals: refusals.into_iter().map(Refusal::from).collect(),
        total,
    }
}

/// Returns all refusals for a device, oldest first.
pub(super) fn of_device(engine: &Engine, name: &str) -> Vec<Refusal> {
    let refusals = engine.recent_refusals(Some(name)).into_iter();
    refusals.map(Refusal::from).collect()
}

impl From<RecentRefusal> for Refusal {
    fn from(refusal: RecentRefusal) -> Self {
        Self {
            at: refusal.at,
            identifier: refusal.identifier,
            account: refusal.account.to_string(),
            client: refusal.client.map(|client| client.to_string()),
            remedy: remedy(&refusal.reason).map(str::to_owned),
            reason: refusal.reason,
            detail: refusal.detail,
        }
    }
}
