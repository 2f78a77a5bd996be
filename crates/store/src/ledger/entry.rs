//! An entry of the ledger: one commit.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `ENTR` |
//! | 4 | 4 | length of the body |
//! | 8 | 8 | sequence number of the commit |
//! | 16 | 8 | time of the commit, seconds since the Unix epoch |
//! | 24 | 2 | flags: bit 0 is set when the time replaces the latest one |
//! | 26 | 2 | place within its write: 0 for the first entry after an fdatasync |
//! | 28 | 32 | hash of the entry before |
//! | 60 | body | redemptions, then pairs |
//! | 60 + body | 32 | hash: SHA-256 of all bytes before |
//!
//! The body is the number of redemptions (2 bytes) and each of them (epoch,
//! counter, time, 8 bytes each), then pairs up to its end: length of the key
//! (2), length of the value (4; `ffffffff` for a deleted key), key, value.
//! All numbers are big-endian.
//!
//! The hash serves as checksum and as chain: it shows damage within the entry,
//! and the next entry contains it.

use assay_engine::{ports::Redemption, sha256};
use assay_proto::Timestamp;

/// The first bytes of every entry. The search for whole entries after damage
/// uses them.
pub(crate) const MAGIC: [u8; 4] = *b"ENTR";

/// The length of an entry's fixed part, before its body.
pub(crate) const HEAD_LEN: usize = 60;

/// The length of a hash.
pub(crate) const HASH_LEN: usize = 32;

/// The maximum length of a body in bytes: a larger value in the file is damage,
/// and a larger commit is refused before anything is written. It has room for
/// 250 of the largest records.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;

/// The value length that marks a deleted key.
const DELETED: u32 = u32::MAX;

const REDEMPTION_LEN: usize = 24;

/// The flag of an entry whose time replaces the latest one.
const RESETS_TIME: u16 = 1;

/// A SHA-256.
pub(crate) type Hash = [u8; HASH_LEN];

/// The fixed part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) body_len: usize,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    /// Whether the time replaces the latest one instead of raising it.
    pub(crate) resets_time: bool,
    pub(crate) place: u16,
    pub(crate) previous: Hash,
}

/// An entry whose hash was verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) head: Head,
    pub(crate) hash: Hash,
    body: &'a [u8],
}

impl Head {
    /// Parses the head at the start of `bytes`; `None` if there is no entry.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEAD_LEN>()?;
        let (body_len, flags) = (u32_at(bytes, 4) as usize, u16_at(bytes, 24));
        if bytes[..4] != MAGIC || body_len > MAX_BODY || flags & !RESETS_TIME != 0 {
            return None;
        }
        let mut previous = [0; HASH_LEN];
        previous.copy_from_slice(&bytes[28..HEAD_LEN]);
        Some(Self {
            body_len,
            sequence: u64_at(bytes, 8),
            time: Timestamp(u64_at(bytes, 16)),
            resets_time: flags & RESETS_TIME != 0,
            place: u16_at(bytes, 26),
            previous,
        })
    }

    /// Returns the latest time of all commits up to this one; `latest` is the
    /// one before.
    pub(crate) fn latest_time(&self, latest: Timestamp) -> Timestamp {
        match self.resets_time {
            true => self.time,
            false => self.time.max(latest),
        }
    }

    /// Returns the length of the whole entry.
    pub(crate) fn entry_len(&self) -> usize {
        HEAD_LEN + self.body_len + HASH_LEN
    }
}

impl<'a> Entry<'a> {
    /// Parses `bytes` as exactly one entry; `None` unless it is complete and
    /// its hash is right.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<HASH_LEN>()?;
        (sha256(content) == *hash).then_some(())?;
        Self::parse_verified(bytes)
    }

    /// Parses bytes whose hash was verified before.
    pub(crate) fn parse_verified(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::parse(bytes)?;
        if bytes.len() != head.entry_len() {
            return None;
        }
        let (content, hash) = bytes.split_last_chunk()?;
        let entry = Self {
            head,
            hash: *hash,
            body: &content[HEAD_LEN..],
        };
        // Check now that later reads of the body cannot fail.
        let (_, pairs) = split_redemptions(entry.body)?;
        Pairs(pairs).all(|pair| pair.is_some()).then_some(entry)
    }

    /// Returns the nonces that the commit redeemed.
    pub(crate) fn redemptions(&self) -> Vec<Redemption> {
        redemptions(self.body).unwrap_or_default()
    }

    /// Returns what the commit wrote.
    pub(crate) fn writes(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let pairs = split_redemptions(self.body).map_or(&[][..], |(_, pairs)| pairs);
        Pairs(pairs).map_while(|pair| pair)
    }
}

/// Reads the redemptions at the start of a body.
fn redemptions(body: &[u8]) -> Option<Vec<Redemption>> {
    let (redemptions, _) = split_redemptions(body)?;
    let redemptions = redemptions.chunks_exact(REDEMPTION_LEN);
    Some(
        redemptions
            .map(|bytes| Redemption {
                epoch: u64_at(bytes, 0),
                counter: u64_at(bytes, 8),
                time: Timestamp(u64_at(bytes, 16)),
            })
            .collect(),
    )
}

fn split_redemptions(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = body.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes(*count)) * REDEMPTION_LEN;
    rest.split_at_checked(len)
}

/// Iterates over pairs; `None` for bytes that are no pair.
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = Option<(&'a [u8], Option<&'a [u8]>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = split_pair(self.0);
        self.0 = pair.map_or(&[], |(_, rest)| rest);
        Some(pair.map(|(pair, _)| pair))
    }
}

/// A key and its value; `None` for a deleted key.
pub(crate) type Pair<'a> = (&'a [u8], Option<&'a [u8]>);

/// Splits off the pair at the start of `bytes`.
pub(crate) fn split_pair(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (key_len, rest) = bytes.split_first_chunk()?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*key_len).into())?;
    match u32::from_be_bytes(*value_len) {
        DELETED => Some(((key, None), rest)),
        len => {
            let (value, rest) = rest.split_at_checked(len as usize)?;
            Some(((key, Some(value)), rest))
        }
    }
}

/// Appends a pair. A key must be shorter than 64 KiB, a value shorter than 4
/// GiB; records have at most 64 KiB.
///
/// # Errors
/// `None` for a longer key or value.
pub(crate) fn push_pair(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) -> Option<()> {
    out.extend_from_slice(&u16::try_from(key.len()).ok()?.to_be_bytes());
    let len = match value {
        Some(value) => u32::try_from(value.len())
            .ok()
            .filter(|len| *len != DELETED)?,
        None => DELETED,
    };
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value.unwrap_or_default());
    Some(())
}

/// The data of an entry, except its place in the ledger.
pub(crate) struct Draft<'a> {
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) resets_time: bool,
    pub(crate) place: u16,
    pub(crate) redeemed: &'a [Redemption],
}

impl Draft<'_> {
    /// Appends the entry to `out` and returns its hash.
    ///
    /// # Errors
    /// `None` if it is too large for an entry; `out` is unchanged.
    pub(crate) fn append<'b>(
        &self,
        out: &mut Vec<u8>,
        previous: &Hash,
        writes: impl Iterator<Item = (&'b [u8], Option<&'b [u8]>)>,
    ) -> Option<Hash> {
        let start = out.len();
        let hash = self.try_append(out, previous, writes);
        if hash.is_none() {
            out.truncate(start);
        }
        hash
    }

    fn try_append<'b>(
        &self,
        out: &mut Vec<u8>,
        previous: &Hash,
        mut writes: impl Iterator<Item = (&'b [u8], Option<&'b [u8]>)>,
    ) -> Option<Hash> {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.time.0.to_be_bytes());
        out.extend_from_slice(&u16::from(self.resets_time).to_be_bytes());
        out.extend_from_slice(&self.place.to_be_bytes());
        out.extend_from_slice(previous);
        out.extend_from_slice(&u16::try_from(self.redeemed.len()).ok()?.to_be_bytes());
        for redemption in self.redeemed {
            out.extend_from_slice(&redemption.epoch.to_be_bytes());
            out.extend_from_slice(&redemption.counter.to_be_bytes());
            out.extend_from_slice(&redemption.time.0.to_be_bytes());
        }
        writes.try_for_each(|(key, value)| push_pair(out, key, value))?;
        let body_len = out.len() - start - HEAD_LEN;
        if body_len > MAX_BODY {
            return None;
        }
        let body_len = u32::try_from(body_len).ok()?;
        out[start + 4..start + 8].copy_from_slice(&body_len.to_be_bytes());
        let hash = sha256(&out[start..]);
        out.extend_from_slice(&hash);
        Some(hash)
    }
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8]
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Hash) {
        let mut bytes = Vec::new();
        let draft = Draft {
            sequence: 7,
            time: Timestamp(1_800_000_000),
            resets_time: true,
            place: 2,
            redeemed: &[Redemption {
                epoch: 1,
                counter: 2,
                time: Timestamp(3),
            }],
        };
        let writes = [
            (&b"key"[..], Some(&b"value"[..])),
            (b"gone", None),
            (b"empty", Some(b"")),
        ];
        let hash = draft.append(&mut bytes, &[9; 32], writes.into_iter());
        (bytes, hash.unwrap())
    }

    #[test]
    fn an_entry_is_read_back() {
        let (bytes, hash) = sample();
        let entry = Entry::parse(&bytes).unwrap();
        assert_eq!(entry.head.sequence, 7);
        assert_eq!(entry.head.time, Timestamp(1_800_000_000));
        assert_eq!((entry.head.place, entry.head.previous), (2, [9; 32]));
        assert_eq!(
            entry.head.latest_time(Timestamp::MAX),
            Timestamp(1_800_000_000)
        );
        assert_eq!(entry.hash, hash);
        assert_eq!(entry.redemptions()[0].counter, 2);
        let writes: Vec<_> = entry.writes().collect();
        assert_eq!(
            writes,
            [
                (&b"key"[..], Some(&b"value"[..])),
                (b"gone", None),
                (b"empty", Some(b""))
            ]
        );
    }

    /// The bytes of the documented format. They must never change.
    #[test]
    fn the_format_is_as_documented() {
        let (bytes, _) = sample();
        let body = "0001\
            000000000000000100000000000000020000000000000003\
            0003000000056b657976616c7565\
            0004ffffffff676f6e65\
            000500000000656d707479";
        let head = format!(
            "454e5452{:08x}0000000000000007000000006b49d20000010002{}",
            body.len() / 2,
            "09".repeat(32)
        );
        let expected = data_encoding::HEXLOWER.decode((head + body).as_bytes());
        assert_eq!(bytes[..bytes.len() - HASH_LEN], expected.unwrap());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let (bytes, _) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::parse(&damaged).is_none(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Entry::parse(&bytes[..len]).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn an_invalid_body_is_not_an_entry() {
        for body in [&[][..], &[0], &[0, 1], &[0, 0, 0, 9, 0, 0, 0, 0, 1]] {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
            bytes.resize(HEAD_LEN, 0);
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(&sha256(&bytes));
            assert!(Entry::parse(&bytes).is_none(), "{body:?}");
        }
    }

    #[test]
    fn too_large_an_entry_writes_nothing() {
        let draft = Draft {
            sequence: 1,
            time: Timestamp(1),
            resets_time: false,
            place: 0,
            redeemed: &[],
        };
        let mut out = vec![1, 2, 3];
        let key = vec![0; 0x1_0000];
        let written = draft.append(&mut out, &[0; 32], [(&key[..], None)].into_iter());
        assert_eq!((written, out), (None, vec![1, 2, 3]));
    }
}
