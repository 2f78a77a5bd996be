//! The `PermanentIdentifier` other name of RFC 4043.

use der::{Any, Decode, Sequence, asn1::ObjectIdentifier};
use x509_cert::ext::pkix::name::OtherName;

use crate::{CsrError, oid};

/// `id-on-permanentIdentifier`, RFC 4043 section 2.
pub(crate) const ID_ON_PERMANENT_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.3");

/// RFC 4043 section 2:
///
/// ```text
/// PermanentIdentifier ::= SEQUENCE {
///     identifierValue    UTF8String             OPTIONAL,
///                     -- if absent, use the serialNumber attribute
///                     -- if there is a single such attribute present
///                     -- in the subject DN
///     assigner           OBJECT IDENTIFIER      OPTIONAL
///                     -- if absent, the assigner is
///                     -- the certificate issuer
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
struct PermanentIdentifier {
    identifier_value: Option<String>,
    assigner: Option<ObjectIdentifier>,
}

/// A `PermanentIdentifier` that a CSR requests (RFC 4043 section 2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PermanentIdentifierName {
    /// The identifier, octet for octet as encoded. RFC 4043 allows its absence;
    /// draft-ietf-acme-device-attest section 3.2 does not.
    pub value: Option<String>,
    /// The assigner as a dotted-decimal OID.
    pub assigner: Option<String>,
}

impl PermanentIdentifierName {
    /// Decodes the DER value of an other name whose type is
    /// [`ID_ON_PERMANENT_IDENTIFIER`].
    pub(crate) fn from_other_name(value: &[u8]) -> Result<Self, CsrError> {
        let decoded = PermanentIdentifier::from_der(value)
            .map_err(|_| CsrError::Malformed("PermanentIdentifier"))?;
        let dotted = |assigner: &_| {
            oid::to_dotted(assigner).ok_or(CsrError::NonMinimal("PermanentIdentifier"))
        };
        Ok(Self {
            value: decoded.identifier_value,
            assigner: decoded.assigner.as_ref().map(dotted).transpose()?,
        })
    }
}

/// Builds the other name from an identifier's unchanged octets. Draft section
/// 3.2: "no normalization or transformation is permitted".
pub(crate) fn to_other_name(
    value: &str,
    assigner: Option<ObjectIdentifier>,
) -> der::Result<OtherName> {
    Ok(OtherName {
        type_id: ID_ON_PERMANENT_IDENTIFIER,
        value: Any::encode_from(&PermanentIdentifier {
            identifier_value: Some(value.to_owned()),
            assigner,
        })?,
    })
}
