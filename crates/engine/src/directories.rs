//! Directories (ACME endpoints) and the profiles they offer.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    admission::AdmissionPolicy,
    names::{DirectoryName, ProfileName},
    profile::Profile,
    urls::{Route, Urls, below_root},
};

/// All profiles, by name. A profile that no directory offers is unused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles(BTreeMap<ProfileName, Arc<Profile>>);

impl Profiles {
    /// Returns only the default profile.
    #[must_use]
    pub fn single(profile: Profile) -> Self {
        Self::from_iter([(ProfileName::DEFAULT, profile)])
    }

    /// Returns the profile with this name.
    #[must_use]
    pub fn get(&self, name: &ProfileName) -> Option<&Arc<Profile>> {
        self.0.get(name)
    }

    /// Iterates over all profiles.
    pub fn iter(&self) -> impl Iterator<Item = (&ProfileName, &Profile)> {
        (self.0.iter()).map(|(name, profile)| (name, &**profile))
    }
}

impl FromIterator<(ProfileName, Profile)> for Profiles {
    fn from_iter<I: IntoIterator<Item = (ProfileName, Profile)>>(profiles: I) -> Self {
        let all = profiles.into_iter();
        Self(
            all.map(|(name, profile)| (name, Arc::new(profile)))
                .collect(),
        )
    }
}

/// The settings of a directory.
#[derive(Clone)]
pub struct DirectoryPlan {
    /// Who may order.
    pub admission: Arc<AdmissionPolicy>,
    /// The profile of orders that name none.
    pub default_profile: ProfileName,
    /// The profiles on offer.
    pub profiles: Vec<ProfileName>,
    /// The URL of the terms of service that an account must agree to.
    pub terms_of_service: Option<String>,
    /// The URL of a page about this CA.
    pub website: Option<String>,
}

impl DirectoryPlan {
    /// A directory that offers only the default profile and has no terms of
    /// service.
    #[must_use]
    pub fn new(admission: AdmissionPolicy) -> Self {
        Self {
            admission: Arc::new(admission),
            default_profile: ProfileName::DEFAULT,
            profiles: vec![ProfileName::DEFAULT],
            terms_of_service: None,
            website: None,
        }
    }
}

/// Why directories cannot be built from their settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryFault {
    /// The default profile is not among the offered ones.
    #[error(
        "directory {directory}: the default profile {profile} is not among the profiles that it offers"
    )]
    DefaultNotOffered {
        /// The directory.
        directory: DirectoryName,
        /// Its default profile.
        profile: ProfileName,
    },
    /// The default directory is missing.
    #[error("there is no default directory")]
    NoDefault,
    /// The directory offers an unknown profile.
    #[error("directory {directory}: there is no profile {profile}")]
    UnknownProfile {
        /// The directory.
        directory: DirectoryName,
        /// The profile.
        profile: ProfileName,
    },
}

/// An ACME endpoint with its profiles and URLs. An account belongs to one.
pub struct Directory {
    default_profile: (ProfileName, Arc<Profile>),
    name: DirectoryName,
    /// The patterns of [`Route::ALL`], in the same order. Cached, since every
    /// request is logged with one.
    patterns: Vec<String>,
    plan: DirectoryPlan,
    profiles: BTreeMap<ProfileName, Arc<Profile>>,
    urls: Urls,
}

impl Directory {
    fn new(
        base: &str,
        profiles: &Profiles,
        name: DirectoryName,
        plan: DirectoryPlan,
    ) -> Result<Self, DirectoryFault> {
        let directory = name;
        let find = |profile: &ProfileName| {
            let unknown = DirectoryFault::UnknownProfile {
                directory,
                profile: *profile,
            };
            let found = profiles.get(profile).map(Arc::clone);
            found.map(|found| (*profile, found)).ok_or(unknown)
        };
        let offered = plan.profiles.iter().map(find);
        let profiles: BTreeMap<_, _> = offered.collect::<Result<_, _>>()?;
        let default = plan.default_profile;
        let default_profile = match profiles.get(&default) {
            Some(profile) => (default, Arc::clone(profile)),
            None => {
                return Err(DirectoryFault::DefaultNotOffered {
                    directory,
                    profile: default,
                });
            }
        };
        let urls = Urls::of_directory(base, &name);
        Ok(Self {
            default_profile,
            name,
            patterns: Route::ALL.iter().map(|one| urls.pattern(*one)).collect(),
            plan,
            profiles,
            urls,
        })
    }

    /// The directory's name.
    #[must_use]
    pub fn name(&self) -> DirectoryName {
        self.name
    }

    /// The directory's URLs.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Returns the path pattern of a route, with a placeholder for the
    /// resource's ID.
    #[must_use]
    pub fn pattern(&self, route: Route) -> &str {
        (self.patterns.get(route as usize)).map_or("", String::as_str)
    }

    /// Who may order.
    #[must_use]
    pub fn admission(&self) -> &AdmissionPolicy {
        &self.plan.admission
    }

    /// Returns the profile with this name, if it is offered.
    #[must_use]
    pub fn profile(&self, name: &ProfileName) -> Option<&Profile> {
        self.profiles.get(name).map(|profile| &**profile)
    }

    /// The profile of orders that name none.
    #[must_use]
    pub fn default_profile(&self) -> (ProfileName, &Profile) {
        let (name, profile) = &self.default_profile;
        (*name, profile)
    }

    /// The URL of the terms of service that an account must agree to.
    #[must_use]
    pub fn terms_of_service(&self) -> Option<&str> {
        self.plan.terms_of_service.as_deref()
    }

    /// The URL of a page about this CA.
    #[must_use]
    pub fn website(&self) -> Option<&str> {
        self.plan.website.as_deref()
    }
}

/// The directory and route of a request.
#[derive(Clone)]
pub struct RequestTarget {
    /// The directory.
    pub directory: Arc<Directory>,
    /// The route in it.
    pub route: Route,
}

impl RequestTarget {
    /// Returns the path pattern for logs. Resource IDs are not logged: only
    /// their holders may know them.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.directory.pattern(self.route)
    }
}

/// All directories by name, the default one included.
pub struct Directories {
    default: Arc<Directory>,
    named: BTreeMap<DirectoryName, Arc<Directory>>,
}

impl Directories {
    /// Builds directories under `base`, an origin without a trailing slash.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub fn new(
        base: &str,
        profiles: &Profiles,
        plans: BTreeMap<DirectoryName, DirectoryPlan>,
    ) -> Result<Self, DirectoryFault> {
        let mut named = BTreeMap::new();
        for (name, plan) in plans {
            let directory = Directory::new(base, profiles, name, plan)?;
            named.insert(name, Arc::new(directory));
        }
        let default = named.remove(&DirectoryName::DEFAULT);
        Ok(Self {
            default: default.ok_or(DirectoryFault::NoDefault)?,
            named,
        })
    }

    /// Builds only the default directory.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub fn single(
        base: &str,
        profiles: &Profiles,
        plan: DirectoryPlan,
    ) -> Result<Self, DirectoryFault> {
        Self::new(base, profiles, [(DirectoryName::DEFAULT, plan)].into())
    }

    /// The default directory.
    #[must_use]
    pub fn default_directory(&self) -> &Arc<Directory> {
        &self.default
    }

    /// Returns the directory with this name.
    #[must_use]
    pub fn get(&self, name: &DirectoryName) -> Option<&Arc<Directory>> {
        match name.in_urls() {
            None => Some(&self.default),
            Some(_) => self.named.get(name),
        }
    }

    /// Iterates over all directories, the default one first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Directory>> {
        std::iter::once(&self.default).chain(self.named.values())
    }

    /// Returns the directory that `path` lies in, whether it leads to a resource
    /// or not: the named one whose URLs begin so, else the default one.
    #[must_use]
    pub fn containing(&self, path: &str) -> &Arc<Directory> {
        let name = below_root(path).and_then(|tail| tail.split('/').next());
        (name.and_then(|name| DirectoryName::parse(name).ok()))
            .and_then(|name| self.named.get(&name))
            .unwrap_or(&self.default)
    }

    /// Returns the directory and route of `path`; `None` if there is none.
    #[must_use]
    pub fn target(&self, path: &str) -> Option<RequestTarget> {
        let tail = below_root(path)?;
        if let Some(route) = Route::of(tail) {
            let directory = Arc::clone(&self.default);
            return Some(RequestTarget { directory, route });
        }
        let (name, tail) = tail.split_once('/')?;
        let route = Route::of(tail)?;
        let directory = self.named.get(&DirectoryName::parse(name).ok()?)?;
        let directory = Arc::clone(directory);
        Some(RequestTarget { directory, route })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::admission::{Admission, IdentifierBinding};

    const BASE: &str = "https://ca.example.org";

    fn plan(profiles: &[&str], default: &str) -> DirectoryPlan {
        let name = |text: &&str| ProfileName::parse(text).unwrap();
        DirectoryPlan {
            default_profile: name(&default),
            profiles: profiles.iter().map(name).collect(),
            ..DirectoryPlan::new(AdmissionPolicy {
                admission: Admission::AnyAttested {
                    bind: IdentifierBinding::Serial,
                },
                assigners: HashSet::new(),
            })
        }
    }

    fn profiles() -> Profiles {
        let short = Profile {
            lifetime: 600,
            ..Profile::privacy_preserving()
        };
        let short = (ProfileName::parse("short").unwrap(), short);
        [(ProfileName::DEFAULT, Profile::privacy_preserving()), short]
            .into_iter()
            .collect()
    }

    fn wifi() -> DirectoryName {
        DirectoryName::parse("wifi").unwrap()
    }

    fn two() -> Directories {
        let plans = [
            (DirectoryName::DEFAULT, plan(&["default"], "default")),
            (wifi(), plan(&["default", "short"], "short")),
        ];
        Directories::new(BASE, &profiles(), plans.into()).unwrap()
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let of = |plans: Vec<(DirectoryName, DirectoryPlan)>| {
            let plans = plans.into_iter().collect();
            Directories::new(BASE, &profiles(), plans).err().unwrap()
        };
        let good = || plan(&["default"], "default");
        assert_eq!(of(vec![]), DirectoryFault::NoDefault);
        assert_eq!(of(vec![(wifi(), good())]), DirectoryFault::NoDefault);
        let fault = of(vec![
            (DirectoryName::DEFAULT, good()),
            (wifi(), plan(&["default", "long"], "default")),
        ]);
        assert_eq!(
            fault.to_string(),
            "directory wifi: there is no profile long"
        );
        for plan in [plan(&["default"], "short"), plan(&[], "default")] {
            let profile = plan.default_profile;
            let fault = of(vec![(DirectoryName::DEFAULT, plan)]);
            let directory = DirectoryName::DEFAULT;
            let expected = DirectoryFault::DefaultNotOffered { directory, profile };
            assert_eq!(fault, expected);
        }
    }

    #[test]
    fn a_directory_has_the_profiles_that_it_offers() {
        let directories = two();
        let short = ProfileName::parse("short").unwrap();
        let default = directories.default_directory();
        assert_eq!(default.profile(&short), None);
        assert_eq!(default.default_profile().0, ProfileName::DEFAULT);
        let wifi = directories.get(&wifi()).unwrap();
        assert_eq!(wifi.profile(&short).unwrap().lifetime, 600);
        assert_eq!(wifi.default_profile().0, short);
        assert_eq!(wifi.default_profile().1.lifetime, 600);
        let other = DirectoryName::parse("other").unwrap();
        assert!(directories.get(&other).is_none());
    }

    #[test]
    fn a_path_leads_to_its_directory() {
        let directories = two();
        let target = |path: &str| {
            let target = directories.target(path)?;
            let pattern = target.pattern().to_owned();
            Some((target.directory.name(), target.route, pattern))
        };
        for directory in directories.iter() {
            for route in Route::ALL {
                let path = directory.pattern(*route).to_owned();
                let expected = Some((directory.name(), *route, path.clone()));
                assert_eq!(target(&path), expected);
            }
        }
        let found = target("/acme/wifi/order/AbC/finalize").unwrap();
        let pattern = "/acme/wifi/order/{id}/finalize".to_owned();
        assert_eq!(found, (wifi(), Route::Finalize, pattern));
        for path in [
            "/",
            "*",
            "/acme",
            "/acme/",
            "/acme//directory",
            "/acme/wifi",
            "/acme/wifi/",
            "/acme/wifi/order",
            "/acme/wifi/wifi/directory",
            "/acme/other/directory",
            "/acme/default/directory",
            "/acme/Wifi/directory",
            "/acme/order/",
            "/acme/order/a/b",
            "acme/directory",
            "/acme-directory",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_without_a_resource_lies_in_a_directory_too() {
        let directories = two();
        let within = |path: &str| directories.containing(path).name();
        for path in [
            "/acme/wifi",
            "/acme/wifi/",
            "/acme/wifi/order",
            "/acme/wifi/wifi/directory",
            "/acme/wifi/directory",
        ] {
            assert_eq!(within(path), wifi(), "{path}");
        }
        for path in [
            "/",
            "*",
            "/acme",
            "/acme/order/a/b",
            "/acme/other/directory",
            "/acme/default/directory",
            "/acme/Wifi/directory",
            "/acme//wifi",
            "/wifi/directory",
        ] {
            assert_eq!(within(path), DirectoryName::DEFAULT, "{path}");
        }
    }
}
