//! The elements of DER: tag, length, content, as slices of the input.
//!
//! The `der` crate reads the same, and each element several times slower, since
//! it keeps track of positions for its errors. What untrusted input can fill with
//! elements, a certificate's names and extensions, goes through here; a junk
//! certificate must cost next to nothing.

use const_oid::ObjectIdentifier;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]` and `[3]`, EXPLICIT.
pub(crate) const CONTEXT_0: u8 = 0xa0;
pub(crate) const CONTEXT_3: u8 = 0xa3;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    /// The identifier octet (X.690 section 8.1.2).
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Tag, length and content as they came.
    pub(crate) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The content, where the tag is this one.
    #[inline]
    pub(crate) fn tagged(self, tag: u8) -> Result<&'a [u8], Malformed> {
        if self.tag == tag {
            Ok(self.content)
        } else {
            Err(Malformed("an element has another tag than belongs there"))
        }
    }
}

/// Elements that follow each other to the end of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(crate) fn of(content: &'a [u8]) -> Self {
        Self(content)
    }

    #[inline]
    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_empty()
    }

    /// That nothing follows.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if self.is_finished() {
            Ok(())
        } else {
            Err(Malformed("bytes follow the last element"))
        }
    }

    /// The next element. X.690 section 10.1: "The definite form of length
    /// encoding shall be used, encoded in the minimum number of octets." Tags of
    /// several octets and contents of 64 KiB have no place in a certificate.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Element<'a>, Malformed> {
        let (length, head) = match self.0 {
            [_, length @ ..=0x7f, ..] => (usize::from(*length), 2),
            [_, 0x81, length @ 0x80..=0xff, ..] => (usize::from(*length), 3),
            [_, 0x82, high @ 1..=0xff, low, ..] => {
                (usize::from(u16::from_be_bytes([*high, *low])), 4)
            }
            [] | [_] => return Err(Malformed("an element is missing")),
            _ => return Err(Malformed("a length is not DER")),
        };
        let Some((whole, rest)) = self.0.split_at_checked(head + length) else {
            return Err(Malformed("an element is longer than what it is in"));
        };
        let tag = whole[0];
        if tag & 0x1f == 0x1f {
            return Err(Malformed("a tag has several octets"));
        }
        self.0 = rest;
        Ok(Element {
            tag,
            content: &whole[head..],
            whole,
        })
    }

    /// The content of the next element, which must have this tag.
    #[inline]
    pub(crate) fn content(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        self.next()?.tagged(tag)
    }

    /// The same where the element may be absent.
    #[inline]
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        match self.0.first() {
            Some(first) if *first == tag => self.content(tag).map(Some),
            _ => Ok(None),
        }
    }
}

/// What a content that is all of one element holds: for example the fields of a
/// SEQUENCE.
#[inline]
pub(crate) fn only(der: &[u8], tag: u8) -> Result<Elements<'_>, Malformed> {
    let mut elements = Elements::of(der);
    let content = elements.content(tag)?;
    elements.finish()?;
    Ok(Elements::of(content))
}

/// Whether the content of an OBJECT IDENTIFIER is its one encoding. X.690
/// section 8.19.2: "the leading octet of the subidentifier shall not have the
/// value 80". A decoder would take such a one for another identifier, and what
/// is there twice for two things.
#[inline]
pub(crate) fn is_minimal(arcs: &[u8]) -> bool {
    let mut leading = true;
    arcs.iter().all(|byte| {
        let padding = leading && *byte == 0x80;
        leading = *byte < 0x80;
        !padding
    }) && leading
        && !arcs.is_empty()
}

/// The identifier that the content of an element is.
pub(crate) fn object_identifier(arcs: &[u8]) -> Result<ObjectIdentifier, Malformed> {
    if !is_minimal(arcs) {
        return Err(Malformed("an object identifier is not DER"));
    }
    ObjectIdentifier::from_bytes(arcs)
        .map_err(|_| Malformed("an object identifier is too large to be read"))
}

/// What is wrong with an element. A word, so that reading costs nothing where
/// nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_has_one_encoding() {
        for good in [
            "0500", "040107", "30820100", // cut below
        ] {
            let mut der = hex::decode(good).unwrap();
            if der[1] == 0x82 {
                der.extend([0; 256]);
            }
            let mut elements = Elements::of(&der);
            let element = elements.next().unwrap();
            assert_eq!((element.tag, element.whole), (der[0], der.as_slice()));
            elements.finish().unwrap();
        }
        for bad in [
            "",
            "05",
            "0401",
            "048101ff",
            "04817f",
            "0480",
            "04820001ff",
            "0483000001ff",
            "0484000000017f",
            "1f0100",
            "3f8100",
            "04ff",
        ] {
            let der = hex::decode(bad).unwrap();
            assert!(Elements::of(&der).next().is_err(), "{bad}");
        }
        // A field that is not there is called so.
        for short in [&[][..], &[0x05]] {
            let fault = Elements::of(short).next().err();
            assert_eq!(fault, Some(Malformed("an element is missing")), "{short:?}");
        }
    }

    /// The `der` crate, which is slower, takes the same and no more.
    #[test]
    fn der_agrees_about_every_short_element() {
        use der::{Decode, asn1::AnyRef};

        for tag in [BOOLEAN, OCTET_STRING, SEQUENCE, SET, CONTEXT_0] {
            for length in 0..=0xffff_u16 {
                let [high, low] = length.to_be_bytes();
                let der = [&[tag, high, low][..], &[0; 0x90]].concat();
                let ours = Elements::of(&der).next().map(|one| one.whole.len()).ok();
                let theirs = AnyRef::from_der_partial(&der)
                    .map(|(_, rest)| der.len() - rest.len())
                    .ok();
                assert_eq!(ours, theirs, "{tag:02x}{high:02x}{low:02x}");
            }
        }
    }

    #[test]
    fn identifiers_have_one_encoding() {
        assert!(is_minimal(&[0x55, 0x1d, 0x13]) && is_minimal(&[0x2a, 0x81, 0x80, 0x04]));
        // Zero septets within an arc are none of its padding.
        assert!(is_minimal(&[0x2a, 0x81, 0x80, 0x80, 0x04]));
        for bad in [
            &[][..],
            &[0x80, 1],
            &[0x55, 0x80, 0x13],
            &[0x55, 0x1d, 0x93],
            &[0x55, 0x1d, 0x81, 0x80],
        ] {
            assert!(!is_minimal(bad), "{bad:02x?}");
        }
    }
}
