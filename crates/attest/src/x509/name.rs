//! Names, as RFC 5280 section 4.1.2.4 has them.

use super::{
    Fault, FaultKind,
    limits::MAX_NAME_ATTRIBUTES,
    tlv::{self, Element, Elements, Malformed},
};

/// `Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }`
/// (RFC 5280 section 4.1.2.4): not empty, and its strings of the types that
/// the section lets new certificates use, and of their characters.
pub(super) fn check(name: Element<'_>) -> Result<(), Fault> {
    let mut rdns = Elements::of(name.tagged(tlv::SEQUENCE)?);
    // RFC 5280 section 4.1.2.4: "The issuer field MUST contain a non-empty
    // distinguished name (DN)."
    if rdns.is_finished() {
        return Err(Malformed("the name is empty").into());
    }
    let mut count = 0;
    while !rdns.is_finished() {
        let mut attributes = Elements::of(rdns.content(tlv::SET)?);
        if attributes.is_finished() {
            return Err(Malformed("a relative name is empty").into());
        }
        let mut before: Option<&[u8]> = None;
        while !attributes.is_finished() {
            count += 1;
            if count > MAX_NAME_ATTRIBUTES {
                return Err(Fault::new(
                    FaultKind::TooManyAttributes,
                    format!("more than {MAX_NAME_ATTRIBUTES}"),
                ));
            }
            let attribute = attributes.next()?;
            // X.690 section 11.6: "The encodings of the component values of a
            // set-of value shall appear in ascending order".
            if before.is_some_and(|before| attribute.whole < before) {
                return Err(Malformed("a relative name is not in order").into());
            }
            before = Some(attribute.whole);
            check_attribute(attribute)?;
        }
    }
    Ok(())
}

fn check_attribute(attribute: Element<'_>) -> Result<(), Malformed> {
    let mut fields = Elements::of(attribute.tagged(tlv::SEQUENCE)?);
    if !tlv::is_minimal(fields.content(tlv::OBJECT_IDENTIFIER)?) {
        return Err(Malformed("an attribute's identifier is not DER"));
    }
    let value = fields.next()?;
    fields.finish()?;
    let readable = match value.tag {
        tlv::UTF8_STRING => std::str::from_utf8(value.content).is_ok(),
        tlv::PRINTABLE_STRING => (value.content.iter())
            .all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte)),
        tlv::IA5_STRING => value.content.is_ascii(),
        _ => false,
    };
    if readable {
        Ok(())
    } else {
        Err(Malformed("an attribute is not a string of its type"))
    }
}
