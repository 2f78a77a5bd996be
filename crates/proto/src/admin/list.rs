use serde::{Deserialize, Deserializer, Serialize};

use super::Summary;
use crate::Timestamp;

/// Which orders are meant: those that match every given part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFilter {
    /// Those of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Those that were ordered for this device, or whose evidence attests it.
    pub device: Option<String>,
    /// Those of this status.
    pub status: Option<StatusFilter>,
    /// Those that were made then or later.
    pub since: Option<Timestamp>,
}

/// A status that orders are chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusFilter {
    /// Refused, expired or given up.
    Invalid,
    /// Waits for the device's attestation.
    Pending,
    /// The certificate is being signed.
    Processing,
    /// Waits for the CSR.
    Ready,
    /// The certificate was issued, and revoked since.
    Revoked,
    /// The certificate was issued.
    Valid,
}

/// A place in a list of orders: that of an order, whether it is still there or
/// not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The time by which the order is sorted: its creation, or in the list of
    /// a device the time at which its evidence was appraised.
    pub created: Timestamp,
    /// The order's name: it sorts orders of the same second.
    pub id: String,
}

/// The way in which a list is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From older to newer orders.
    Newer,
    /// From newer to older orders.
    #[default]
    Older,
}

impl Direction {
    /// The other way.
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
    /// Which orders.
    pub filter: OrderFilter,
    /// Where the page begins, its own place excluded. Absent: at the end of
    /// the list that `direction` leads away from.
    pub cursor: Option<Cursor>,
    /// On which side of the cursor the page lies.
    pub direction: Direction,
    /// How many orders to return.
    pub limit: usize,
    /// Whether the orders beyond the limit are counted, page by page
    /// ([`Page::matching`], [`Page::next`]). Without, a page reads no more than
    /// it returns and skips.
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

/// [`ListOrders`] in JSON.
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

/// A key that is there, whether its value is null or not.
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
            // `"before": null` is what a request without a cursor always had.
            (None | Some(None), Some(cursor)) => (cursor, Direction::Newer),
            (before, None) => (before.flatten(), Direction::Older),
            (Some(Some(_)), Some(_)) => {
                return Err("a page is `before` one place or `after` one, not both");
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
    /// Those next to the cursor that match, the newest first whichever the
    /// direction.
    pub orders: Vec<Summary>,
    /// How many match, those among them that are only counted.
    pub matching: usize,
    /// How many were read.
    pub read: usize,
    /// Where to go on in the same direction, where this page read as much as
    /// one may and is not complete: its limit is not reached, or it counts.
    pub next: Option<Cursor>,
    /// How many orders there are in all. Only where the request has no filter
    /// and does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The cursor of the page of older orders, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<Cursor>,
    /// The cursor of the page of newer orders, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Cursor>,
}
