use assay_proto::Timestamp;

use crate::{
    Engine, RequestInfo,
    domain::{Attribute, Authorization, DeviceFacts, EvidenceRecord, Note, Order},
    events::{Event, UdidDiffers},
    ids::OrderId,
    ports::{Direction, OrderList, StoreError},
};

/// The stable name of the note; the event's name has an underscore.
const UDID_DIFFERS: &str = "udid-differs";
/// The most orders of the same device with good evidence to compare with.
const LOOK_BACK: usize = 8;
/// The most orders read to find them. Fewer than this are open, or kept without
/// evidence, for one device.
const MOST_READ: usize = 500;
/// Orders per read.
const PAGE: usize = 50;

/// A contradiction between good evidence and the list or earlier evidence: it
/// attests the ordered name, but another UDID (or serial) than the list has, or
/// than another device with this serial had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherDevice {
    /// The attribute in the list, its value there, and the attested value.
    listed: Option<(Attribute, String, String)>,
    /// An earlier order of another device, and its UDID.
    earlier: Option<(OrderId, String)>,
    evidence: DeviceFacts,
    at: Timestamp,
}

impl OtherDevice {
    /// Returns the note for the order.
    pub(crate) fn note(&self) -> Note {
        let listed = self.listed.as_ref().map(|(attribute, listed, attested)| {
            format!(
                "the list has the {} {listed:?}, the evidence attests {attested:?}",
                attribute.as_str()
            )
        });
        let earlier = self.earlier.as_ref().map(|(order, udid)| {
            format!(
                "there are two devices with the serial {:?}: this one has the UDID {:?}, that of order {order} has {udid:?}",
                self.evidence.serial.as_deref().unwrap_or_default(),
                self.evidence.udid.as_deref().unwrap_or_default(),
            )
        });
        let findings: Vec<String> = listed.into_iter().chain(earlier).collect();
        Note {
            at: self.at,
            reason: UDID_DIFFERS.to_owned(),
            detail: findings.join("; "),
        }
    }
}

impl Engine {
    /// Compares evidence that proves the ordered identifier with the list and
    /// with earlier evidence. A contradiction is reported but not refused,
    /// since exports often contain another UDID. A read error here does not
    /// keep a device from its certificate.
    pub(crate) async fn other_device(
        &self,
        order: &Order,
        authorization: &Authorization,
        evidence: &EvidenceRecord,
    ) -> Option<OtherDevice> {
        let facts = &evidence.facts;
        let listed = match self.directories.get(&order.directory) {
            Some(directory) => {
                (directory
                    .admission()
                    .listed_other_attribute(&authorization.identifier))
                .await
            }
            None => None,
        };
        let listed = listed.and_then(|(attribute, listed)| {
            let attested = match attribute {
                Attribute::Serial => facts.serial.clone()?,
                Attribute::Udid => facts.udid.clone()?,
            };
            (attested != listed).then_some((attribute, listed, attested))
        });
        let earlier = self.earlier_device(authorization, facts).await;
        let earlier = earlier.unwrap_or_else(|error| {
            self.report(&Event::EarlierOrdersUnread {
                order: authorization.order,
                error: &error,
            });
            None
        });
        (listed.is_some() || earlier.is_some()).then(|| OtherDevice {
            listed,
            earlier,
            evidence: facts.clone(),
            at: evidence.at,
        })
    }

    /// Returns a recent order of another device with the same serial, and that
    /// device's UDID.
    async fn earlier_device(
        &self,
        authorization: &Authorization,
        facts: &DeviceFacts,
    ) -> Result<Option<(OrderId, String)>, StoreError> {
        let (Some(serial), Some(udid)) = (&facts.serial, &facts.udid) else {
            return Ok(None);
        };
        let (mut before, mut read, mut compared) = (None, 0, 0);
        while read < MOST_READ && compared < LOOK_BACK {
            let page = self
                .store
                .orders(OrderList::OfDevice(serial), before, Direction::Older, PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            before = Some(*last);
            read += page.len();
            for cursor in page {
                let order = match self.store.order(cursor.id).await? {
                    // Orders without good evidence prove nothing: any client
                    // that knows the serial number can create them.
                    Some(order) if order.value.is_proven() && cursor.id != authorization.order => {
                        order.value
                    }
                    _ => continue,
                };
                compared += 1;
                if let Some(other) = self.other_udid(&order, serial, udid).await? {
                    return Ok(Some((order.id, other)));
                }
            }
        }
        Ok(None)
    }

    /// Returns the UDID in the evidence of an order for this serial, if it
    /// differs.
    async fn other_udid(
        &self,
        order: &Order,
        serial: &String,
        udid: &String,
    ) -> Result<Option<String>, StoreError> {
        for id in &order.authorizations {
            let earlier = self.store.authorization(*id).await?;
            let earlier = earlier.map(|earlier| earlier.value);
            let Some(facts) = earlier
                .as_ref()
                .and_then(|one| Some(&one.evidence()?.facts))
            else {
                continue;
            };
            if facts.serial.as_ref() == Some(serial)
                && let Some(other) = &facts.udid
                && other != udid
            {
                return Ok(Some(other.clone()));
            }
        }
        Ok(None)
    }

    /// Reports the contradiction once it is durable.
    pub(crate) fn report_other_device(
        &self,
        request: &RequestInfo,
        authorization: &Authorization,
        other: &OtherDevice,
    ) {
        let (listed, earlier) = (other.listed.as_ref(), other.earlier.as_ref());
        self.report(&Event::UdidDiffers(UdidDiffers {
            request,
            account: authorization.account,
            order: authorization.order,
            identifier: &authorization.identifier,
            evidence: &other.evidence,
            listed: listed.map(|(attribute, listed, _)| (*attribute, listed.as_str())),
            earlier: earlier.map(|(order, udid)| (*order, udid.as_str())),
        }));
    }
}
