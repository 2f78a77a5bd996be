//! Compares two configurations.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use super::Config;

impl Config {
    /// The names of the sections that differ from `other`.
    pub fn different_sections(&self, other: &Self) -> Vec<String> {
        // Destructures all fields, so that a new section cannot be forgotten.
        let Self {
            server,
            acme,
            apple,
            admission,
            profile,
            named_profiles,
            directories,
            recording,
            time,
            store,
            health,
            limits,
            log,
        } = self;
        let plain = [
            ("server", *server == other.server),
            ("acme", *acme == other.acme),
            ("attestation.apple", *apple == other.apple),
            ("admission", *admission == other.admission),
            ("profile.default", *profile == other.profile),
            ("recording", *recording == other.recording),
            ("time", *time == other.time),
            ("store", *store == other.store),
            ("health", *health == other.health),
            ("limits", *limits == other.limits),
            ("log", *log == other.log),
        ];
        let plain = plain.into_iter().filter(|(_, is_same)| !is_same);
        let mut different: Vec<_> = plain.map(|(name, _)| name.to_owned()).collect();
        different.extend(in_maps("profile", named_profiles, &other.named_profiles));
        different.extend(in_maps("directory", directories, &other.directories));
        different
    }
}

/// The tables of this section that differ, or exist in only one configuration.
fn in_maps<K: Ord + Display, V: PartialEq>(
    section: &str,
    ours: &BTreeMap<K, V>,
    theirs: &BTreeMap<K, V>,
) -> Vec<String> {
    let names: BTreeSet<&K> = ours.keys().chain(theirs.keys()).collect();
    let different = names
        .into_iter()
        .filter(|name| ours.get(name) != theirs.get(name));
    different.map(|name| format!("{section}.{name}")).collect()
}
