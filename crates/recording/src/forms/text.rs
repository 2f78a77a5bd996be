//! Text with encoded evidence in it.

use std::collections::HashSet;

use super::{
    Certainty, Place, Search,
    encoding::{MIN_GUESS, hex},
    json,
};

/// How often one line is tried as JSON, each time from another bracket.
const MAX_BRACKETS: usize = 4;

/// How often one run of letters is tried, each time from behind another
/// separator that belongs to an alphabet of base64: `object/omNmbXRl...`.
const MAX_STARTS: usize = 4;

impl Search {
    /// Every line, and every block of lines that is encoded as a whole. What is
    /// there twice is found once.
    pub(super) fn lines_of(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        let before = self.pieces.len();
        let mut next = 0;
        while let Some(line) = lines.get(next) {
            self.place = Some(Place::Line(next + 1));
            let block = lines[next..]
                .iter()
                .take_while(|line| is_pure(line))
                .count();
            if block > 1 {
                let joined = lines[next..next + block].join("\n");
                let looked = self.encoded(&joined, Certainty::Guessed);
                if self.kept(looked) {
                    next += block;
                    continue;
                }
                // Not a block: each line for itself.
                for (offset, line) in lines[next..next + block].iter().enumerate() {
                    self.place = Some(Place::Line(next + offset + 1));
                    self.line(line);
                }
                next += block;
                continue;
            }
            self.line(line);
            next += 1;
        }
        self.place = None;
        let mut seen = HashSet::new();
        let mut index = 0;
        self.pieces.retain(|piece| {
            index += 1;
            index <= before || seen.insert((piece.content.clone(), piece.hints.token.clone()))
        });
    }

    fn line(&mut self, line: &str) {
        if line.len() < MIN_GUESS / 2 || !self.may_spend(line.len()) {
            return;
        }
        if self.json_in(line) {
            return;
        }
        // As PHP and others write JSON.
        let unescaped = line.contains("\\/").then(|| line.replace("\\/", "/"));
        let line = unescaped.as_deref().unwrap_or(line);
        for word in line.split(|letter: char| !is_of_word(letter)) {
            if word.len() >= MIN_GUESS {
                self.word(word);
            }
        }
    }

    /// JSON in a line, whatever stands before and behind it.
    fn json_in(&mut self, line: &str) -> bool {
        let brackets = line.match_indices('{').take(MAX_BRACKETS);
        for (start, _) in brackets {
            let text = &line[start..];
            if !self.may_spend(text.len()) {
                return false;
            }
            if let Some((value, length)) = json::parse_prefix(text) {
                let looked = self.json(&value, &text.as_bytes()[..length]);
                return self.kept(looked);
            }
        }
        false
    }

    /// A word without blanks: a compact JWS, or runs of one alphabet.
    fn word(&mut self, word: &str) {
        for part in word.split('=') {
            let looked = self.compact_jws(part);
            if !self.kept(looked) {
                self.runs(part);
            }
        }
    }

    fn runs(&mut self, part: &str) {
        for run in part.split('.') {
            // A fingerprint with colons is no base64.
            let runs: Vec<&str> = match hex(run) {
                Some(_) => vec![run],
                None => run.split(':').collect(),
            };
            for run in runs {
                if self.starts(run) {
                    break;
                }
            }
        }
    }

    fn starts(&mut self, run: &str) -> bool {
        let later = run.match_indices(['/', '-', '_']);
        let starts = [0].into_iter().chain(later.map(|(at, _)| at + 1));
        for start in starts.take(MAX_STARTS) {
            let run = &run[start..];
            if run.len() < MIN_GUESS || !self.may_spend(run.len()) {
                return false;
            }
            let looked = self.run(run, Certainty::Guessed);
            if self.kept(looked) {
                return true;
            }
        }
        false
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '-' | '_' | '=' | '.' | ':')
}

/// A line of nothing but one alphabet, as a line of a wrapped text is.
fn is_pure(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty()
        && line
            .chars()
            .all(|letter| is_of_word(letter) && letter != '.')
}

/// What `openssl x509 -text`, `keytool -printcert` and `certutil` print.
pub(super) fn is_dump(text: &str) -> bool {
    let any = |words: &[&str]| words.iter().all(|word| text.contains(word));
    any(&["Certificate:", "Data:", "Signature Algorithm:"])
        || any(&["Signature Algorithm:", "Subject Public Key Info:"])
        || any(&["Owner:", "Issuer:", "Serial number:"])
        || any(&["Certificate Request:", "Data:"])
}

#[cfg(test)]
mod tests {
    use super::{is_dump, is_pure};

    #[test]
    fn dumps_and_wrapped_lines_are_recognised() {
        assert!(is_dump(
            "Certificate:\n    Data:\n   Signature Algorithm: ecdsa"
        ));
        assert!(is_dump("Owner: CN=a\nIssuer: CN=b\nSerial number: 1"));
        assert!(!is_dump("certificate data"));
        assert!(is_pure("  MIIB+/-_==  ") && !is_pure("") && !is_pure("a b"));
    }
}
