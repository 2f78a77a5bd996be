//! Intermediates whose signature verified before.

use std::{
    collections::VecDeque,
    sync::{PoisonError, RwLock},
};

use super::limits::MAX_CACHED_INTERMEDIATES;

/// Remembers that an anchor's key signed a certificate, and nothing else:
/// validity, constraints and names are checked anew every time. Only
/// successes come in, so that only the holder of an anchor's key can fill it.
#[derive(Debug, Default)]
pub(crate) struct VerifiedIntermediates {
    entries: RwLock<VecDeque<Entry>>,
}

#[derive(Debug, PartialEq)]
struct Entry {
    anchor: [u8; 32],
    certificate: Vec<u8>,
}

impl VerifiedIntermediates {
    pub(crate) fn contains(&self, anchor: &[u8; 32], certificate: &[u8]) -> bool {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|entry| entry.anchor == *anchor && entry.certificate == certificate)
    }

    /// Adds one; the oldest makes room for it.
    pub(crate) fn insert(&self, anchor: &[u8; 32], certificate: &[u8]) {
        let entry = Entry {
            anchor: *anchor,
            certificate: certificate.to_owned(),
        };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        // Two requests may have verified it at once.
        if entries.contains(&entry) {
            return;
        }
        if entries.len() == MAX_CACHED_INTERMEDIATES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_under_its_own_anchor_only() {
        let cache = VerifiedIntermediates::default();
        cache.insert(&[1; 32], b"certificate");
        assert!(cache.contains(&[1; 32], b"certificate"));
        assert!(!cache.contains(&[2; 32], b"certificate"));
        assert!(!cache.contains(&[1; 32], b"another"));
    }

    #[test]
    fn the_oldest_entry_makes_room() {
        let cache = VerifiedIntermediates::default();
        for number in 0..=MAX_CACHED_INTERMEDIATES {
            cache.insert(&[0; 32], &number.to_be_bytes());
            cache.insert(&[0; 32], &number.to_be_bytes());
        }
        assert_eq!(
            cache.entries.read().unwrap().len(),
            MAX_CACHED_INTERMEDIATES
        );
        assert!(!cache.contains(&[0; 32], &0_usize.to_be_bytes()));
        assert!(cache.contains(&[0; 32], &1_usize.to_be_bytes()));
    }
}
