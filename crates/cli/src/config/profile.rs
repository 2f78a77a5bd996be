//! `[profile.NAME]`: the content of certificates.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use assay_engine::{
    names::ProfileName,
    profile::{CsrNames, Profile},
};
use serde::Deserialize;

use super::{Duration, keys};

/// `[profile.NAME]` before validation.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct ProfileTable {
    subject: String,
    san: Vec<String>,
    lifetime: Duration,
    csr_names: CsrNamesText,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum CsrNamesText {
    Ignore,
    Refuse,
}

/// Validates all profile tables; the default profile is always included.
pub(super) fn check_all(
    mut tables: BTreeMap<String, ProfileTable>,
) -> anyhow::Result<(Profile, BTreeMap<ProfileName, Profile>)> {
    let default = ProfileName::DEFAULT.as_str();
    let default = tables.remove(default).unwrap_or_default().check(default)?;
    let mut named = BTreeMap::new();
    for (text, table) in tables {
        let name = ProfileName::parse(&text).with_context(|| format!("profile.{text}"))?;
        // A misspelled default profile would silently have no effect.
        ensure!(
            !keys::is_slip_of(&text, ProfileName::DEFAULT.as_str()),
            "unknown profile {text:?}: did you mean \"default\"? Choose a less similar name for another profile",
        );
        named.insert(name, table.check(&text)?);
    }
    Ok((default, named))
}

impl ProfileTable {
    fn check(self, name: &str) -> anyhow::Result<Profile> {
        ensure!(
            (600..=3650 * 86_400).contains(&self.lifetime.seconds()),
            "profile.{name}.lifetime must be from 10m to 3650d"
        );
        let place = |key| move || format!("profile.{name}.{key}");
        let subject = Profile::parse_subject(&self.subject).with_context(place("subject"))?;
        let san = Profile::parse_san(&self.san).with_context(place("san"))?;
        ensure!(
            !subject.is_empty() || !san.is_empty(),
            "profile.{name} needs a subject or a san: a certificate without any name is useless"
        );
        Ok(Profile {
            subject,
            san,
            lifetime: self.lifetime.seconds(),
            csr_names: match self.csr_names {
                CsrNamesText::Ignore => CsrNames::Ignore,
                CsrNamesText::Refuse => CsrNames::Refuse,
            },
        })
    }
}

impl Default for ProfileTable {
    fn default() -> Self {
        Self {
            subject: "CN={spki-sha256}".to_owned(),
            san: Vec::new(),
            lifetime: Duration::from_seconds(90 * 86_400),
            csr_names: CsrNamesText::Ignore,
        }
    }
}
