//! The profile that an order is for, as it was when its CSR was sent.

use serde::{Deserialize, Serialize};

use super::{
    RecordingError,
    contents::{MAX_NAME, length},
    issuance::{list, number},
};

/// The longest text of a setting, in bytes.
const MAX_SETTING: usize = 4096;

/// A profile: its name and, if they are known, its settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RecordedProfile {
    /// Its name. Nothing decides by it.
    pub name: String,
    /// What it puts into certificates. An end-to-end replay issues under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<ProfileSettings>,
}

/// The settings of a profile, as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProfileSettings {
    /// The template of the subject.
    pub subject: String,
    /// The templates of the subject alternative names.
    pub san: Vec<String>,
    /// The default and longest lifetime, in seconds.
    pub lifetime: u64,
    /// What happens to names in a CSR: `ignore` or `refuse`.
    pub csr_names: String,
}

impl RecordedProfile {
    /// A profile with this name and these settings.
    #[must_use]
    pub fn new(name: impl Into<String>, settings: Option<ProfileSettings>) -> Self {
        Self {
            name: name.into(),
            settings,
        }
    }

    pub(super) fn check(&self) -> Result<(), RecordingError> {
        length("profile.name", self.name.len(), 1, MAX_NAME, "1 to 64")?;
        self.settings
            .as_ref()
            .map_or(Ok(()), ProfileSettings::check)
    }
}

impl ProfileSettings {
    /// These settings.
    #[must_use]
    pub fn new(
        subject: impl Into<String>,
        san: Vec<String>,
        lifetime: u64,
        csr_names: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            san,
            lifetime,
            csr_names: csr_names.into(),
        }
    }

    fn check(&self) -> Result<(), RecordingError> {
        for (field, text) in [
            ("profile.settings.subject", &self.subject),
            ("profile.settings.csr_names", &self.csr_names),
        ] {
            length(field, text.len(), 0, MAX_SETTING, "at most 4096")?;
        }
        number("profile.settings.lifetime", self.lifetime)?;
        list(
            "profile.settings.san",
            &self.san,
            MAX_SETTING,
            "at most 4096",
        )
    }
}
