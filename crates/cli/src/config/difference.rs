//! What is different between two configurations.

use super::Config;

impl Config {
    /// The sections that are different in `other`, by name.
    pub fn different_sections(&self, other: &Self) -> Vec<&'static str> {
        // All of them, so that none is forgotten here.
        let Self {
            server,
            acme,
            apple,
            admission,
            profile,
            recording,
            time,
            store,
            health,
            limits,
            log,
        } = self;
        [
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
        ]
        .into_iter()
        .filter_map(|(name, is_same)| (!is_same).then_some(name))
        .collect()
    }
}
