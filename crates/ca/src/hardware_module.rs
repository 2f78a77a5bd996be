//! The `HardwareModuleName` other name of RFC 4108.

use der::{
    Any, Decode, Sequence,
    asn1::{ObjectIdentifier, OctetString},
};
use x509_cert::ext::pkix::name::OtherName;

use crate::{CsrError, oid};

/// `id-on-hardwareModuleName`, RFC 4108 section 5.
pub(crate) const ID_ON_HARDWARE_MODULE_NAME: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.4");

/// RFC 4108 section 5:
///
/// ```text
/// HardwareModuleName ::= SEQUENCE {
///     hwType OBJECT IDENTIFIER,
///     hwSerialNum OCTET STRING
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
struct HardwareModule {
    hw_type: ObjectIdentifier,
    hw_serial_num: OctetString,
}

/// A `HardwareModuleName` that a CSR requests (RFC 4108 section 5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HardwareModuleName {
    /// `hwType` as a dotted-decimal OID.
    pub hw_type: String,
    /// The octets of `hwSerialNum`.
    pub serial: Vec<u8>,
}

impl HardwareModuleName {
    /// Decodes the DER value of an other name whose type is
    /// [`ID_ON_HARDWARE_MODULE_NAME`].
    pub(crate) fn from_other_name(value: &[u8]) -> Result<Self, CsrError> {
        let decoded = HardwareModule::from_der(value)
            .map_err(|_| CsrError::Malformed("HardwareModuleName"))?;
        Ok(Self {
            hw_type: oid::to_dotted(&decoded.hw_type)
                .ok_or(CsrError::NonMinimal("HardwareModuleName"))?,
            serial: decoded.hw_serial_num.into_bytes().into_vec(),
        })
    }
}

/// Builds the other name from a hardware type and the unchanged octets of a
/// serial number.
pub(crate) fn to_other_name(hw_type: ObjectIdentifier, serial: &[u8]) -> der::Result<OtherName> {
    Ok(OtherName {
        type_id: ID_ON_HARDWARE_MODULE_NAME,
        value: Any::encode_from(&HardwareModule {
            hw_type,
            hw_serial_num: OctetString::new(serial)?,
        })?,
    })
}
