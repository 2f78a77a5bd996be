use std::fmt;

use serde::{Deserialize, Serialize};

/// An identifier as it appears in JSON: a type and a value, not yet validated
/// (RFC 8555 section 9.7.7).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireIdentifier {
    /// The label of the type, for example `permanent-identifier`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value, in the grammar of its type.
    pub value: String,
}

/// A valid identifier of a type that Assay issues for. Its value obeys the
/// grammar of draft-ietf-acme-device-attest.
///
/// Values are compared octet for octet. The draft: "no normalization or
/// transformation is permitted."
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    /// The identity of the secure crypto-processor (RFC 4108).
    HardwareModule(HardwareModule),
    /// The device's identity, given by its manufacturer (RFC 4043).
    PermanentIdentifier(PermanentIdentifier),
}

/// The identifier types that Assay knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdentifierType {
    /// `hardware-module`
    HardwareModule,
    /// `permanent-identifier`
    PermanentIdentifier,
}

/// A `permanent-identifier`: `device-identifier ["/" assigner-oid]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PermanentIdentifier {
    device: String,
    assigner: Option<DottedOid>,
}

/// A `hardware-module`: `serial "/" hw-type-oid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HardwareModule {
    serial: String,
    hw_type: DottedOid,
}

/// An OBJECT IDENTIFIER in dotted-decimal form, by the draft's ABNF: the first
/// component is 0, 1 or 2; the second is 0 to 39 below 0 and 1; no component
/// has leading zeros. Arcs may be larger than any integer type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DottedOid(String);

/// Why an identifier cannot be ordered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// The value does not obey the grammar of its type.
    #[error("the value {}of the {kind} identifier is malformed: {fault}", quoted(.value))]
    Malformed {
        /// The identifier's type.
        kind: IdentifierType,
        /// The value as sent; `None` if it exceeds the maximum length.
        value: Option<String>,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// This server does not issue for this type.
    #[error(
        "identifier type {}is not supported: use permanent-identifier or hardware-module",
        quoted(.0)
    )]
    UnsupportedType(
        /// The type as sent; `None` if it exceeds the maximum length.
        Option<String>,
    ),
}

/// Formats text for an error message, with a space after it; empty if the text
/// was too long.
fn quoted(text: &Option<String>) -> String {
    text.as_ref()
        .map(|text| format!("{text:?} "))
        .unwrap_or_default()
}

impl WireIdentifier {
    /// The longest identifier type that a response repeats, in bytes. The
    /// registered types have at most 20.
    pub const MAX_KIND_LENGTH: usize = 64;

    /// Whether type and value are within the maximum lengths. A response
    /// repeats only such an identifier.
    #[must_use]
    pub fn is_of_legal_length(&self) -> bool {
        self.kind.len() <= Self::MAX_KIND_LENGTH && self.value.len() <= Identifier::MAX_LENGTH
    }
}

impl Identifier {
    /// The longest accepted value, in bytes. Apple's serial numbers and UDIDs
    /// have at most 40; the limit keeps every stored record small.
    pub const MAX_LENGTH: usize = 256;

    /// Parses a wire identifier.
    ///
    /// # Errors
    /// [`IdentifierError::UnsupportedType`] for any other type,
    /// [`IdentifierError::Malformed`] for a value outside the grammar.
    pub fn parse(wire: &WireIdentifier) -> Result<Self, IdentifierError> {
        let kind = match wire.kind.as_str() {
            "hardware-module" => IdentifierType::HardwareModule,
            "permanent-identifier" => IdentifierType::PermanentIdentifier,
            kind => {
                let short = kind.len() <= WireIdentifier::MAX_KIND_LENGTH;
                let kind = short.then(|| kind.to_owned());
                return Err(IdentifierError::UnsupportedType(kind));
            }
        };
        let malformed = |fault| IdentifierError::Malformed {
            kind,
            value: (wire.value.len() <= Self::MAX_LENGTH).then(|| wire.value.clone()),
            fault,
        };
        // The draft, sections 3.1 and 4.1: "The Server MUST verify that
        // identifier values in newOrder requests conform to the [...]
        // production rule and MUST reject requests containing non-conforming
        // values with a "malformed" error."
        if wire.value.len() > Self::MAX_LENGTH {
            return Err(malformed("longer than 256 bytes"));
        }
        if wire.value.is_empty() {
            return Err(malformed("it is empty"));
        }
        let (name, oid) = match wire.value.split_once('/') {
            Some((name, oid)) => (name, Some(oid)),
            None => (wire.value.as_str(), None),
        };
        if name.is_empty() {
            return Err(malformed("there is nothing before the \"/\""));
        }
        let oid = oid
            .map(|oid| {
                DottedOid::parse(oid).ok_or_else(|| {
                    malformed("what follows the \"/\" is not a dotted-decimal object identifier")
                })
            })
            .transpose()?;
        let name = name.to_owned();
        match (kind, oid) {
            (IdentifierType::PermanentIdentifier, assigner) => {
                Ok(Self::PermanentIdentifier(PermanentIdentifier {
                    device: name,
                    assigner,
                }))
            }
            (IdentifierType::HardwareModule, Some(hw_type)) => {
                Ok(Self::HardwareModule(HardwareModule {
                    serial: name,
                    hw_type,
                }))
            }
            (IdentifierType::HardwareModule, None) => Err(malformed(
                "\"/\" and the hardware type's object identifier are missing",
            )),
        }
    }

    /// The identifier's type.
    #[must_use]
    pub fn kind(&self) -> IdentifierType {
        match self {
            Self::HardwareModule(_) => IdentifierType::HardwareModule,
            Self::PermanentIdentifier(_) => IdentifierType::PermanentIdentifier,
        }
    }

    /// The part that identifies the device, without assigner or hardware type.
    #[must_use]
    pub fn device(&self) -> &str {
        match self {
            Self::HardwareModule(module) => &module.serial,
            Self::PermanentIdentifier(identifier) => &identifier.device,
        }
    }

    /// The JSON form; [`Identifier::parse`] reads it back.
    #[must_use]
    pub fn to_wire(&self) -> WireIdentifier {
        WireIdentifier {
            kind: self.kind().as_str().to_owned(),
            value: match self {
                Self::HardwareModule(module) => format!("{}/{}", module.serial, module.hw_type),
                Self::PermanentIdentifier(PermanentIdentifier {
                    device,
                    assigner: Some(assigner),
                }) => format!("{device}/{assigner}"),
                Self::PermanentIdentifier(identifier) => identifier.device.clone(),
            },
        }
    }
}

impl PermanentIdentifier {
    /// The device's identity: one or more characters, none of them "/".
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Who assigned the identity, if the order says so.
    #[must_use]
    pub fn assigner(&self) -> Option<&DottedOid> {
        self.assigner.as_ref()
    }
}

impl HardwareModule {
    /// The module's serial number: one or more characters, none of them "/".
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The type of the hardware module.
    #[must_use]
    pub fn hw_type(&self) -> &DottedOid {
        &self.hw_type
    }
}

impl DottedOid {
    /// Parses the draft's `assigner-value` and `hw-type-value` productions:
    ///
    /// ```text
    /// assigner-value = first-and-second-components *("." component)
    /// first-and-second-components = (("0" / "1") "." (*1(%x31-33) %x30-39)) / ("2" "." component)
    /// component = "0" / (%x31-39 *%x30-39)
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut components = text.split('.');
        let first = components.next()?;
        let second = components.next()?;
        let second_fits = match first {
            "0" | "1" => {
                is_component(second)
                    && (second.len() == 1 || matches!(second.as_bytes(), [b'1'..=b'3', _]))
            }
            "2" => is_component(second),
            _ => false,
        };
        (second_fits && components.all(is_component)).then(|| Self(text.to_owned()))
    }

    /// The dotted-decimal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl IdentifierType {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HardwareModule => "hardware-module",
            Self::PermanentIdentifier => "permanent-identifier",
        }
    }
}

impl fmt::Display for IdentifierType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for DottedOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_component(text: &str) -> bool {
    match text.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(kind: &str, value: &str) -> Result<Identifier, IdentifierError> {
        Identifier::parse(&WireIdentifier {
            kind: kind.to_owned(),
            value: value.to_owned(),
        })
    }

    fn is_malformed(result: &Result<Identifier, IdentifierError>) -> bool {
        matches!(result, Err(IdentifierError::Malformed { .. }))
    }

    #[test]
    fn the_drafts_samples() {
        for (json, device, oid) in [
            (
                r#"{"type":"permanent-identifier","value":"ABCDEF123456"}"#,
                "ABCDEF123456",
                None,
            ),
            (
                r#"{"type":"permanent-identifier","value":"ABCDEF123456/1.2.3.4"}"#,
                "ABCDEF123456",
                Some("1.2.3.4"),
            ),
            (
                r#"{"type":"hardware-module","value":"ABCD/1.2.3.4"}"#,
                "ABCD",
                Some("1.2.3.4"),
            ),
        ] {
            let wire: WireIdentifier = serde_json::from_str(json).unwrap();
            let identifier = Identifier::parse(&wire).unwrap();
            assert_eq!(identifier.device(), device);
            let parsed_oid = match &identifier {
                Identifier::HardwareModule(module) => Some(module.hw_type()),
                Identifier::PermanentIdentifier(identifier) => identifier.assigner(),
            };
            assert_eq!(parsed_oid.map(DottedOid::as_str), oid);
            assert_eq!(serde_json::to_string(&identifier.to_wire()).unwrap(), json);
        }
    }

    #[test]
    fn scenario_72_grammar_of_permanent_identifiers() {
        for value in [
            "ABC/", "/1.2.3", "A/B/1.2", "ABC/1", "ABC/3.1", "ABC/1.40", "ABC/1.02", "", "/",
            "ABC/1.2.", "ABC/1..2", "ABC/2.01", "ABC/1.-2", "ABC/1.2 ", "ABC/01.2",
        ] {
            assert!(
                is_malformed(&parse("permanent-identifier", value)),
                "{value:?}"
            );
        }
        for value in [
            "ABC/0.39",
            "ABC/1.0",
            "ABC/2.999.0",
            "ABC/2.99999999999999999999999",
        ] {
            assert!(parse("permanent-identifier", value).is_ok(), "{value:?}");
        }
    }

    #[test]
    fn scenario_73_no_wildcards() {
        assert_eq!(
            parse("permanent-identifier", "*.ABC").unwrap().device(),
            "*.ABC"
        );
    }

    #[test]
    fn scenario_74_hardware_module_needs_its_type() {
        assert!(is_malformed(&parse("hardware-module", "ABCD")));
        assert!(is_malformed(&parse("hardware-module", "ABCD/")));
        assert!(parse("hardware-module", "U/1.2.840.113635.100.8.9.2").is_ok());
    }

    #[test]
    fn scenario_76_unknown_type() {
        assert_eq!(
            parse("foo", "x"),
            Err(IdentifierError::UnsupportedType(Some("foo".to_owned())))
        );
        assert_eq!(
            parse("dns", "example.org"),
            Err(IdentifierError::UnsupportedType(Some("dns".to_owned())))
        );
    }

    #[test]
    fn scenario_77_composed_and_decomposed_letters_differ() {
        let composed = parse("permanent-identifier", "\u{e9}").unwrap();
        let decomposed = parse("permanent-identifier", "e\u{301}").unwrap();
        assert_ne!(composed, decomposed);
        assert_eq!(composed.to_wire().value.as_bytes(), [0xc3, 0xa9]);
    }

    #[test]
    fn too_long_is_malformed() {
        assert!(parse("permanent-identifier", &"a".repeat(256)).is_ok());
        assert!(is_malformed(&parse(
            "permanent-identifier",
            &"a".repeat(257)
        )));
    }

    #[test]
    fn an_error_quotes_what_is_of_legal_length_whole_and_nothing_longer() {
        let detail = |kind: &str, value: &str| parse(kind, value).unwrap_err().to_string();
        let value = format!("{}/", "a".repeat(255));
        assert_eq!(
            detail("permanent-identifier", &value),
            format!(
                "the value {value:?} of the permanent-identifier identifier is malformed: \
                 what follows the \"/\" is not a dotted-decimal object identifier"
            )
        );
        assert_eq!(
            detail("permanent-identifier", &"a".repeat(190_000)),
            "the value of the permanent-identifier identifier is malformed: longer than 256 bytes"
        );
        for kind in ["permanent-identifier", "hardware-module"] {
            assert_eq!(
                detail(kind, ""),
                format!("the value \"\" of the {kind} identifier is malformed: it is empty")
            );
            assert!(detail(kind, "/1.2.3").ends_with(": there is nothing before the \"/\""));
        }
        let kind = "k".repeat(64);
        assert!(detail(&kind, "x").contains(&format!("{kind:?}")));
        assert_eq!(
            detail(&"k".repeat(65), "x"),
            "identifier type is not supported: use permanent-identifier or hardware-module"
        );
    }

    proptest! {
        #[test]
        fn what_parses_comes_back_unchanged(value in "\\PC{0,20}(/[0-2]\\.[0-9]{1,3}(\\.[0-9]{1,4}){0,3})?") {
            for kind in ["permanent-identifier", "hardware-module"] {
                if let Ok(identifier) = parse(kind, &value) {
                    prop_assert_eq!(identifier.to_wire().value, value.clone());
                }
            }
        }
    }
}
