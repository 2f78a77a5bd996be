//! `[directory.NAME]`: additional ACME directories.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use assay_engine::{
    names::{DirectoryName, ProfileName},
    profile::Profile,
};
use serde::Deserialize;

use super::{check_page, keys};

/// `[directory.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The profiles that it offers.
    pub profiles: Vec<ProfileName>,
    /// The profile of orders that do not name one.
    pub default_profile: ProfileName,
    /// URL of the terms of service that an account must agree to.
    pub terms_of_service: Option<String>,
    /// URL of a page about this CA.
    pub website: Option<String>,
}

/// `[directory.NAME]` before validation.
#[derive(Deserialize)]
pub(super) struct DirectoryTable {
    profiles: Option<Vec<String>>,
    default_profile: Option<String>,
    terms_of_service: Option<String>,
    website: Option<String>,
}

/// Validates all directory tables.
pub(super) fn check_all(
    tables: BTreeMap<String, DirectoryTable>,
    profiles: &BTreeMap<ProfileName, Profile>,
) -> anyhow::Result<BTreeMap<DirectoryName, Directory>> {
    let mut directories = BTreeMap::new();
    for (text, table) in tables {
        ensure!(
            text != DirectoryName::DEFAULT.to_string(),
            "directory.{text} is the built-in directory: its keys are in [acme], and it offers the profile \"default\""
        );
        let name = DirectoryName::parse(&text).with_context(|| format!("directory.{text}"))?;
        directories.insert(name, table.check(&text, profiles)?);
    }
    Ok(directories)
}

impl DirectoryTable {
    fn check(
        self,
        name: &str,
        profiles: &BTreeMap<ProfileName, Profile>,
    ) -> anyhow::Result<Directory> {
        let place = |key| format!("directory.{name}.{key}");
        let texts = match self.profiles {
            Some(texts) => texts,
            None => vec![ProfileName::DEFAULT.to_string()],
        };
        let mut offered = Vec::new();
        for text in &texts {
            let profile = known_profile(text, profiles).with_context(|| place("profiles"))?;
            ensure!(
                !offered.contains(&profile),
                "{}: {text:?} occurs twice: remove one",
                place("profiles")
            );
            offered.push(profile);
        }
        let Some(first) = offered.first() else {
            bail!("{}: a directory must offer at least one", place("profiles"));
        };
        let default_profile = match &self.default_profile {
            Some(text) => {
                known_profile(text, profiles).with_context(|| place("default_profile"))?
            }
            None => *first,
        };
        ensure!(
            offered.contains(&default_profile),
            "{}: \"{default_profile}\" is not among {}",
            place("default_profile"),
            place("profiles")
        );
        check_page(&place("terms_of_service"), self.terms_of_service.as_deref())?;
        check_page(&place("website"), self.website.as_deref())?;
        Ok(Directory {
            profiles: offered,
            default_profile,
            terms_of_service: self.terms_of_service,
            website: self.website,
        })
    }
}

/// Looks up the profile `text`.
fn known_profile(
    text: &str,
    profiles: &BTreeMap<ProfileName, Profile>,
) -> anyhow::Result<ProfileName> {
    let all = std::iter::once(&ProfileName::DEFAULT).chain(profiles.keys());
    let known: Vec<&str> = all.map(ProfileName::as_str).collect();
    if known.contains(&text) {
        return Ok(ProfileName::parse(text)?);
    }
    match keys::nearest(text, &known) {
        Some(near) => bail!("there is no [profile.{text}]: did you mean {near:?}?"),
        None => bail!(
            "there is no [profile.{text}]: known are {}",
            known.join(", ")
        ),
    }
}
