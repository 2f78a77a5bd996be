//! Positions in lists of orders, to and from JSON.

use assay_proto::{Timestamp, admin::Cursor};

use super::RequestError;
use crate::{
    ids::OrderId,
    ports::{Direction, OrderCursor},
};

pub(super) fn parse(cursor: &Cursor) -> Result<OrderCursor, RequestError> {
    Ok(OrderCursor {
        created: cursor.created,
        id: OrderId::parse(&cursor.id).ok_or(RequestError::InvalidCursor)?,
    })
}

pub(super) fn wire(place: OrderCursor) -> Cursor {
    Cursor {
        created: place.created,
        id: place.id.to_string(),
    }
}

/// Returns the position directly before all orders created at `time` or later;
/// `None` if that is every order.
pub(super) fn before_all_since(time: Timestamp) -> Option<OrderCursor> {
    Some(OrderCursor {
        created: Timestamp(time.0.checked_sub(1)?),
        id: OrderId::from_bytes([u8::MAX; 16]),
    })
}

/// Returns the position next to `place` in `direction`: reading from it in the
/// other direction begins with the order at `place`.
pub(super) fn next_to(place: OrderCursor, direction: Direction) -> OrderCursor {
    let id = u128::from_be_bytes(*place.id.as_bytes());
    let (created, id) = match direction {
        Direction::Newer => match id.checked_add(1) {
            Some(id) => (place.created.0, id),
            None => (place.created.0.saturating_add(1), 0),
        },
        Direction::Older => match id.checked_sub(1) {
            Some(id) => (place.created.0, id),
            None => (place.created.0.saturating_sub(1), u128::MAX),
        },
    };
    OrderCursor {
        created: Timestamp(created),
        id: OrderId::from_bytes(id.to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(created: u64, id: [u8; 16]) -> OrderCursor {
        OrderCursor {
            created: Timestamp(created),
            id: OrderId::from_bytes(id),
        }
    }

    #[test]
    fn a_place_comes_back_from_json_and_only_an_order_is_one() {
        let place = place(1_800_000_000, [7; 16]);
        let mut cursor = wire(place);
        assert_eq!(parse(&cursor), Ok(place));
        cursor.id.pop();
        assert_eq!(parse(&cursor), Err(RequestError::InvalidCursor));
    }

    #[test]
    fn the_next_place_is_one_step_away_and_back() {
        let mut last = [0; 16];
        last[15] = 1;
        let (zero, full) = ([0; 16], [u8::MAX; 16]);
        for (older, newer) in [
            (place(5, zero), place(5, last)),
            (place(5, full), place(6, zero)),
        ] {
            assert!(older < newer);
            assert_eq!(next_to(older, Direction::Newer), newer);
            assert_eq!(next_to(newer, Direction::Older), older);
        }
        assert_eq!(before_all_since(Timestamp(6)), Some(place(5, full)));
        assert_eq!(before_all_since(Timestamp(0)), None);
    }
}
