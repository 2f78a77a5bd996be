//! A property as evidence gives it.

use std::fmt;

/// One property of a device, in three ways: attested and good, attested and
/// bad, or not attested at all. What is not attested is never good: there is
/// no default and no comparison by which absence could pass for a state.
///
/// Apple: "If Apple's attestation servers are unable to verify a device
/// property it will provide a blank value, omit the OID entirely, or refuse to
/// issue an attestation certificate." (`information.device.yaml`,
/// `DevicePropertiesAttestation`) Blank and omitted are both
/// [`NotAttested`](Self::NotAttested).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attested<T> {
    /// Attested, in the one good state; for a text: attested.
    Good(T),
    /// Attested, in any other state.
    Bad(T),
    /// The authority left the property out or blank.
    NotAttested,
}

impl<T> Attested<T> {
    /// The value, if it is attested and good: what a policy asks for.
    pub fn good(&self) -> Option<&T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad(_) | Self::NotAttested => None,
        }
    }

    /// The value, if it is attested, good or bad: what is shown and kept.
    pub fn attested(&self) -> Option<&T> {
        match self {
            Self::Good(value) | Self::Bad(value) => Some(value),
            Self::NotAttested => None,
        }
    }

    /// Whether it is attested and good.
    pub fn is_good(&self) -> bool {
        self.good().is_some()
    }

    /// Sorts an attested value; `None` is absent or blank.
    pub(crate) fn sort(value: Option<T>, good: impl FnOnce(&T) -> bool) -> Self {
        match value {
            None => Self::NotAttested,
            Some(value) if good(&value) => Self::Good(value),
            Some(value) => Self::Bad(value),
        }
    }
}

/// The attested value, or `not attested`.
impl<T: fmt::Display> fmt::Display for Attested<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attested() {
            Some(value) => value.fmt(f),
            None => f.write_str("not attested"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_neither_good_nor_bad() {
        let absent = Attested::sort(None::<u8>, |_| true);
        assert_eq!(absent, Attested::NotAttested);
        assert_eq!((absent.good(), absent.attested()), (None, None));
        assert!(!absent.is_good());
        assert_eq!(absent.to_string(), "not attested");
    }

    #[test]
    fn bad_is_attested_and_not_good() {
        let bad = Attested::sort(Some(7), |value| *value == 0);
        assert_eq!(bad, Attested::Bad(7));
        assert_eq!((bad.good(), bad.attested()), (None, Some(&7)));
        assert!(!bad.is_good());
        assert_eq!(format!("{bad:03}"), "007");
    }

    #[test]
    fn good_is_attested() {
        let good = Attested::sort(Some(0), |value| *value == 0);
        assert_eq!(good, Attested::Good(0));
        assert_eq!((good.good(), good.attested()), (Some(&0), Some(&0)));
        assert!(good.is_good());
        assert_eq!(good.to_string(), "0");
    }
}
