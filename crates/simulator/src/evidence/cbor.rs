//! CBOR (RFC 8949) as an ordered tree. The caller controls order, repetition and malformations.

/// One CBOR data item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cbor {
    /// An array of definite length.
    Array(Vec<Self>),
    /// A byte string of definite length.
    Bytes(Vec<u8>),
    /// A map of definite length: entries in the order given, repeated keys
    /// included.
    Map(Vec<(Self, Self)>),
    /// Raw bytes: indefinite lengths, false lengths, truncated items.
    Raw(Vec<u8>),
    /// A tag and its item.
    Tag(u64, Box<Self>),
    /// A text string of definite length.
    Text(String),
    /// An unsigned integer.
    Unsigned(u64),
}

impl Cbor {
    /// A text string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// `{"fmt": format, "attStmt": statement}`.
    #[must_use]
    pub fn attestation_object(format: &str, statement: Self) -> Self {
        Self::Map(vec![
            (Self::text("fmt"), Self::text(format)),
            (Self::text("attStmt"), statement),
        ])
    }

    /// Encodes the item, with lengths in the shortest form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Array(items) => {
                head(4, items.len() as u64, out);
                items.iter().for_each(|item| item.write(out));
            }
            Self::Bytes(bytes) => {
                head(2, bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Self::Map(entries) => {
                head(5, entries.len() as u64, out);
                for (key, value) in entries {
                    key.write(out);
                    value.write(out);
                }
            }
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::Tag(tag, item) => {
                head(6, *tag, out);
                item.write(out);
            }
            Self::Text(text) => {
                head(3, text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Unsigned(value) => head(0, *value, out),
        }
    }
}

/// RFC 8949 section 3: the initial byte (major type, additional information)
/// and the argument, in the fewest bytes.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend_from_slice(&[major | 24, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cbor;

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        // RFC 8949 appendix A.
        for (value, expected) in [
            (0, vec![0x00]),
            (23, vec![0x17]),
            (24, vec![0x18, 0x18]),
            (1000, vec![0x19, 0x03, 0xe8]),
            (1_000_000, vec![0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (
                1_000_000_000_000,
                vec![0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0],
            ),
        ] {
            assert_eq!(Cbor::Unsigned(value).encode(), expected, "{value}");
        }
    }

    #[test]
    fn an_attestation_object_has_fmt_and_attstmt() {
        let object = Cbor::attestation_object("apple", Cbor::Map(Vec::new()));
        assert_eq!(
            object.encode(),
            b"\xa2\x63fmt\x65apple\x67attStmt\xa0".to_vec()
        );
    }
}
