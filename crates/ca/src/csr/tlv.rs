//! DER elements as slices of the input.
//!
//! The `der` crate refuses content that it has no type for (a UniversalString,
//! an object identifier with large arcs, a SET out of order). A CSR may contain
//! these in a part that is dropped.

use const_oid::ObjectIdentifier;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// One DER element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// The first identifier octet (X.690 section 8.1.2).
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content, as received.
    pub(super) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The content, if the element has this tag.
    pub(super) fn tagged(self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }
}

/// A sequence of elements up to the end of a slice.
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        Self(content)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the next element; `None` at the end or if its header is not DER.
    /// X.690 section 10.1: "The definite form of length encoding shall be used,
    /// encoded in the minimum number of octets."
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let input = self.0;
        let tag = *input.first()?;
        let mut head = 1;
        // X.690 section 8.1.2.4: all octets of a large tag number except the
        // last have bit 8 set.
        if tag & 0x1f == 0x1f {
            // A large tag number must not fit into one octet. Otherwise a name
            // that is evaluated could be hidden behind a second encoding of its
            // tag.
            let first = *input.get(head)?;
            if first == 0x80 || first < 0x1f {
                return None;
            }
            while *input.get(head)? >= 0x80 {
                head += 1;
            }
            head += 1;
        }
        let (length, octets) = match input.get(head..)? {
            [length @ ..=0x7f, ..] => (usize::from(*length), 1),
            [0x81, length @ 0x80..=0xff, ..] => (usize::from(*length), 2),
            [0x82, high @ 1..=0xff, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 3),
            _ => return None,
        };
        head += octets;
        let (whole, rest) = input.split_at_checked(head + length)?;
        self.0 = rest;
        Some(Element {
            tag,
            content: &whole[head..],
            whole,
        })
    }

    /// Returns the content of the next element, which must have this tag.
    pub(super) fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()?.tagged(tag)
    }

    /// Returns the content of the next element if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        match self.0.first() {
            Some(first) if *first == tag => self.content(tag).map(Some),
            _ => Some(None),
        }
    }
}

/// Returns the elements inside the one element that `der` consists of.
pub(super) fn only(der: &[u8], tag: u8) -> Option<Elements<'_>> {
    let mut elements = Elements::of(der);
    let content = elements.content(tag)?;
    elements.is_finished().then(|| Elements::of(content))
}

/// How an encoded OBJECT IDENTIFIER compares to a known one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Spelling {
    /// It is another identifier.
    Other,
    /// It is the known identifier, with padded arcs. X.690 section 8.19.2: "the
    /// leading octet of the subidentifier shall not have the value 80".
    Padded,
    /// It is the known identifier.
    Same,
}

/// Compares the content of an OBJECT IDENTIFIER with a known one. A padded
/// encoding of an identifier that is evaluated must not count as unknown.
pub(super) fn spelling(arcs: &[u8], known: &ObjectIdentifier) -> Spelling {
    if arcs == known.as_bytes() {
        return Spelling::Same;
    }
    let mut leading = true;
    let stripped = arcs.iter().copied().filter(|byte| {
        let padding = leading && *byte == 0x80;
        leading = padding || *byte < 0x80;
        !padding
    });
    if stripped.eq(known.as_bytes().iter().copied()) {
        Spelling::Padded
    } else {
        Spelling::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_has_one_length_and_any_tag() {
        for (der, tag, content) in [
            (&[0x05, 0][..], 0x05, 0),
            (&[0x1c, 4, 0, 0, 0, 0x41], 0x1c, 4),
            (&[0xa3, 0], 0xa3, 0),
            // [31], the first that one octet cannot say, and [129].
            (&[0x1f, 0x1f, 1, 7], 0x1f, 1),
            (&[0x1f, 0x81, 0x01, 1, 7], 0x1f, 1),
        ] {
            let mut elements = Elements::of(der);
            let element = elements.next().unwrap();
            assert_eq!((element.tag, element.content.len()), (tag, content));
            assert_eq!(element.whole, der);
            assert!(elements.is_finished() && elements.next().is_none());
        }
        for bad in [
            &[][..],
            &[0x04],
            &[0x04, 1],
            &[0x04, 0x80, 0, 0],
            &[0x04, 0x81, 0x7f],
            &[0x04, 0x81, 0x80],
            &[0x04, 0x82, 0, 1, 0],
            &[0x04, 0x83, 0, 0, 1, 0],
            &[0x1f],
            &[0x1f, 0x81],
            &[0x1f, 0x81, 1],
            // Values that fit into one octet: [0] and [30], and a padded
            // number.
            &[0xbf, 0, 0],
            &[0x1f, 0x1e, 0],
            &[0xbf, 0x80, 1, 0],
        ] {
            assert!(Elements::of(bad).next().is_none(), "{bad:02x?}");
        }
    }

    #[test]
    fn padding_makes_no_other_identifier() {
        let known = ObjectIdentifier::new_unwrap("2.5.29.17");
        for (arcs, expected) in [
            (&[0x55, 0x1d, 0x11][..], Spelling::Same),
            (&[0x55, 0x1d, 0x80, 0x11], Spelling::Padded),
            (&[0x80, 0x55, 0x80, 0x80, 0x1d, 0x11], Spelling::Padded),
            (&[0x55, 0x1d], Spelling::Other),
            (&[0x55, 0x1d, 0x81, 0x11], Spelling::Other),
            (&[0x55, 0x1d, 0x11, 0x00], Spelling::Other),
            (&[], Spelling::Other),
        ] {
            assert_eq!(spelling(arcs, &known), expected, "{arcs:02x?}");
        }
        // A zero septet inside an arc is not padding.
        let known = ObjectIdentifier::new_unwrap("1.2.16388");
        assert_eq!(spelling(&[0x2a, 0x81, 0x80, 0x04], &known), Spelling::Same);
        assert_eq!(spelling(&[0x2a, 0x81, 0x04], &known), Spelling::Other);
        // Nor are two: 1.2.2097156.
        let longer = [0x2a, 0x81, 0x80, 0x80, 0x04];
        assert_eq!(spelling(&longer, &known), Spelling::Other);
    }
}
