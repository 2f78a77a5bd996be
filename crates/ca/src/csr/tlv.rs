//! The elements of DER, as slices of the input.
//!
//! The `der` crate refuses what it has no type for (a UniversalString, an
//! object identifier of large arcs, a SET out of order), and a CSR may hold any
//! of these in a part that is dropped.

use const_oid::ObjectIdentifier;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// The first identifier octet (X.690 section 8.1.2).
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content as they came.
    pub(super) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The content, where the tag is this one.
    pub(super) fn tagged(self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }
}

/// Elements that follow each other to the end of a slice.
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        Self(content)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element; `None` where there is none, or its header is not DER.
    /// X.690 section 10.1: "The definite form of length encoding shall be used,
    /// encoded in the minimum number of octets."
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let input = self.0;
        let tag = *input.first()?;
        let mut head = 1;
        // Section 8.1.2.4: of a large tag number, all octets but the last have
        // bit 8.
        if tag & 0x1f == 0x1f {
            // And such a tag is for what one octet cannot say: a name that decides
            // must not be hidden behind another spelling of its tag.
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

    /// The content of the next element, which must have this tag.
    pub(super) fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()?.tagged(tag)
    }

    /// The same where the element may be absent.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        match self.0.first() {
            Some(first) if *first == tag => self.content(tag).map(Some),
            _ => Some(None),
        }
    }
}

/// What a content that is all of one element holds.
pub(super) fn only(der: &[u8], tag: u8) -> Option<Elements<'_>> {
    let mut elements = Elements::of(der);
    let content = elements.content(tag)?;
    elements.is_finished().then(|| Elements::of(content))
}

/// How the content of an OBJECT IDENTIFIER relates to a known one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Spelling {
    /// It is another identifier.
    Other,
    /// It is the identifier, with arcs that are padded. X.690 section 8.19.2:
    /// "the leading octet of the subidentifier shall not have the value 80".
    Padded,
    /// It is the identifier.
    Same,
}

/// Holds the content of an OBJECT IDENTIFIER against a known one. What decides
/// must not pass as unknown because it is spelt otherwise.
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
            // What one octet says: [0] and [30], and a padded number.
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
        // A zero septet within an arc is none of its padding.
        let known = ObjectIdentifier::new_unwrap("1.2.16388");
        assert_eq!(spelling(&[0x2a, 0x81, 0x80, 0x04], &known), Spelling::Same);
        assert_eq!(spelling(&[0x2a, 0x81, 0x04], &known), Spelling::Other);
    }
}
