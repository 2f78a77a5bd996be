//! What is found wrong or suspicious in a list of devices, and in which line.

use std::fmt;

use assay_engine::{admission::form::Unlikely, domain::Attribute, text::disturbs};

/// The first findings of a kind, and how many there are beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings<T> {
    /// The first ones, in the order of their lines.
    pub first: Vec<T>,
    /// How many more there are.
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

    /// Whether there are none.
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

/// In one line, the findings separated by semicolons.
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

/// Why a list of devices cannot be used: all of its faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{faults}")]
pub struct UnusableList {
    /// What is wrong.
    pub faults: Findings<DeviceListFault>,
    /// What is suspicious.
    pub warnings: Findings<DeviceListWarning>,
}

/// What is wrong with a line of a list of devices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct DeviceListFault {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub kind: FaultKind,
}

/// Why a line makes a list of devices unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The name is in two lines that do not say the same.
    #[error(
        "{name:?} is listed already in line {first}, with another serial or UDID beside it: one name must mean one device"
    )]
    Ambiguous {
        /// The name.
        name: String,
        /// Its first line.
        first: usize,
    },
    /// A name with a character that no serial or UDID has.
    #[error(
        "{name:?} has U+{:04X}{}, which cannot be in a serial or UDID: remove white space, quotes, \"/\", control and invisible characters", u32::from(*character), if disturbs(*character) { " (invisible)" } else { "" }
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
    /// The first line is another one than the header.
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
    /// A NUL byte, which no text has.
    #[error(
        "the file holds a NUL byte: it was not written whole (a power loss, for example). Write it again"
    )]
    Nul,
    /// Text in UTF-16.
    #[error("the file is in UTF-16 (\"Unicode Text\"): in Excel save as \"CSV UTF-8\"")]
    Utf16,
}

/// What a header of another form most likely is.
fn header_hint(line: &str) -> &'static str {
    if line.contains(';') || line.contains('\t') {
        ": separate the fields by commas"
    } else if line.starts_with(super::DeviceList::HEADER) {
        ": begin a new line after it"
    } else {
        ""
    }
}

/// What is suspicious about a line of a list of devices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct DeviceListWarning {
    /// The line, counted from 1.
    pub line: usize,
    /// What is suspicious there.
    pub kind: WarningKind,
}

/// Why a line of a list of devices may not mean what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WarningKind {
    /// Two names that differ in upper and lower case only.
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
    /// The same device again.
    #[error("{name:?} is listed already in line {first}, in the same words: it counts once")]
    Duplicate {
        /// A name of the device.
        name: String,
        /// Its first line.
        first: usize,
    },
    /// A comment with another device in it.
    #[error(
        "the comment {0:?} holds what looks like another device: a line was appended to a line without a newline; append by printf '%s\\n'"
    )]
    RowInComment(String),
    /// The last line does not end.
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
    /// A name in the column of UDIDs that has not their form.
    #[error(
        "{0:?} is in the column udid, and has not the form of a UDID (8 and 16 hex digits with a hyphen, or 40 hex digits)"
    )]
    NoUdid(String),
}
