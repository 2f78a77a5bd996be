//! A small DER writer (X.690) for certificates that other libraries refuse to build.

/// One element: tag, definite length in the shortest form, content.
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(length.to_be_bytes()[size_of::<usize>() - 1]);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[length.leading_zeros() as usize / 8..];
        out.push(0x80 | significant.len().to_be_bytes()[size_of::<usize>() - 1]);
        out.extend_from_slice(significant);
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of already encoded elements.
#[must_use]
pub fn sequence<T: AsRef<[u8]>>(elements: &[T]) -> Vec<u8> {
    element(
        0x30,
        &elements
            .iter()
            .flat_map(|part| part.as_ref().iter().copied())
            .collect::<Vec<u8>>(),
    )
}

/// OBJECT IDENTIFIER from its dotted form; an arc that is not a number counts as 0. Leading zeros
/// of an arc after the second are encoded as padding, which DER forbids.
#[must_use]
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<(u64, usize)> = dotted
        .split('.')
        .map(|arc| {
            let zeros = arc.len() - arc.trim_start_matches('0').len();
            (
                arc.parse().unwrap_or_default(),
                if arc == "0" { 0 } else { zeros },
            )
        })
        .collect();
    let (first, rest) = match arcs.as_slice() {
        [(first, _), (second, _), rest @ ..] => (first * 40 + second, rest),
        _ => (0, [].as_slice()),
    };
    let mut content = Vec::new();
    for (arc, zeros) in std::iter::once(&(first, 0)).chain(rest) {
        content.extend(std::iter::repeat_n(0x80, *zeros));
        let septets = (u64::BITS - arc.leading_zeros()).div_ceil(7).max(1);
        for index in (0..septets).rev() {
            let more = if index == 0 { 0 } else { 0x80 };
            content.push(more | (arc >> (7 * index) & 0x7f).to_be_bytes()[7]);
        }
    }
    element(0x06, &content)
}

/// INTEGER of a non-negative number, in the fewest bytes.
#[must_use]
pub fn integer(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let first = (value.leading_zeros() as usize / 8).min(7);
    let mut content = bytes[first..].to_vec();
    if content[0] & 0x80 != 0 {
        content.insert(0, 0);
    }
    element(0x02, &content)
}

/// BIT STRING of whole bytes.
#[must_use]
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(bytes);
    element(0x03, &content)
}

/// Encodes a time by RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
/// `seconds` is since the Unix epoch.
#[must_use]
pub fn time(seconds: u64) -> Vec<u8> {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        element(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        element(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

/// The Gregorian date of a number of days since 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::{element, integer, oid, time};

    #[test]
    fn elements_have_the_shortest_length() {
        assert_eq!(element(0x04, &[7]), [0x04, 1, 7]);
        assert_eq!(element(0x04, &[0; 0x80])[..3], [0x04, 0x81, 0x80]);
        assert_eq!(element(0x04, &[0; 0x1234])[..4], [0x04, 0x82, 0x12, 0x34]);
    }

    #[test]
    fn object_identifiers_and_integers() {
        assert_eq!(
            oid("1.2.840.113635.100.8.9.1"),
            [6, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 8, 9, 1]
        );
        assert_eq!(oid("2.5.29.0"), [6, 3, 0x55, 0x1d, 0]);
        assert_eq!(oid("2.5.29.0019"), [6, 5, 0x55, 0x1d, 0x80, 0x80, 19]);
        assert_eq!(integer(0), [2, 1, 0]);
        assert_eq!(integer(0x80), [2, 2, 0, 0x80]);
        assert_eq!(integer(0x7fff), [2, 2, 0x7f, 0xff]);
    }

    #[test]
    fn times_switch_to_four_digit_years_in_2050() {
        assert_eq!(time(0), element(0x17, b"700101000000Z"));
        assert_eq!(time(1_709_164_799), element(0x17, b"240228235959Z"));
        assert_eq!(time(1_709_164_800), element(0x17, b"240229000000Z"));
        assert_eq!(time(2_524_607_999), element(0x17, b"491231235959Z"));
        assert_eq!(time(2_524_608_000), element(0x18, b"20500101000000Z"));
    }
}
