use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use super::{Inventory, InventoryUnavailable};
use crate::domain::Attribute;

/// A list of devices in the form of CSV: the header `serial,udid,comment`,
/// then a line a device with at least one of serial and UDID.
///
/// The attribute under which a name is listed is the one that evidence is
/// compared with. Names are compared octet for octet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceList {
    names: HashMap<String, Attribute>,
    devices: usize,
}

/// Why a list of devices cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct DeviceListError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: DeviceListFault,
}

/// What is wrong with a line of a list of devices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListFault {
    /// The first line is another one than the header.
    #[error("the header must be \"serial,udid,comment\"")]
    Header,
    /// The name stands in the list twice, so that it could mean two devices.
    #[error("{name:?} is listed already in line {first}: one name must mean one device")]
    Ambiguous {
        /// The name.
        name: String,
        /// Where it stands first.
        first: usize,
    },
    /// A name with a character that no serial or UDID has.
    #[error(
        "{0:?} has a character that cannot stand in a serial or UDID: white space, quotes, \"/\" and control characters cannot"
    )]
    Character(String),
    /// Fewer than two fields.
    #[error(
        "a line needs the fields serial and udid, either of which may be empty, and may have a comment"
    )]
    Fields,
    /// Neither serial nor UDID.
    #[error("a line needs a serial or a UDID")]
    Nameless,
}

impl DeviceList {
    /// The header line.
    pub const HEADER: &str = "serial,udid,comment";

    /// Reads a list. Empty lines and lines that begin with "#" are skipped;
    /// everything behind the second comma is the comment.
    ///
    /// # Errors
    /// The first line at fault.
    pub fn parse(text: &str) -> Result<Self, DeviceListError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        if lines.next().map(|(_, header)| header.trim_end()) != Some(Self::HEADER) {
            return Err(DeviceListError {
                line: 1,
                fault: DeviceListFault::Header,
            });
        }
        let mut seen: HashMap<String, (usize, Attribute)> = HashMap::new();
        let mut devices = 0;
        for (number, line) in lines {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |fault| DeviceListError {
                line: number,
                fault,
            };
            let mut fields = line.splitn(3, ',').map(str::trim);
            let (Some(serial), Some(udid)) = (fields.next(), fields.next()) else {
                return Err(at(DeviceListFault::Fields));
            };
            if serial.is_empty() && udid.is_empty() {
                return Err(at(DeviceListFault::Nameless));
            }
            for (name, attribute) in [(serial, Attribute::Serial), (udid, Attribute::Udid)] {
                if name.is_empty() {
                    continue;
                }
                if name
                    .contains(|c: char| c.is_control() || c.is_whitespace() || "\"'/".contains(c))
                {
                    return Err(at(DeviceListFault::Character(name.to_owned())));
                }
                match seen.entry(name.to_owned()) {
                    Entry::Vacant(entry) => {
                        entry.insert((number, attribute));
                    }
                    Entry::Occupied(entry) => {
                        return Err(at(DeviceListFault::Ambiguous {
                            name: name.to_owned(),
                            first: entry.get().0,
                        }));
                    }
                }
            }
            devices += 1;
        }
        Ok(Self {
            names: seen
                .into_iter()
                .map(|(name, (_, attribute))| (name, attribute))
                .collect(),
            devices,
        })
    }

    /// How many devices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.devices
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices == 0
    }

    /// Which attribute of a device is `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Attribute> {
        self.names.get(name).copied()
    }
}

/// An inventory from a list that can be replaced while in use.
#[derive(Debug, Default)]
pub struct Devices {
    list: RwLock<Arc<DeviceList>>,
}

impl Devices {
    /// An inventory of these devices.
    #[must_use]
    pub fn new(list: DeviceList) -> Self {
        Self {
            list: RwLock::new(Arc::new(list)),
        }
    }

    /// Puts another list in place of the present one.
    pub fn replace(&self, list: DeviceList) {
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }

    /// The present list.
    #[must_use]
    pub fn list(&self) -> Arc<DeviceList> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Inventory for Arc<Devices> {
    async fn find(&self, name: &str) -> Result<Option<Attribute>, InventoryUnavailable> {
        Ok(self.list().find(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_decides_which_attribute_is_compared() {
        let list = DeviceList::parse(
            "serial,udid,comment\r\nC02AAA,,Anna's Mac, the old one\n\n# spare\n,00008110-000A,\nC02BBB , 00008110-000B\n",
        )
        .unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(list.find("C02AAA"), Some(Attribute::Serial));
        assert_eq!(list.find("00008110-000A"), Some(Attribute::Udid));
        assert_eq!(list.find("C02BBB"), Some(Attribute::Serial));
        assert_eq!(list.find("00008110-000B"), Some(Attribute::Udid));
        assert_eq!(list.find("c02aaa"), None);
        assert_eq!(list.find(""), None);
    }

    #[test]
    fn the_empty_list_of_a_new_server_knows_nobody() {
        let list = DeviceList::parse("serial,udid,comment\n").unwrap();
        assert!(list.is_empty());
        assert_eq!(list.find("C02AAA"), None);
    }

    #[test]
    fn scenario_131_a_bad_list_says_which_line() {
        use DeviceListFault as F;
        for (text, line, fault) in [
            ("", 1, F::Header),
            ("udid,serial,comment\n", 1, F::Header),
            ("serial,udid,comment\nC02AAA\n", 2, F::Fields),
            ("serial,udid,comment\nC02AAA,\n,,nobody\n", 3, F::Nameless),
            (
                "serial,udid,comment\n\"C02AAA\",\n",
                2,
                F::Character("\"C02AAA\"".to_owned()),
            ),
            (
                "serial,udid,comment\nC02 AAA,\n",
                2,
                F::Character("C02 AAA".to_owned()),
            ),
            (
                "serial,udid,comment\nX,\n\nY,X\n",
                4,
                F::Ambiguous {
                    name: "X".to_owned(),
                    first: 2,
                },
            ),
            (
                "serial,udid,comment\nX,X\n",
                2,
                F::Ambiguous {
                    name: "X".to_owned(),
                    first: 2,
                },
            ),
        ] {
            assert_eq!(
                DeviceList::parse(text),
                Err(DeviceListError { line, fault }),
                "{text:?}"
            );
        }
    }
}
