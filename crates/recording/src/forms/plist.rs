//! Property lists: an MDM's answer to a DeviceInformation query.
//!
//! Both readers are ours. The crate `plist` expands an object of a binary list
//! wherever it is referred to, so that a file of some hundred bytes becomes a
//! tree without bound; its reader of single events, which could be stopped, is
//! not part of its stable interface. Tests compare with it.

mod binary;
mod xml;

use super::{FormError, Layer, Looked, Search, shapes::is_short};

/// Values in one list. An answer has some dozens.
const MAX_VALUES: usize = 20_000;

/// Nested containers. An answer has three.
const MAX_DEPTH: usize = 32;

/// The key of Apple's schema `information.device.yaml`: an array of DER
/// certificates, the leaf first.
const ATTESTATION: &str = "DevicePropertiesAttestation";

/// A value, as far as an answer needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plist {
    Array(Vec<Self>),
    Data(Vec<u8>),
    Dict(Vec<(String, Self)>),
    /// A number, a date, a boolean.
    Other,
    Text(String),
}

impl Plist {
    fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Dict(entries) => entries
                .iter()
                .find_map(|(key, value)| (key == name).then_some(value)),
            _ => None,
        }
    }

    fn text_of(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Self::Text(text) if is_short(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The dictionary with this key, at any depth.
    fn holder(&self, name: &str) -> Option<&Self> {
        if self.get(name).is_some() {
            return Some(self);
        }
        match self {
            Self::Array(values) => values.iter().find_map(|value| value.holder(name)),
            Self::Dict(entries) => entries.iter().find_map(|(_, value)| value.holder(name)),
            _ => None,
        }
    }
}

impl Search {
    pub(super) fn xml_plist(&mut self, text: &str) -> Looked {
        let list = xml::parse(text).map_err(broken)?;
        self.within(Layer::XmlPlist, |search| search.answer(&list))
    }

    pub(super) fn binary_plist(&mut self, input: &[u8]) -> Looked {
        let list = binary::parse(input).map_err(broken)?;
        self.within(Layer::BinaryPlist, |search| search.answer(&list))
    }

    fn answer(&mut self, list: &Plist) -> Looked {
        let Some(holder) = list.holder(ATTESTATION) else {
            return Err(FormError::NoEvidence {
                form: "a property list",
                lacks: "it has no DevicePropertiesAttestation. Give the device's answer to a DeviceInformation query that asked for it",
            });
        };
        let Some(Plist::Array(items)) = holder.get(ATTESTATION) else {
            return Err(broken(
                "its DevicePropertiesAttestation is not an array".to_owned(),
            ));
        };
        let hints = &mut self.hints;
        hints.serial = holder.text_of("SerialNumber");
        // On a Mac the attested UDID is this one.
        let udid = (holder.text_of("ProvisioningUDID")).or_else(|| holder.text_of("UDID"));
        hints.udid = udid.or_else(|| list.text_of("UDID"));
        let mut certificates = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Plist::Data(der) = item else {
                return Err(broken(format!(
                    "its DevicePropertiesAttestation[{index}] is not data"
                )));
            };
            certificates.push(der.clone());
        }
        if certificates.is_empty() {
            return Err(FormError::NoEvidence {
                form: "a property list",
                lacks: "its DevicePropertiesAttestation is empty: the device could not attest",
            });
        }
        self.certificates(certificates).map(|()| true)
    }
}

fn broken(fault: String) -> FormError {
    FormError::Broken {
        form: "a property list",
        fault,
    }
}
