use serde::{Deserialize, Deserializer, Serialize};

use super::Summary;
use crate::Timestamp;

/// Which orders to select: those that match every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFilter {
    /// Orders of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Orders for this device: ordered for it, or attested by their evidence.
    pub device: Option<String>,
    /// Orders with this status.
    pub status: Option<StatusFilter>,
    /// Orders created at this time or later.
    pub since: Option<Timestamp>,
}

/// A status to filter orders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusFilter {
    /// Refused, expired or abandoned.
    Invalid,
    /// Waiting for the device's attestation.
    Pending,
    /// The certificate is being signed.
    Processing,
    /// Waiting for the CSR.
    Ready,
    /// The certificate was issued and later revoked.
    Revoked,
    /// The certificate was issued.
    Valid,
}

/// A position in a list of orders. It stays valid after its order is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The time by which the order is sorted: its creation, or in a device's
    /// list the time when its evidence was appraised.
    pub created: Timestamp,
    /// The order's ID, which sorts orders of the same second.
    pub id: String,
}

/// The direction in which a list is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From older to newer orders.
    Newer,
    /// From newer to older orders.
    #[default]
    Older,
}

impl Direction {
    /// The opposite direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Newer => Self::Older,
            Self::Older => Self::Newer,
        }
    }
}

/// A request for a page of orders.
///
/// In JSON `"before": CURSOR` asks for orders that are older, `"after":
/// CURSOR` for newer ones; `null` begins with the newest or the oldest order.
///
/// ```json
/// {"filter": {"device": null, "status": "valid", "since": null},
///  "after": {"created": "2026-01-05T14:09:07Z", "id": "AAAAAAAAAAAAAAAAAAAAAA"},
///  "limit": 50, "count": false}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct ListOrders {
    /// Which orders to select.
    pub filter: OrderFilter,
    /// Where the page begins; the order at the cursor is excluded. Absent: the
    /// page begins at the end that `direction` leads away from.
    pub cursor: Option<Cursor>,
    /// On which side of the cursor the page lies.
    pub direction: Direction,
    /// The maximum number of orders to return.
    pub limit: usize,
    /// Whether to count the matching orders beyond the limit, page by page
    /// ([`Page::matching`], [`Page::next`]). Otherwise a page reads no more
    /// than it returns and skips.
    pub count: bool,
}

impl Default for ListOrders {
    fn default() -> Self {
        Self {
            filter: OrderFilter::default(),
            cursor: None,
            direction: Direction::Older,
            limit: 0,
            count: true,
        }
    }
}

/// The JSON form of [`ListOrders`].
#[derive(Clone, Serialize, Deserialize)]
struct Wire {
    filter: OrderFilter,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    before: Option<Option<Cursor>>,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    after: Option<Option<Cursor>>,
    limit: usize,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    count: bool,
}

/// A key that is present, whether its value is `null` or not.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Cursor>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl TryFrom<Wire> for ListOrders {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let (cursor, direction) = match (wire.before, wire.after) {
            // `"before": null` is how a request without a cursor was always
            // written.
            (None | Some(None), Some(cursor)) => (cursor, Direction::Newer),
            (before, None) => (before.flatten(), Direction::Older),
            (Some(Some(_)), Some(_)) => {
                return Err("a page is either `before` or `after` a cursor, not both");
            }
        };
        Ok(Self {
            filter: wire.filter,
            cursor,
            direction,
            limit: wire.limit,
            count: wire.count,
        })
    }
}

impl From<ListOrders> for Wire {
    fn from(request: ListOrders) -> Self {
        let (before, after) = match request.direction {
            Direction::Newer => (None, Some(request.cursor)),
            Direction::Older => (Some(request.cursor), None),
        };
        Self {
            filter: request.filter,
            before,
            after,
            limit: request.limit,
            count: request.count,
        }
    }
}

/// One page of orders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The matching orders next to the cursor, newest first in either
    /// direction.
    pub orders: Vec<Summary>,
    /// How many orders match, including those that are only counted.
    pub matching: usize,
    /// How many orders were read.
    pub read: usize,
    /// The cursor from which to continue in the same direction. Set if this
    /// page read as much as one request may before it was complete: before it
    /// reached its limit, or while it counted.
    pub next: Option<Cursor>,
    /// How many orders there are in total. Set only if the request has no
    /// filter and does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The cursor for the page of older orders, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<Cursor>,
    /// The cursor for the page of newer orders, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Cursor>,
}
