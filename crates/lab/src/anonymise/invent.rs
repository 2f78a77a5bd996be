//! Replacements for what identifies: drawn at random, never derived from the
//! original. A serial number can be guessed from its hash.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};

/// How often a draw may repeat itself before a text counts as too short.
const ATTEMPTS: usize = 1000;

/// A source of random bytes; it fills a buffer or fails.
pub struct RandomSource<'a>(pub &'a mut dyn FnMut(&mut [u8]) -> anyhow::Result<()>);

impl RandomSource<'_> {
    /// `count` random bytes.
    pub(super) fn bytes(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        (self.0)(&mut bytes)?;
        Ok(bytes)
    }

    /// One of the letters, each as likely as the others; at most 256.
    pub(super) fn one_of(&mut self, letters: &[u8]) -> anyhow::Result<char> {
        // What would make the first letters likelier is drawn again.
        let fair = 256 - 256 % letters.len().max(1);
        loop {
            let drawn = usize::from(self.bytes(1)?[0]);
            if drawn < fair {
                return Ok(char::from(letters[drawn % letters.len()]));
            }
        }
    }
}

/// Originals and the replacement of each: none is an original, and none is
/// there twice.
pub(super) struct Table<T>(BTreeMap<T, T>);

impl<T: Clone + Ord> Table<T> {
    /// Invents something for each.
    ///
    /// # Errors
    /// There are no random bytes, or an original is so short that nothing else is like
    /// it.
    pub(super) fn invent(
        originals: impl IntoIterator<Item = T>,
        mut like: impl FnMut(&T) -> anyhow::Result<T>,
    ) -> anyhow::Result<Self> {
        let originals: BTreeSet<T> = originals.into_iter().collect();
        let mut taken = originals.clone();
        let mut invented = BTreeMap::new();
        for original in originals {
            let mut attempts = 0;
            let new = loop {
                let new = like(&original)?;
                if taken.insert(new.clone()) {
                    break new;
                }
                attempts += 1;
                if attempts == ATTEMPTS {
                    bail!("a value is so short that nothing else can stand for it");
                }
            };
            invented.insert(original, new);
        }
        Ok(Self(invented))
    }

    /// Sets the replacement of an original.
    pub(super) fn set(&mut self, original: T, new: T) {
        self.0.insert(original, new);
    }

    /// The replacement of an original that was foreseen.
    pub(super) fn of(&self, original: &T) -> anyhow::Result<&T> {
        self.0
            .get(original)
            .context("a value came up that was not foreseen")
    }
}

/// Names of devices: serial numbers, UDIDs, and what was ordered. Equal ones
/// stay equal, different ones different, and those that differ in the case of
/// letters differ in that alone.
pub(super) struct Names(Table<String>);

impl Names {
    /// Invents a name for each.
    ///
    /// # Errors
    /// As [`Table::invent`].
    pub(super) fn invent<'t>(
        texts: impl IntoIterator<Item = &'t str>,
        random: &mut RandomSource<'_>,
    ) -> anyhow::Result<Self> {
        let keys = texts.into_iter().map(str::to_ascii_lowercase);
        Table::invent(keys, |key| of_the_shape(key, random)).map(Self)
    }

    /// The replacement of a name.
    pub(super) fn of(&self, text: &str) -> anyhow::Result<String> {
        let new = self.0.of(&text.to_ascii_lowercase())?;
        let letters = text.chars().zip(new.chars());
        Ok(letters
            .map(|(original, letter)| {
                if original.is_uppercase() {
                    letter.to_ascii_uppercase()
                } else {
                    letter
                }
            })
            .collect())
    }
}

/// Small letters for letters, digits for digits, all else as it was. Where no
/// letter goes beyond hexadecimal, as in a UDID, none of the new ones does.
fn of_the_shape(text: &str, random: &mut RandomSource<'_>) -> anyhow::Result<String> {
    let letters = |letter: &char| letter.is_alphabetic();
    let hexadecimal = text
        .chars()
        .filter(letters)
        .all(|letter| matches!(letter, 'a'..='f'));
    let alphabet: &[u8] = if hexadecimal {
        b"abcdef"
    } else {
        b"abcdefghijklmnopqrstuvwxyz"
    };
    text.chars()
        .map(|letter| match letter {
            '0'..='9' => random.one_of(b"0123456789"),
            _ if letter.is_alphanumeric() => random.one_of(alphabet),
            _ => Ok(letter),
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
