//! Certificate extensions: the ones of RFC 5280 that decide about a path.

use const_oid::ObjectIdentifier;
use der::{
    Decode, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, BitStringRef, OctetStringRef},
};

use super::{
    Fault, FaultKind,
    certificate::content,
    tlv::{self, Elements, Malformed},
};

pub(crate) const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.14");
pub(crate) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
pub(crate) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
pub(crate) const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
pub(crate) const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.35");
pub(crate) const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

/// ```text
/// Extension  ::=  SEQUENCE  {
///      extnID      OBJECT IDENTIFIER,
///      critical    BOOLEAN DEFAULT FALSE,
///      extnValue   OCTET STRING }
/// ```
/// (RFC 5280 section 4.1)
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) critical: bool,
    /// The content of the OCTET STRING.
    pub(crate) value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Decodes the content of the SEQUENCE.
    pub(crate) fn decode(fields: &'a [u8]) -> Result<Self, Fault> {
        let mut fields = Elements::of(fields);
        let oid = tlv::object_identifier(fields.content(tlv::OBJECT_IDENTIFIER)?)?;
        // X.690 section 11.1: TRUE is ff; section 11.5: FALSE, the default, is
        // not encoded.
        let critical = match fields.optional(tlv::BOOLEAN)? {
            None => false,
            Some([0xff]) => true,
            Some(_) => {
                return Err(Fault::new(
                    FaultKind::CertificateMalformed,
                    format!("extension {oid}: critical is written out, and not as TRUE"),
                ));
            }
        };
        let value = fields.content(tlv::OCTET_STRING)?;
        fields.finish()?;
        Ok(Self {
            oid,
            critical,
            value,
        })
    }

    /// ```text
    /// BasicConstraints ::= SEQUENCE {
    ///      cA                      BOOLEAN DEFAULT FALSE,
    ///      pathLenConstraint       INTEGER (0..MAX) OPTIONAL }
    /// ```
    /// (RFC 5280 section 4.2.1.9)
    pub(crate) fn basic_constraints(&self) -> Result<BasicConstraints, Fault> {
        self.decoded(|reader| {
            let mut fields = SliceReader::new(content(reader, Tag::Sequence)?)?;
            let ca = Option::<bool>::decode(&mut fields)?;
            let path_length = Option::<u8>::decode(&mut fields)?;
            fields.finish()?;
            // The default is not encoded, and "CAs MUST NOT include the
            // pathLenConstraint field unless the cA boolean is asserted".
            if ca == Some(false) || (ca.is_none() && path_length.is_some()) {
                return Err(Tag::Boolean.value_error().into());
            }
            Ok(BasicConstraints {
                ca: ca.is_some(),
                path_length,
            })
        })
    }

    /// `KeyUsage ::= BIT STRING` (RFC 5280 section 4.2.1.3); whether bit 5,
    /// keyCertSign, is set.
    pub(crate) fn key_cert_sign(&self) -> Result<bool, Fault> {
        const KEY_CERT_SIGN: usize = 5;

        self.decoded(|reader| {
            let bits = BitStringRef::decode(reader)?;
            // X.690 section 11.2.1: "Each unused bit in the final octet of the
            // encoding of a bit string value shall be set to zero." That no
            // zero bit ends a list of named bits (11.2.2) is not asked for:
            // it means the same.
            let unused = (1 << bits.unused_bits()) - 1;
            if bits
                .raw_bytes()
                .last()
                .is_some_and(|last| last & unused != 0)
            {
                return Err(Tag::BitString.value_error().into());
            }
            Ok(bits.get(KEY_CERT_SIGN).unwrap_or(false))
        })
    }

    /// `ExtKeyUsageSyntax ::= SEQUENCE SIZE (1..MAX) OF KeyPurposeId` (RFC 5280
    /// section 4.2.1.12): that it is one.
    pub(crate) fn check_extended_key_usage(&self) -> Result<(), Fault> {
        let read = || {
            let mut purposes = tlv::only(self.value, tlv::SEQUENCE)?;
            loop {
                tlv::object_identifier(purposes.content(tlv::OBJECT_IDENTIFIER)?)?;
                if purposes.is_finished() {
                    return Ok(());
                }
            }
        };
        read().map_err(|Malformed(fault)| self.malformed(fault))
    }

    /// `SubjectKeyIdentifier ::= OCTET STRING` (RFC 5280 section 4.2.1.2).
    pub(crate) fn subject_key_identifier(&self) -> Result<&'a [u8], Fault> {
        self.decoded(|reader| Ok(<&OctetStringRef>::decode(reader)?.as_bytes()))
    }

    /// The first field of `AuthorityKeyIdentifier ::= SEQUENCE { keyIdentifier
    /// [0] IMPLICIT OCTET STRING OPTIONAL, .. }` (RFC 5280 section 4.2.1.1).
    pub(crate) fn authority_key_identifier(&self) -> Result<Option<&'a [u8]>, Fault> {
        let tag = Tag::ContextSpecific {
            constructed: false,
            number: TagNumber(0),
        };
        self.decoded(|reader| {
            let mut fields = SliceReader::new(content(reader, Tag::Sequence)?)?;
            let mut identifier = None;
            while !fields.is_finished() {
                let field = AnyRef::decode(&mut fields)?;
                if field.tag() == tag && identifier.replace(field.value()).is_some() {
                    return Err(tag.value_error().into());
                }
            }
            Ok(identifier)
        })
    }

    fn decoded<T>(
        &self,
        decode: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>,
    ) -> Result<T, Fault> {
        SliceReader::new(self.value)
            .and_then(|mut reader| {
                let value = decode(&mut reader)?;
                reader.finish()?;
                Ok(value)
            })
            .map_err(|error| self.malformed(error))
    }

    fn malformed(&self, fault: impl std::fmt::Display) -> Fault {
        let detail = format!("extension {}: {fault}", self.oid);
        Fault::new(FaultKind::ExtensionMalformed, detail)
    }
}

/// What basicConstraints says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    pub(crate) path_length: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_false_is_not_written_out() {
        let plain = hex::decode("0603551d0e04020400").unwrap();
        let critical = hex::decode("0603551d0e0101ff04020400").unwrap();
        assert!(!Extension::decode(&plain).unwrap().critical);
        assert!(Extension::decode(&critical).unwrap().critical);
        for fields in ["0603551d0e01010004020400", "0603551d0e01010104020400"] {
            assert_eq!(
                Extension::decode(&hex::decode(fields).unwrap())
                    .map(|extension| extension.critical)
                    .map_err(|fault| fault.kind),
                Err(FaultKind::CertificateMalformed),
                "{fields}"
            );
        }
    }

    #[test]
    fn key_identifiers_are_read_beside_other_fields() {
        let extension = |value| Extension {
            oid: AUTHORITY_KEY_IDENTIFIER,
            critical: false,
            value,
        };
        let read = |value| {
            extension(value)
                .authority_key_identifier()
                .map_err(|fault| fault.kind)
        };
        assert_eq!(read(b"\x30\0"), Ok(None));
        assert_eq!(read(b"\x30\x03\x80\x01\x07"), Ok(Some([7].as_slice())));
        assert_eq!(
            read(b"\x30\x08\x80\x01\x07\xa1\0\x82\x01\x05"),
            Ok(Some([7].as_slice()))
        );
        assert_eq!(
            read(b"\x30\x06\x80\x01\x07\x80\x01\x07"),
            Err(FaultKind::ExtensionMalformed)
        );
        assert_eq!(
            read(b"\x30\x03\x80\x01\x07\0"),
            Err(FaultKind::ExtensionMalformed)
        );
    }
}
