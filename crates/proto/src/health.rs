use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The response of `/readyz` and of `assay status`: whether the server can
/// serve enrolments, and which of its parts work.
///
/// ```json
/// {"ready": true, "parts": {"clock": "ok", "store": "ok"}}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether the server can serve enrolments now.
    pub ready: bool,
    /// The state of each part, by name.
    pub parts: BTreeMap<String, PartState>,
    /// Why a part fails, by name. Only for the operator: never returned on a
    /// public listener.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
}

/// The state of a part of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartState {
    /// The part does not work as it should.
    Failing,
    /// The part works.
    Ok,
}

impl Readiness {
    /// Removes the reasons, which may name files, devices and times.
    #[must_use]
    pub fn public(self) -> Self {
        Self {
            reasons: BTreeMap::new(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_form_names_no_reason() {
        let name = || "clock".to_owned();
        let readiness = Readiness {
            ready: false,
            parts: BTreeMap::from([(name(), PartState::Failing)]),
            reasons: BTreeMap::from([(name(), "it is 1970".to_owned())]),
        };
        let json = serde_json::to_value(&readiness).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "ready": false,
                "parts": {"clock": "failing"},
                "reasons": {"clock": "it is 1970"},
            })
        );
        assert_eq!(
            serde_json::from_value::<Readiness>(json).unwrap(),
            readiness
        );
        assert_eq!(
            serde_json::to_string(&readiness.public()).unwrap(),
            r#"{"ready":false,"parts":{"clock":"failing"}}"#
        );
    }
}
