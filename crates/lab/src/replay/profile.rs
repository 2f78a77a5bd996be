//! The profile under which a replay issues.

use anyhow::Context as _;
use assay_engine::profile::{CsrNames, Profile};
use assay_recording::{Acme, ProfileSettings};

/// The recorded profile, if its settings are recorded.
///
/// # Errors
/// The settings are not those of a profile of this version.
pub fn recorded_profile(acme: &Acme) -> anyhow::Result<Option<Profile>> {
    let recorded = acme.profile.as_ref();
    recorded
        .and_then(|profile| profile.settings.as_ref())
        .map(read)
        .transpose()
        .context("\"profile.settings\" are not those of a profile")
}

fn read(settings: &ProfileSettings) -> anyhow::Result<Profile> {
    Ok(Profile {
        subject: Profile::parse_subject(&settings.subject).context("subject")?,
        san: Profile::parse_san(&settings.san).context("san")?,
        lifetime: settings.lifetime,
        csr_names: CsrNames::parse(&settings.csr_names)
            .context("csr_names: neither \"ignore\" nor \"refuse\"")?,
    })
}
