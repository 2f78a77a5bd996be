//! Certificate serial numbers.

use std::fmt;

use thiserror::Error;

/// RFC 5280 section 4.1.2.2: "Conforming CAs MUST NOT use serialNumber values
/// longer than 20 octets."
const MAX_LEN: usize = 20;

/// A certificate's serial number: positive, at most 20 octets.
///
/// Displayed as lower-case hex without separators. Ordered and compared by its
/// big-endian octets.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SerialNumber(Vec<u8>);

impl SerialNumber {
    /// Makes a serial number from 16 random bytes. The two most significant
    /// bits are set to 01, so that the number is always positive, non-zero and
    /// 16 octets long; 126 random bits remain.
    #[must_use]
    pub fn from_random(mut random: [u8; 16]) -> Self {
        random[0] = random[0] & 0x3f | 0x40;
        Self(random.to_vec())
    }

    /// Parses the content octets of a DER INTEGER, as in a certificate or a
    /// revocation request.
    ///
    /// # Errors
    /// [`SerialError`] names the violated rule of RFC 5280 section 4.1.2.2 or
    /// of DER.
    pub fn from_der_content(content: &[u8]) -> Result<Self, SerialError> {
        match content {
            [] => Err(SerialError::Empty),
            _ if content.len() > MAX_LEN => Err(SerialError::TooLong),
            // RFC 5280 section 4.1.2.2: "The serial number MUST be a positive
            // integer assigned by the CA to each certificate."
            [0] => Err(SerialError::Zero),
            [0x80..=0xff, ..] => Err(SerialError::Negative),
            [0, 0..=0x7f, ..] => Err(SerialError::NonMinimal),
            [0, magnitude @ ..] | magnitude => Ok(Self(magnitude.to_vec())),
        }
    }

    /// Makes a serial number from unsigned big-endian octets without leading
    /// zeros, as [`as_bytes`](Self::as_bytes) returns them.
    ///
    /// # Errors
    /// As [`from_der_content`](Self::from_der_content).
    pub fn from_magnitude(magnitude: &[u8]) -> Result<Self, SerialError> {
        match magnitude {
            [0, _, ..] => Err(SerialError::NonMinimal),
            [0x80..=0xff, ..] => Self::from_der_content(&[&[0], magnitude].concat()),
            _ => Self::from_der_content(magnitude),
        }
    }

    /// The number as unsigned big-endian octets, without leading zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why octets are not a serial number.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SerialError {
    /// No octets.
    #[error("the serial number is empty")]
    Empty,
    /// Below zero.
    #[error("the serial number is negative")]
    Negative,
    /// Leading zero octets that DER forbids.
    #[error("the serial number is not minimally encoded")]
    NonMinimal,
    /// More than 20 octets.
    #[error("the serial number is longer than 20 octets")]
    TooLong,
    /// Zero.
    #[error("the serial number is zero")]
    Zero,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_random_value_gives_sixteen_positive_octets() {
        for (random, first) in [([0; 16], 0x40), ([0xff; 16], 0x7f), ([0x80; 16], 0x40)] {
            let serial = SerialNumber::from_random(random);
            assert_eq!(serial.as_bytes()[0], first);
            assert_eq!(serial.as_bytes()[1..], random[1..]);
            assert_eq!(
                SerialNumber::from_der_content(serial.as_bytes()),
                Ok(serial)
            );
        }
    }

    #[test]
    fn der_content_is_read_strictly() {
        let longest = [0x7f; 20];
        for (content, expected) in [
            (&[][..], Err(SerialError::Empty)),
            (&[0], Err(SerialError::Zero)),
            (&[0x80], Err(SerialError::Negative)),
            (&[0, 1], Err(SerialError::NonMinimal)),
            (&[0, 0x80], Ok("80")),
            (&[1, 0], Ok("0100")),
            (&longest, Ok("7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f")),
            (&[0x7f; 21], Err(SerialError::TooLong)),
        ] {
            let read = SerialNumber::from_der_content(content).map(|serial| serial.to_string());
            assert_eq!(read.as_deref().map_err(|error| *error), expected);
        }
    }

    #[test]
    fn a_magnitude_has_one_form() {
        for content in [&[0, 0x80][..], &[1, 0], &[0x7f; 20]] {
            let serial = SerialNumber::from_der_content(content).unwrap();
            assert_eq!(SerialNumber::from_magnitude(serial.as_bytes()), Ok(serial));
        }
        for (magnitude, error) in [
            (&[][..], SerialError::Empty),
            (&[0], SerialError::Zero),
            (&[0, 1], SerialError::NonMinimal),
            (&[0, 0x80], SerialError::NonMinimal),
            (&[0x80; 20], SerialError::TooLong),
        ] {
            assert_eq!(SerialNumber::from_magnitude(magnitude), Err(error));
        }
    }
}
