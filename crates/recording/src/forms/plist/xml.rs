//! XML property lists: the elements of Apple's DTD, and no XML beyond them.
//! Nothing is fetched, and no entity is defined: a document type with its own
//! definitions is refused.

use super::{MAX_DEPTH, MAX_VALUES, Plist};
use crate::forms::encoding::wrapped_base64;

struct Text<'t> {
    all: &'t str,
    rest: &'t str,
    values: usize,
}

/// A tag: `<name>`, `</name>` or `<name/>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag<'t> {
    Empty(&'t str),
    End(&'t str),
    Start(&'t str),
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Plist, String> {
    let mut text = Text {
        all: text,
        rest: text,
        values: MAX_VALUES,
    };
    match text.tag()? {
        Tag::Start("plist") => {}
        _ => return Err(text.fault("the first element is not <plist>")),
    }
    let tag = text.tag()?;
    text.value(tag, MAX_DEPTH)
}

impl<'t> Text<'t> {
    fn value(&mut self, tag: Tag<'t>, depth: usize) -> Result<Plist, String> {
        self.values =
            (self.values.checked_sub(1)).ok_or_else(|| format!("more than {MAX_VALUES} values"))?;
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| format!("more than {MAX_DEPTH} containers in each other"))?;
        let name = match tag {
            Tag::Empty(name) => return Ok(empty(name)),
            Tag::End(_) => return Err(self.fault("a value is missing")),
            Tag::Start(name) => name,
        };
        match name {
            "array" => self.array(depth),
            "dict" => self.dict(depth),
            "data" => {
                let data = self.content(name)?;
                let data = wrapped_base64(&data);
                data.map(Plist::Data)
                    .ok_or_else(|| self.fault("<data> is not base64"))
            }
            "string" => self.content(name).map(Plist::Text),
            "date" | "false" | "integer" | "real" | "true" => {
                self.content(name)?;
                Ok(Plist::Other)
            }
            _ => Err(self.fault("an element is not one of a property list")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Plist, String> {
        let mut values = Vec::new();
        loop {
            match self.tag()? {
                Tag::End("array") => return Ok(Plist::Array(values)),
                tag => values.push(self.value(tag, depth)?),
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Plist, String> {
        let mut entries = Vec::new();
        loop {
            let key = match self.tag()? {
                Tag::End("dict") => return Ok(Plist::Dict(entries)),
                Tag::Empty("key") => String::new(),
                Tag::Start("key") => self.content("key")?,
                _ => return Err(self.fault("a dictionary has something else than a <key>")),
            };
            let tag = self.tag()?;
            entries.push((key, self.value(tag, depth)?));
        }
    }

    /// The next tag; comments, instructions and white space before it are skipped.
    fn tag(&mut self) -> Result<Tag<'t>, String> {
        loop {
            self.rest = self.rest.trim_start();
            let Some(inner) = self.rest.strip_prefix('<') else {
                return Err(self.fault("an element is missing"));
            };
            if let Some(comment) = inner.strip_prefix("!--") {
                self.skip(comment, "-->")?;
            } else if inner.starts_with('?') {
                self.skip(inner, "?>")?;
            } else if inner.starts_with('!') {
                let end = inner.find('>').unwrap_or(inner.len());
                if inner[..end].contains('[') {
                    return Err(self.fault("a document type with its own definitions is not read"));
                }
                self.skip(inner, ">")?;
            } else {
                let Some((tag, rest)) = inner.split_once('>') else {
                    return Err(self.fault("a tag does not end"));
                };
                self.rest = rest;
                let name = |text: &'t str| text.split_ascii_whitespace().next().unwrap_or_default();
                return Ok(match (tag.strip_prefix('/'), tag.strip_suffix('/')) {
                    (Some(tag), _) => Tag::End(name(tag)),
                    (None, Some(tag)) => Tag::Empty(name(tag)),
                    (None, None) => Tag::Start(name(tag)),
                });
            }
        }
    }

    /// The characters up to the end of an element without others in it.
    fn content(&mut self, name: &str) -> Result<String, String> {
        let mut content = String::new();
        loop {
            let Some(at) = self.rest.find('<') else {
                return Err(self.fault("an element does not end"));
            };
            let (text, rest) = self.rest.split_at(at);
            self.decode(text, &mut content)?;
            self.rest = rest;
            if let Some(section) = rest.strip_prefix("<![CDATA[") {
                let Some((text, rest)) = section.split_once("]]>") else {
                    return Err(self.fault("a CDATA section does not end"));
                };
                content.push_str(text);
                self.rest = rest;
            } else if let Some(comment) = rest.strip_prefix("<!--") {
                self.skip(comment, "-->")?;
            } else {
                return match self.tag()? {
                    Tag::End(end) if end == name => Ok(content),
                    _ => Err(self.fault("an element does not end before another one begins")),
                };
            }
        }
    }

    /// Characters and references to them (XML 1.0 section 4.6).
    fn decode(&self, text: &str, content: &mut String) -> Result<(), String> {
        let mut parts = text.split('&');
        content.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let decoded = part.split_once(';').and_then(|(name, rest)| {
                let letter = match name {
                    "amp" => '&',
                    "apos" => '\'',
                    "gt" => '>',
                    "lt" => '<',
                    "quot" => '"',
                    _ => {
                        let number = name.strip_prefix('#')?;
                        let number = match number.strip_prefix('x') {
                            Some(digits) => u32::from_str_radix(digits, 16),
                            None => number.parse(),
                        };
                        char::from_u32(number.ok()?)?
                    }
                };
                Some((letter, rest))
            });
            let (letter, rest) =
                decoded.ok_or_else(|| self.fault("an entity is not one of XML's own"))?;
            content.push(letter);
            content.push_str(rest);
        }
        Ok(())
    }

    fn skip(&mut self, text: &'t str, end: &str) -> Result<(), String> {
        match text.split_once(end) {
            Some((_, rest)) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.fault("a comment, an instruction or a document type does not end")),
        }
    }

    fn fault(&self, fault: &str) -> String {
        let read = self.all.len() - self.rest.len();
        let line = self.all.as_bytes()[..read]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!("line {}: {fault}", line + 1)
    }
}

/// `<true/>`, `<string/>` and so on.
fn empty(name: &str) -> Plist {
    match name {
        "array" => Plist::Array(Vec::new()),
        "data" => Plist::Data(Vec::new()),
        "dict" => Plist::Dict(Vec::new()),
        "string" => Plist::Text(String::new()),
        _ => Plist::Other,
    }
}
