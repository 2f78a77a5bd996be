//! Binary property lists, version 00.
//!
//! ```text
//! "bplist00", objects, offset table, trailer of 32 bytes
//! ```
//!
//! A container refers to objects by number; several containers may refer to the
//! same one. Every reference counts against the number of values and against the
//! bytes of the file, so that repetition is bounded.

use super::{MAX_DEPTH, MAX_VALUES, Plist};

const MAGIC: &[u8] = b"bplist00";
const TRAILER: usize = 32;

/// How often the bytes of the file may be copied into values.
const MAX_COPIES: usize = 4;

struct File<'i> {
    bytes: &'i [u8],
    offsets: &'i [u8],
    offset_size: usize,
    reference_size: usize,
    values: usize,
    copies: usize,
}

/// Reads a file.
pub(super) fn parse(input: &[u8]) -> Result<Plist, String> {
    let cut = || "it is shorter than its own tables".to_owned();
    if !input.starts_with(MAGIC) {
        return Err("only version 00 of the binary format is read".to_owned());
    }
    let end = input.len().checked_sub(TRAILER).ok_or_else(cut)?;
    let trailer = &input[end..];
    let number = |at: usize| big_endian(trailer.get(at..at + 8)?);
    let (count, root, table) = (number(8), number(16), number(24));
    let (offset_size, reference_size) = (usize::from(trailer[6]), usize::from(trailer[7]));
    let offsets = count
        .zip(table)
        .and_then(|(count, table)| {
            let length = count.checked_mul(offset_size)?;
            input[..end].get(table..)?.get(..length)
        })
        .ok_or_else(cut)?;
    if !(1..=8).contains(&offset_size) || !(1..=8).contains(&reference_size) {
        return Err("the sizes in its trailer are not 1 to 8 bytes".to_owned());
    }
    let mut file = File {
        bytes: &input[..end],
        offsets,
        offset_size,
        reference_size,
        values: MAX_VALUES,
        copies: input.len().saturating_mul(MAX_COPIES),
    };
    file.object(root.ok_or_else(cut)?, MAX_DEPTH)
}

impl<'i> File<'i> {
    fn object(&mut self, number: usize, depth: usize) -> Result<Plist, String> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| format!("more than {MAX_DEPTH} containers in each other"))?;
        self.values = (self.values.checked_sub(1))
            .ok_or_else(|| format!("more than {MAX_VALUES} values, repeated ones included"))?;
        let cut = || format!("object {number} is not within the file");
        let start = number.checked_mul(self.offset_size).ok_or_else(cut)?;
        let offset = (self.offsets.get(start..))
            .and_then(|offsets| big_endian(offsets.get(..self.offset_size)?))
            .ok_or_else(cut)?;
        let (marker, rest) = (self.bytes.get(offset..))
            .and_then(<[u8]>::split_first)
            .ok_or_else(cut)?;
        let (kind, low) = (marker >> 4, marker & 0x0f);
        if !matches!(kind, 0x4 | 0x5 | 0x6 | 0xa | 0xc | 0xd) {
            return Ok(Plist::Other);
        }
        let (count, rest) = length(low, rest).ok_or_else(cut)?;
        let content = |each: usize| rest.get(..count.checked_mul(each)?);
        match kind {
            0x4 => {
                let data = content(1).ok_or_else(cut)?;
                self.copy(data.len())?;
                Ok(Plist::Data(data.to_owned()))
            }
            0x5 => {
                let text = content(1).ok_or_else(cut)?;
                self.copy(text.len())?;
                Ok(Plist::Text(String::from_utf8_lossy(text).into_owned()))
            }
            0x6 => {
                let text = content(2).ok_or_else(cut)?;
                self.copy(text.len())?;
                let units: Vec<u16> = (text.chunks_exact(2))
                    .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                    .collect();
                Ok(Plist::Text(String::from_utf16_lossy(&units)))
            }
            0xd => {
                let each = self.reference_size * 2;
                let references = content(each).ok_or_else(cut)?;
                let (keys, values) = references.split_at(references.len() / 2);
                self.dict(keys, values, depth)
            }
            _ => {
                let references = content(self.reference_size).ok_or_else(cut)?;
                let values = self.references(references);
                values
                    .map(|number| self.object(number, depth))
                    .collect::<Result<_, _>>()
                    .map(Plist::Array)
            }
        }
    }

    fn dict(&mut self, keys: &'i [u8], values: &'i [u8], depth: usize) -> Result<Plist, String> {
        let pairs = self.references(keys).zip(self.references(values));
        let mut entries = Vec::new();
        for (key, value) in pairs {
            let Plist::Text(key) = self.object(key, depth)? else {
                return Err("a key of a dictionary is not a text".to_owned());
            };
            entries.push((key, self.object(value, depth)?));
        }
        Ok(Plist::Dict(entries))
    }

    fn references(&self, bytes: &'i [u8]) -> impl Iterator<Item = usize> + use<'i> {
        bytes
            .chunks_exact(self.reference_size)
            .map(|number| big_endian(number).unwrap_or(usize::MAX))
    }

    fn copy(&mut self, bytes: usize) -> Result<(), String> {
        self.copies = (self.copies.checked_sub(bytes)).ok_or("it repeats its values too often")?;
        Ok(())
    }
}

/// The length of an object: in its marker, or in an integer behind it.
fn length(low: u8, rest: &[u8]) -> Option<(usize, &[u8])> {
    if low != 0x0f {
        return Some((usize::from(low), rest));
    }
    let (marker, rest) = rest.split_first()?;
    if marker >> 4 != 1 || marker & 0x0f > 3 {
        return None;
    }
    let (number, rest) = rest.split_at_checked(1 << (marker & 0x0f))?;
    Some((big_endian(number)?, rest))
}

/// A number of at most 8 bytes that fits into memory.
fn big_endian(bytes: &[u8]) -> Option<usize> {
    if bytes.len() > 8 {
        return None;
    }
    let number = bytes
        .iter()
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    usize::try_from(number).ok()
}
