//! The directories that clients enrol in, and which devices they admit.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use assay_engine::{
    admission::{Admission, AdmissionPolicy},
    directories::{Directories, DirectoryFault, DirectoryPlan},
    names::DirectoryName,
};
use assay_proto::DottedOid;

use crate::{
    config::{BaseUrl, Config},
    devices::Devices,
};

/// The directories of the configuration, all with the same admission: by the
/// list of devices where there is one.
pub(super) fn directories(
    config: &Config,
    base_url: &BaseUrl,
    devices: Option<&Arc<Devices>>,
) -> Result<Directories, DirectoryFault> {
    let default = DirectoryPlan {
        terms_of_service: config.acme.terms_of_service.clone(),
        website: config.acme.website.clone(),
        ..DirectoryPlan::new(admission(config, devices))
    };
    let named = config.directories.iter().map(|(name, directory)| {
        let plan = DirectoryPlan {
            admission: Arc::clone(&default.admission),
            default_profile: directory.default_profile,
            profiles: directory.profiles.clone(),
            terms_of_service: directory.terms_of_service.clone(),
            website: directory.website.clone(),
        };
        (*name, plan)
    });
    let mut plans: BTreeMap<_, _> = named.collect();
    plans.insert(DirectoryName::DEFAULT, default);
    let profiles = config.profiles();
    let profiles = profiles.map(|(name, profile)| (name, profile.clone()));
    Directories::new(&base_url.to_string(), &profiles.collect(), plans)
}

fn admission(config: &Config, devices: Option<&Arc<Devices>>) -> AdmissionPolicy {
    let admission = match devices {
        Some(devices) => Admission::Listed(Arc::<Devices>::clone(devices)),
        None => Admission::AnyAttested {
            bind: config.admission.bind.engine(),
        },
    };
    let assigners: HashSet<DottedOid> = (config.apple.assigners.iter())
        .filter_map(|assigner| DottedOid::parse(assigner))
        .collect();
    AdmissionPolicy {
        admission,
        assigners,
    }
}
