mod finding;
mod parse;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use assay_engine::{
    admission::{ListHint, form},
    domain::Attribute,
};

pub use self::{
    finding::{DeviceListWarning, Findings},
    parse::ListReading,
};

/// The most devices named in a [`Difference`].
const MAX_NAMED: usize = 10;

/// A list of devices in CSV: the header `serial,udid,comment`, then one line
/// per device with a serial, a UDID or both.
///
/// Evidence is compared with the attribute under which a name is listed. Names
/// are compared octet for octet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceList {
    /// By the name in upper case, so that names differing only in case are
    /// found at once.
    names: HashMap<Arc<str>, Places>,
    rows: Vec<Row>,
    /// The number of rows with a serial.
    serials: usize,
    /// The number of rows with a UDID.
    udids: usize,
    digest: [u8; 32],
}

/// A device of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    serial: Option<Arc<str>>,
    udid: Option<Arc<str>>,
    line: u32,
}

/// A name of the list: a row's serial or UDID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    row: u32,
    attribute: Attribute,
}

/// Names that differ only in case. Most have no others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Places {
    One(Place),
    Many(Vec<Place>),
}

/// The devices added and removed between two lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Added devices.
    pub added: Named,
    /// Removed devices.
    pub removed: Named,
    /// For serials and for UDIDs: how many there were before, and how many of
    /// them were removed.
    pub columns: [(Attribute, usize, usize); 2],
}

/// Some devices, with the first few named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The number of devices.
    pub count: usize,
    /// The serial, or else the UDID, of the first ten.
    pub first: Vec<String>,
}

impl DeviceList {
    /// The header line.
    pub const HEADER: &str = "serial,udid,comment";

    /// Whether a list may contain this name.
    #[must_use]
    pub fn can_hold(name: &str) -> bool {
        !name.is_empty() && !name.contains(parse::is_forbidden)
    }

    /// The number of devices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the list has no devices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The SHA-256 of the file of the list.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Returns which attribute of a device is `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Attribute> {
        self.place(name).map(|place| place.attribute)
    }

    /// Returns the other attribute of the device listed as `name`.
    #[must_use]
    pub fn other_attribute(&self, name: &str) -> Option<(Attribute, &str)> {
        let place = self.place(name)?;
        let row = self.row(place);
        let (attribute, other) = match place.attribute {
            Attribute::Serial => (Attribute::Udid, &row.udid),
            Attribute::Udid => (Attribute::Serial, &row.serial),
        };
        Some((attribute, other.as_deref()?))
    }

    /// Returns hints for an unlisted `name`, as far as the list shows them.
    #[must_use]
    pub fn hints(&self, name: &str) -> Vec<ListHint> {
        if self.is_empty() {
            return vec![ListHint::Empty];
        }
        if let Some(place) = self.place(name) {
            return vec![ListHint::OtherAttribute {
                attribute: place.attribute,
                line: self.row(place).line as usize,
            }];
        }
        let mut hints = Vec::new();
        if let Some(place) = self.alike(name).first() {
            let (listed, line) = self.name(*place);
            hints.push(ListHint::OtherCase {
                listed: listed.to_owned(),
                line,
            });
        }
        if form::is_udid(name) && self.udids == 0 {
            hints.push(ListHint::OnlySerials);
        }
        if form::is_serial(name) && self.serials == 0 {
            hints.push(ListHint::OnlyUdids);
        }
        hints
    }

    /// Returns what changes when this list replaces `before`.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Difference {
        Difference {
            added: self.rows_missing_in(before),
            removed: before.rows_missing_in(self),
            columns: [Attribute::Serial, Attribute::Udid].map(|one| {
                let names = before.rows.iter().filter_map(|row| row.get(one));
                let (mut all, mut lost) = (0, 0);
                for name in names {
                    all += 1;
                    lost += usize::from(self.find(name) != Some(one));
                }
                (one, all, lost)
            }),
        }
    }

    fn rows_missing_in(&self, other: &Self) -> Named {
        let mut missing = Named::default();
        for row in &self.rows {
            let is_there = [Attribute::Serial, Attribute::Udid].into_iter().any(|one| {
                row.get(one)
                    .is_some_and(|name| other.find(name) == Some(one))
            });
            if is_there {
                continue;
            }
            missing.count += 1;
            if missing.first.len() < MAX_NAMED {
                let name = row.serial.as_deref().or(row.udid.as_deref());
                missing.first.push(name.unwrap_or_default().to_owned());
            }
        }
        missing
    }

    /// Returns the place of `name`, compared octet for octet.
    fn place(&self, name: &str) -> Option<Place> {
        let alike = self.alike(name);
        (alike.iter().copied()).find(|place| self.name(*place).0 == name)
    }

    /// Returns the names that differ from `name` only in case, or not at all.
    fn alike(&self, name: &str) -> &[Place] {
        let found = if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            self.names.get(name.to_ascii_uppercase().as_str())
        } else {
            self.names.get(name)
        };
        match found {
            None => &[],
            Some(Places::One(place)) => std::slice::from_ref(place),
            Some(Places::Many(places)) => places,
        }
    }

    fn row(&self, place: Place) -> &Row {
        &self.rows[place.row as usize]
    }

    /// Returns a name and its line.
    fn name(&self, place: Place) -> (&str, usize) {
        let row = self.row(place);
        (
            row.get(place.attribute).map_or("", |name| name),
            row.line as usize,
        )
    }

    /// Adds a name of the last row to the index. Returns another name that
    /// differs only in case.
    fn index(&mut self, place: Place) -> Option<Place> {
        match place.attribute {
            Attribute::Serial => self.serials += 1,
            Attribute::Udid => self.udids += 1,
        }
        let name = self.row(place).get(place.attribute)?;
        let key = if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            Arc::from(name.to_ascii_uppercase())
        } else {
            Arc::clone(name)
        };
        match self.names.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Places::One(place));
                None
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Places::One(first) => {
                    let first = *first;
                    entry.insert(Places::Many(vec![first, place]));
                    Some(first)
                }
                Places::Many(places) => {
                    places.push(place);
                    places.first().copied()
                }
            },
        }
    }
}

impl Row {
    fn get(&self, attribute: Attribute) -> Option<&Arc<str>> {
        match attribute {
            Attribute::Serial => self.serial.as_ref(),
            Attribute::Udid => self.udid.as_ref(),
        }
    }

    /// Whether it has this serial and this UDID; an empty text means none.
    fn says(&self, serial: &str, udid: &str) -> bool {
        self.serial.as_deref().unwrap_or_default() == serial
            && self.udid.as_deref().unwrap_or_default() == udid
    }
}

/// Whether the loss is so large that the list was probably truncated.
fn is_great(lost: usize, before: usize) -> bool {
    lost > 10 && lost * 2 > before
}

impl Default for Difference {
    fn default() -> Self {
        DeviceList::default().changes_since(&DeviceList::default())
    }
}

impl Difference {
    /// Whether so many devices were removed that the list was probably
    /// truncated: more than 10, and more than half of the `before`. Serials and
    /// UDIDs are also counted separately, because one column may be lost.
    #[must_use]
    pub fn is_great_loss(&self, before: usize) -> bool {
        is_great(self.removed.count, before)
            || (self.columns.iter()).any(|(_, all, lost)| is_great(*lost, *all))
    }

    /// Returns the column that lost this many names although fewer devices were
    /// removed: its name, how many were removed, and of how many.
    #[must_use]
    pub fn lost_column(&self, before: usize) -> Option<(&'static str, usize, usize)> {
        let mut columns = self.columns.iter();
        let lost = columns.find(|(_, all, lost)| is_great(*lost, *all))?;
        let (attribute, all, lost) = *lost;
        (!is_great(self.removed.count, before)).then(|| (attribute.as_str(), lost, all))
    }
}
