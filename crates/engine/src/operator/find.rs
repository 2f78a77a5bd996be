//! Finds orders by a text: an order's ID or URL, a certificate's serial number,
//! or a device.

use assay_ca::SerialNumber;
use assay_proto::{
    Identifier, Timestamp, WireIdentifier,
    admin::{DeviceStory, FindOrders, Found, ListOrders, OrderFilter, Story},
};
use data_encoding::HEXLOWER_PERMISSIVE;

use super::{RequestError, list, refusals, story};
use crate::{Engine, domain::CertificateHolder, ids::OrderId, ports::Store};

/// The most orders of a device that are reported in full.
const STORIES: usize = 5;
/// The most orders of a device that are listed.
const LISTED: usize = 50;

/// Finds the orders for a text.
pub(super) async fn find(
    store: &dyn Store,
    engine: Option<&Engine>,
    request: &FindOrders,
    now: Timestamp,
) -> Result<Found, RequestError> {
    let mut found = Found::default();
    let text = request.text.trim();
    if let Some(serial) = serial_number(text)
        && let Some(certificate) = store.certificate(serial).await?
    {
        match certificate.value.holder {
            CertificateHolder::Device { order, .. } => {
                found.certificate = story_of(store, order, now).await?.map(Box::new);
            }
            CertificateHolder::Server => found.is_servers = true,
        }
    }
    if request.certificate {
        return Ok(found);
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    if let Some(id) = OrderId::parse(last) {
        found.order = story_of(store, id, now).await?.map(Box::new);
    }
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if !is_url {
        found.device = device(store, engine, &device_name(text), now).await?;
    }
    Ok(found)
}

async fn story_of(
    store: &dyn Store,
    id: OrderId,
    now: Timestamp,
) -> Result<Option<Story>, RequestError> {
    Ok(match store.order(id).await? {
        Some(order) => Some(story::story(store, order.value, now).await?),
        None => None,
    })
}

async fn device(
    store: &dyn Store,
    engine: Option<&Engine>,
    name: &str,
    now: Timestamp,
) -> Result<Option<DeviceStory>, RequestError> {
    let request = ListOrders {
        filter: OrderFilter {
            device: Some(name.to_owned()),
            ..OrderFilter::default()
        },
        limit: LISTED,
        ..ListOrders::default()
    };
    let listed = list::list(store, &request, now).await?;
    let refusals = engine.map(|engine| refusals::of_device(engine, name));
    if listed.matching == 0 && refusals.as_ref().is_none_or(Vec::is_empty) {
        return Ok(None);
    }
    let mut summaries = listed.orders.into_iter();
    let mut orders = Vec::new();
    for summary in summaries.by_ref().take(STORIES) {
        if let Some(id) = OrderId::parse(&summary.id)
            && let Some(story) = story_of(store, id, now).await?
        {
            orders.push(story);
        }
    }
    Ok(Some(DeviceStory {
        device: name.to_owned(),
        orders,
        earlier: summaries.collect(),
        total: listed.matching,
        refusals,
    }))
}

/// Parses a serial number in hex, also as other programs print it: in upper
/// case, with colons or `0x`.
fn serial_number(text: &str) -> Option<SerialNumber> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let mut hex: String = text.chars().filter(|letter| *letter != ':').collect();
    if !hex.len().is_multiple_of(2) {
        hex.insert(0, '0');
    }
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    SerialNumber::from_magnitude(&bytes[zeros..]).ok()
}

/// Returns the device in a text: an identifier's value may also contain its
/// assigner or its hardware type.
fn device_name(text: &str) -> String {
    let parsed = ["permanent-identifier", "hardware-module"]
        .into_iter()
        .find_map(|kind| {
            let wire = WireIdentifier {
                kind: kind.to_owned(),
                value: text.to_owned(),
            };
            Identifier::parse(&wire).ok()
        });
    parsed.map_or_else(|| text.to_owned(), |parsed| parsed.device().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_read_as_other_programs_print_it() {
        let expected = SerialNumber::from_magnitude(&[0x0c, 0xab, 0xcd]).ok();
        assert!(expected.is_some());
        for text in [
            "0cabcd", "cabcd", "0CABCD", "0C:AB:CD", "0x0cabcd", "000cabcd",
        ] {
            assert_eq!(serial_number(text), expected, "{text}");
        }
        for text in ["", "0", "xyz", "C02XK0AAJHD2", &"ab".repeat(21)] {
            assert_eq!(serial_number(text), None, "{text}");
        }
    }

    #[test]
    fn a_device_is_named_with_or_without_its_assigner_and_type() {
        assert_eq!(device_name("C02AAA"), "C02AAA");
        assert_eq!(device_name("C02AAA/1.2.3"), "C02AAA");
        assert_eq!(device_name("not a name"), "not a name");
    }
}
