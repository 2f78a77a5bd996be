//! Parses a list of devices and collects all its faults and warnings.

use std::sync::Arc;

use assay_engine::{admission::form, domain::Attribute, sha256, text::is_unsafe_to_print};

use super::{
    DeviceList, Place, Row,
    finding::{DeviceListFault, DeviceListWarning, FaultKind, Findings, UnusableList, WarningKind},
};

/// The most faults kept of a list.
const MAX_FAULTS: usize = 20;
/// The most warnings kept of a list.
const MAX_WARNINGS: usize = 100;
/// The most characters quoted of a line.
const MAX_QUOTE: usize = 80;

/// A list of devices and its warnings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReading {
    /// The list.
    pub list: DeviceList,
    /// The warnings.
    pub warnings: Findings<DeviceListWarning>,
}

impl DeviceList {
    /// Parses a list. Empty lines and lines that begin with "#" are skipped;
    /// everything after the second comma is the comment. Lines that list the
    /// same device with the same words count once.
    ///
    /// # Errors
    /// All faults of the list, the first 20 in full.
    pub fn read(bytes: &[u8]) -> Result<ListReading, UnusableList> {
        let mut parser = Parser::default();
        match decode(bytes) {
            Ok(text) => parser.lines(text),
            Err(fault) => parser.faults.push(MAX_FAULTS, fault),
        }
        parser.warnings.first.sort_by_key(|warning| warning.line);
        if parser.faults.is_empty() {
            parser.list.digest = sha256(bytes);
            Ok(ListReading {
                list: parser.list,
                warnings: parser.warnings,
            })
        } else {
            Err(UnusableList {
                faults: parser.faults,
                warnings: parser.warnings,
            })
        }
    }
}

/// Returns the text of a file without a byte order mark.
fn decode(bytes: &[u8]) -> Result<&str, DeviceListFault> {
    // ASCII in UTF-16 has a NUL in each pair of bytes. Other NULs come from
    // data that a power loss destroyed.
    let (pairs, _) = bytes.get(..64).unwrap_or(bytes).as_chunks::<2>();
    let is_utf16 = !pairs.is_empty() && pairs.iter().all(|[a, b]| (*a == 0) != (*b == 0));
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || is_utf16 {
        return Err(DeviceListFault {
            line: 1,
            kind: FaultKind::Utf16,
        });
    }
    if let Some(place) = bytes.iter().position(|byte| *byte == 0) {
        let before = &bytes[..place];
        return Err(DeviceListFault {
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            kind: FaultKind::Nul,
        });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let (before, rest) = bytes.split_at(error.valid_up_to());
            Err(DeviceListFault {
                line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
                kind: FaultKind::Latin1(rest.first().copied().unwrap_or_default()),
            })
        }
    }
}

#[derive(Default)]
struct Parser {
    list: DeviceList,
    faults: Findings<DeviceListFault>,
    warnings: Findings<DeviceListWarning>,
}

impl Parser {
    fn lines(&mut self, text: &str) {
        let mut lines = (1..).zip(text.lines());
        let header = lines.next().map_or("", |(_, line)| line);
        if header.trim_end() != DeviceList::HEADER {
            self.fault(1, FaultKind::Header(quote(header)));
            // Report a wrong separator once, not for every line.
            if header.contains([';', '\t']) {
                return;
            }
        }
        for (number, line) in lines {
            match line.strip_prefix('#') {
                Some(comment) => self.comment_line(number, comment),
                None if line.trim().is_empty() => {}
                None => self.row(number, line),
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            self.warn(text.lines().count(), WarningKind::NoFinalNewline);
        }
    }

    fn row(&mut self, line: usize, text: &str) {
        // No-break spaces and the like are not trimmed: they are characters of
        // the name.
        let mut fields = text
            .splitn(3, ',')
            .map(|field| field.trim_matches([' ', '\t']));
        let (Some(serial), Some(udid)) = (fields.next(), fields.next()) else {
            return self.fault(line, FaultKind::Fields);
        };
        if serial.is_empty() && udid.is_empty() {
            return self.fault(line, FaultKind::Nameless);
        }
        let mut is_good = true;
        for name in [serial, udid] {
            if let Some(character) = name.chars().find(|letter| is_forbidden(*letter)) {
                is_good = false;
                let name = quote(name);
                self.fault(line, FaultKind::Character { name, character });
            }
        }
        if !is_good {
            return;
        }
        if let Some(comment) = fields.next()
            && looks_like_row(comment)
        {
            self.warn(line, WarningKind::RowInComment(quote(comment)));
        }
        self.insert(line, serial, udid);
    }

    /// Inserts a row with a serial, a UDID or both, once.
    fn insert(&mut self, line: usize, serial: &str, udid: &str) {
        let names = [(serial, Attribute::Serial), (udid, Attribute::Udid)];
        let names = || names.into_iter().filter(|(name, _)| !name.is_empty());
        if serial == udid {
            let name = quote(serial);
            return self.fault(line, FaultKind::Ambiguous { name, first: line });
        }
        let mut is_known = false;
        for (name, _) in names() {
            let Some(place) = self.list.place(name) else {
                continue;
            };
            is_known = true;
            let row = self.list.row(place);
            let (name, first) = (quote(name), row.line as usize);
            let is_same = row.says(serial, udid);
            if is_same {
                self.warn(line, WarningKind::Duplicate { name, first });
                return;
            }
            self.fault(line, FaultKind::Ambiguous { name, first });
        }
        if is_known {
            return;
        }
        for (name, attribute) in names() {
            self.judge_name(line, name, attribute);
        }
        let shared = |name: &str| (!name.is_empty()).then(|| Arc::from(name));
        let index = u32::try_from(self.list.rows.len()).unwrap_or(u32::MAX);
        self.list.rows.push(Row {
            serial: shared(serial),
            udid: shared(udid),
            line: u32::try_from(line).unwrap_or(u32::MAX),
        });
        for (_, attribute) in names() {
            let place = Place {
                row: index,
                attribute,
            };
            if let Some(other) = self.list.index(place) {
                let (name, other) = (self.list.name(place), self.list.name(other));
                let kind = WarningKind::CaseOnly {
                    name: quote(name.0),
                    other: quote(other.0),
                    first: other.1,
                };
                self.warn(line, kind);
            }
        }
    }

    /// Warns about a name that probably matches no device in this column.
    fn judge_name(&mut self, line: usize, name: &str, column: Attribute) {
        let is_swapped = match column {
            Attribute::Serial => form::is_udid(name),
            Attribute::Udid => form::is_serial(name),
        };
        let unlikely = form::unlikely(name);
        let (quoted, is_no_udid) = (
            quote(name),
            column == Attribute::Udid && !form::is_udid(name),
        );
        if is_swapped {
            let name = quoted;
            self.warn(line, WarningKind::Swapped { name, column });
        } else if let Some(reason) = unlikely {
            let name = quoted;
            self.warn(line, WarningKind::Unlikely { name, reason });
        } else if is_no_udid {
            self.warn(line, WarningKind::NoUdid(quoted));
        }
    }

    /// Warns about a row inside a comment, unless the row was commented out.
    fn comment_line(&mut self, line: usize, comment: &str) {
        let text = comment.trim();
        let first = text.split(',').next().unwrap_or_default().trim();
        let is_row = first.is_empty() || form::is_serial(first) || form::is_udid(first);
        if !is_row && looks_like_row(text) {
            self.warn(line, WarningKind::RowInComment(quote(text)));
        }
    }

    fn fault(&mut self, line: usize, kind: FaultKind) {
        self.faults.push(MAX_FAULTS, DeviceListFault { line, kind });
    }

    fn warn(&mut self, line: usize, kind: WarningKind) {
        (self.warnings).push(MAX_WARNINGS, DeviceListWarning { line, kind });
    }
}

/// Whether a character cannot be in a serial or UDID, or would be invisible
/// there.
pub(super) fn is_forbidden(letter: char) -> bool {
    letter.is_whitespace() || is_unsafe_to_print(letter) || "\"'/".contains(letter)
}

/// Whether a comment contains another device's `serial,udid`: two adjacent
/// commas, or a field that ends in the form of a serial or a UDID and is
/// followed by a comma.
fn looks_like_row(comment: &str) -> bool {
    let mut fields = comment.split(',');
    fields.next_back();
    comment.contains(",,")
        || fields.any(|field| {
            let word = field.rsplit(' ').next().unwrap_or_default();
            let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
            form::is_udid(word) || (form::is_serial(word) && has_digit)
        })
}

/// Returns the beginning of a text, for a quote.
fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
