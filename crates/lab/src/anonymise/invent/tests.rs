use sha2::{Digest, Sha256};

use super::*;

const SERIAL: &str = "C02XK0AAJHD2";
const UDID: &str = "00008112-000A1B2C3D4E5F60";

/// Repeatable bytes: SHA-256 of a count.
struct Counted(u64);

impl Counted {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1;
            chunk.copy_from_slice(&Sha256::digest(self.0.to_be_bytes())[..chunk.len()]);
        }
    }
}

pub(in crate::anonymise) fn with_random<T>(
    start: u64,
    use_it: impl FnOnce(&mut RandomSource<'_>) -> T,
) -> T {
    let mut counted = Counted(start);
    use_it(&mut RandomSource(&mut |bytes| {
        counted.fill(bytes);
        Ok(())
    }))
}

#[test]
fn names_keep_shape_case_and_what_was_equal() {
    with_random(3, |random| {
        let texts = [SERIAL, "c02xk0aajhd2", UDID, "A-é.1"];
        let names = Names::invent(texts, random).unwrap();
        let of = |text: &str| names.of(text).unwrap();
        for text in texts {
            let new = of(text);
            assert_ne!(new.to_lowercase(), text.to_lowercase());
            let shape = |text: &str| -> String {
                text.chars()
                    .map(|letter| match letter {
                        '0'..='9' => '0',
                        _ if letter.is_uppercase() => 'A',
                        _ if letter.is_alphabetic() => 'a',
                        _ => letter,
                    })
                    .collect()
            };
            assert_eq!(shape(&new), shape(text));
        }
        assert_eq!(of(SERIAL).to_lowercase(), of("c02xk0aajhd2"));
        assert_ne!(of(SERIAL), of("c02xk0aajhd2"));
        assert!(
            of(UDID)
                .chars()
                .all(|letter| letter == '-' || letter.is_ascii_hexdigit())
        );
        assert!(names.of("unforeseen").is_err());
    });
}

#[test]
fn what_stands_for_something_is_no_original_and_stands_for_nothing_else() {
    with_random(5, |random| {
        let originals: Vec<Vec<u8>> = (0..128).map(|byte| vec![byte]).collect();
        let table = Table::invent(originals.clone(), |_| random.bytes(1)).unwrap();
        let mut new: Vec<_> = (originals.iter())
            .map(|original| table.of(original).unwrap().clone())
            .collect();
        assert!(new.iter().all(|byte| !originals.contains(byte)));
        new.sort();
        new.dedup();
        assert_eq!(new.len(), originals.len());
    });
    let letters: Vec<char> = with_random(9, |random| {
        (0..200).map(|_| random.one_of(b"abc").unwrap()).collect()
    });
    for letter in ['a', 'b', 'c'] {
        assert!(letters.contains(&letter));
    }
}
