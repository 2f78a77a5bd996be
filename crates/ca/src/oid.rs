//! Lossless conversion between object identifiers and dotted strings.

use der::asn1::ObjectIdentifier;

/// The dotted form of a decoded OID, or `None` if its encoding is not minimal.
/// DER has one encoding per OID, but the decoder accepts arcs that are padded
/// with 0x80, and two encodings must not share one text.
pub(crate) fn to_dotted(oid: &ObjectIdentifier) -> Option<String> {
    let dotted = oid.to_string();
    (ObjectIdentifier::new(&dotted).ok()? == *oid).then_some(dotted)
}

/// The OID of a dotted string, or `None` if it cannot be encoded exactly: arcs
/// above 2^32 - 1, second arcs above 39 under root 2, more than 39 bytes,
/// leading zeros.
pub(crate) fn from_dotted(dotted: &str) -> Option<ObjectIdentifier> {
    let oid = ObjectIdentifier::new(dotted).ok()?;
    (oid.to_string() == dotted).then_some(oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_strings_are_read_exactly_or_not_at_all() {
        for (dotted, expected) in [
            ("1.2.3.4", true),
            ("0.9.2342.19200300.100.1.1", true),
            ("1.2.4294967295", true),
            ("1.2.4294967296", false),
            ("2.25.329800735698586629295641978511506172918", false),
            ("2.999.1", false),
            ("1.02", false),
            ("1.2.", false),
            ("1", false),
            ("", false),
            ("1.2.x", false),
            (
                "1.2.3333333333.3333333333.3333333333.3333333333.3333333333.3333333333.3333333333.3333333333",
                false,
            ),
        ] {
            assert_eq!(from_dotted(dotted).is_some(), expected, "{dotted}");
        }
    }

    #[test]
    fn a_padded_arc_has_no_dotted_form() {
        let exact = ObjectIdentifier::from_bytes(&[0x2a, 0x03, 0x04]).unwrap();
        assert_eq!(to_dotted(&exact).as_deref(), Some("1.2.3.4"));
        let padded = ObjectIdentifier::from_bytes(&[0x2a, 0x80, 0x03, 0x04]);
        assert_eq!(padded.as_ref().ok().and_then(to_dotted), None);
    }
}
