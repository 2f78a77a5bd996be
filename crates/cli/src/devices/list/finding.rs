//! Faults and warnings of a list of devices, with their lines.

use std::fmt;

use assay_engine::{admission::form::Unlikely, domain::Attribute, text::is_unsafe_to_print};

/// The first findings of a kind, and the number of further ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings<T> {
    /// The first ones, in the order of their lines.
    pub first: Vec<T>,
    /// The number of further ones.
    pub more: usize,
}

impl<T> Findings<T> {
    pub(super) fn push(&mut self, limit: usize, finding: T) {
        if self.first.len() < limit {
            self.first.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Whether there are no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self {
            first: Vec::new(),
            more: 0,
        }
    }
}

/// On one line, separated by semicolons.
impl<T: fmt::Display> fmt::Display for Findings<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.first.iter().enumerate() {
            write!(f, "{}{finding}", if index == 0 { "" } else { "; " })?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// All faults that make a list of devices unusable.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{faults}")]
pub struct UnusableList {
    /// The faults.
    pub faults: Findings<DeviceListFault>,
    /// The warnings.
    pub warnings: Findings<DeviceListWarning>,
}

/// A fault in a line of a list of devices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct DeviceListFault {
    /// The line, counted from 1.
    pub line: usize,
    /// The fault.
    pub kind: FaultKind,
}

/// Why a line makes a list of devices unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// Two lines with the same name contradict each other.
    #[error(
        "{name:?} is listed already in line {first}, with another serial or UDID beside it: one name must mean one device"
    )]
    Ambiguous {
        /// The name.
        name: String,
        /// Its first line.
        first: usize,
    },
    /// A name contains a character that no serial or UDID has.
    #[error(
        "{name:?} has U+{:04X}{}, which cannot be in a serial or UDID: remove white space, quotes, \"/\", control and invisible characters", u32::from(*character), if is_unsafe_to_print(*character) { " (invisible)" } else { "" }
    )]
    Character {
        /// The name.
        name: String,
        /// The first such character.
        character: char,
    },
    /// Fewer than two fields.
    #[error(
        "a line needs the fields serial and udid, either of which may be empty, and may have a comment"
    )]
    Fields,
    /// The first line is not the header.
    #[error("the header must be \"serial,udid,comment\", and the line is {0:?}{hint}", hint = header_hint(.0))]
    Header(String),
    /// Text that is not UTF-8.
    #[error(
        "the byte 0x{0:02X} is not UTF-8, the file may be in Latin-1 (Windows-1252): in Excel save as \"CSV UTF-8\""
    )]
    Latin1(u8),
    /// Neither serial nor UDID.
    #[error("a line needs a serial or a UDID")]
    Nameless,
    /// A NUL byte, which text files do not contain.
    #[error(
        "the file holds a NUL byte: it was not written whole (a power loss, for example). Write it again"
    )]
    Nul,
    /// Text in UTF-16.
    #[error("the file is in UTF-16 (\"Unicode Text\"): in Excel save as \"CSV UTF-8\"")]
    Utf16,
}

/// The probable cause of a wrong header.
fn header_hint(line: &str) -> &'static str {
    if line.contains(';') || line.contains('\t') {
        ": separate the fields by commas"
    } else if line.starts_with(super::DeviceList::HEADER) {
        ": begin a new line after it"
    } else {
        ""
    }
}

/// A warning about a line of a list of devices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct DeviceListWarning {
    /// The line, counted from 1.
    pub line: usize,
    /// The warning.
    pub kind: WarningKind,
}

/// Why a line may not mean what its author intended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WarningKind {
    /// Two names that differ only in case.
    #[error(
        "{name:?} differs from {other:?} in line {first} in upper and lower case only: letters count as they are written"
    )]
    CaseOnly {
        /// The name.
        name: String,
        /// The other one.
        other: String,
        /// Its line.
        first: usize,
    },
    /// The same device a second time.
    #[error("{name:?} is listed already in line {first}, in the same words: it counts once")]
    Duplicate {
        /// A name of the device.
        name: String,
        /// Its first line.
        first: usize,
    },
    /// A comment that contains another device.
    #[error(
        "the comment {0:?} holds what looks like another device: a line was appended to a line without a newline; append by printf '%s\\n'"
    )]
    RowInComment(String),
    /// The last line has no newline.
    #[error(
        "the last line has no newline: what is appended next becomes part of it; append by printf '%s\\n'"
    )]
    NoFinalNewline,
    /// A UDID in the column of serials, or the reverse.
    #[error("{name:?} is in the column {column}, and has the form of a {other}: are the columns swapped?", column = .column.as_str(), other = match .column { Attribute::Serial => "UDID", Attribute::Udid => "serial number" })]
    Swapped {
        /// The name.
        name: String,
        /// Its column.
        column: Attribute,
    },
    /// A name that no device attests.
    #[error("{name:?} can never match: {reason}")]
    Unlikely {
        /// The name.
        name: String,
        /// Why not.
        reason: Unlikely,
    },
    /// A name in the column of UDIDs without the form of a UDID.
    #[error(
        "{0:?} is in the column udid, and has not the form of a UDID (8 and 16 hex digits with a hyphen, or 40 hex digits)"
    )]
    NoUdid(String),
}
