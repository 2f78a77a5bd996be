//! The known keys, and overrides from the environment.

use anyhow::bail;

/// All tables and their keys.
const TABLES: &[Table] = &[
    Table::harmless(
        &["server"],
        &[
            "base_url",
            "listen",
            "tls",
            "tls_certificate",
            "tls_key",
            "trusted_proxies",
            "proxy_protocol",
            "max_connections",
        ],
    ),
    Table::harmless(
        &["acme"],
        &["terms_of_service", "website", "order_lifetime"],
    ),
    Table::secured(
        &["attestation", "apple"],
        &["laboratory_roots", "assigners"],
    ),
    Table::secured(&["admission"], &["mode", "bind", "devices"]),
    Table {
        // Of the default profile alone, and of it these keys: what a profile
        // demands of a device can only be set in the file.
        overridable: &["subject", "san", "lifetime", "csr_names"],
        ..Table::secured(PROFILE, &["subject", "san", "lifetime", "csr_names"])
    },
    Table::secured(
        &["directory", NAME],
        &["profiles", "default_profile", "terms_of_service", "website"],
    ),
    // Recordings contain personal data.
    Table::secured(&["recording"], &["keep", "directory", "retention_days"]),
    // A wrong clock makes expired evidence valid.
    Table::secured(&["time"], &["max_jump", "max_rest"]),
    Table::harmless(&["store"], &["keep_ledger", "free_space"]),
    Table::harmless(&["health"], &["listen"]),
    // Limits protect the server from its clients.
    Table::secured(
        &["limits"],
        &[
            "connections_per_address",
            "provisional_accounts",
            "exempt",
            "dry_run",
            "help",
        ],
    ),
    Table::harmless(&["log"], &["access"]),
    Table::rate(&["limits", "new_nonce"]),
    Table::rate(&["limits", "new_account"]),
    Table::rate(&["limits", "new_order"]),
    Table::rate(&["limits", "change_account"]),
    Table::rate(&["limits", "failed"]),
    Table::list(&["limits", "override"], &["network"]),
    Table::rate(&["limits", "override", "new_nonce"]),
    Table::rate(&["limits", "override", "new_account"]),
    Table::rate(&["limits", "override", "new_order"]),
    Table::rate(&["limits", "override", "change_account"]),
    Table::rate(&["limits", "override", "failed"]),
];

/// Placeholder for a name that the operator chooses, in a table's path.
const NAME: &str = "*";

const PROFILE: &[&str] = &["profile", NAME];

const RATE: &[&str] = &["per_second", "burst"];

struct Table {
    path: &'static [&'static str],
    form: Form,
    keys: &'static [&'static str],
    /// The keys that environment variables may set. They say where and how a
    /// server is deployed; none of them says who may enrol, what is attested or
    /// what a certificate contains, but for the default profile's.
    overridable: &'static [&'static str],
}

/// The syntax of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `[path]`
    Plain,
    /// `[[path]]`, repeatable.
    List,
    /// `{ per_second = 2, burst = 1000 }`, or 0 for no limit.
    Rate,
}

impl Table {
    const fn harmless(path: &'static [&'static str], keys: &'static [&'static str]) -> Self {
        Self {
            overridable: keys,
            ..Self::secured(path, keys)
        }
    }

    const fn secured(path: &'static [&'static str], keys: &'static [&'static str]) -> Self {
        Self {
            path,
            form: Form::Plain,
            keys,
            overridable: &[],
        }
    }

    const fn list(path: &'static [&'static str], keys: &'static [&'static str]) -> Self {
        Self {
            form: Form::List,
            ..Self::secured(path, keys)
        }
    }

    const fn rate(path: &'static [&'static str]) -> Self {
        Self {
            form: Form::Rate,
            ..Self::secured(path, RATE)
        }
    }

    /// Whether `path` leads to this table, or to a parent of it.
    fn is_at_or_under(&self, path: &[&str]) -> bool {
        let fits = |(wanted, step): (&&str, &&str)| *wanted == NAME || wanted == step;
        path.len() <= self.path.len() && self.path.iter().zip(path).all(fits)
    }

    fn is_at(&self, path: &[&str]) -> bool {
        path.len() == self.path.len() && self.is_at_or_under(path)
    }

    /// Whether an environment variable may set `key` of this table at `path`.
    fn is_overridable(&self, path: &[&str], key: &str) -> bool {
        let is_default = self.path != PROFILE || path.last() == Some(&"default");
        is_default && self.overridable.contains(&key)
    }
}

/// Refuses unknown keys, and suggests the most similar one.
pub fn check(root: &toml::Table) -> anyhow::Result<()> {
    check_under(root, &mut Vec::new())
}

fn check_under<'a>(table: &'a toml::Table, path: &mut Vec<&'a str>) -> anyhow::Result<()> {
    let mut known: Vec<&str> = TABLES
        .iter()
        .filter(|table| table.is_at_or_under(path))
        .flat_map(|table| match table.path.get(path.len()) {
            Some(next) => std::slice::from_ref(next),
            None => table.keys,
        })
        .copied()
        .collect();
    // Nested tables list their parent more than once.
    known.dedup();
    for (key, value) in table {
        if !known.contains(&NAME) {
            check_known(key, &known, path)?;
        }
        path.push(key);
        check_value(value, path)?;
        path.pop();
    }
    Ok(())
}

fn check_known(key: &str, known: &[&str], path: &[&str]) -> anyhow::Result<()> {
    if known.contains(&key) {
        return Ok(());
    }
    let full = [path, &[key]].concat().join(".");
    let place = if path.is_empty() {
        "at the top".to_owned()
    } else {
        format!("in [{}]", path.join("."))
    };
    match nearest(key, known) {
        Some(near) => bail!("unknown key {full:?} {place}: did you mean {near:?}?"),
        None => bail!(
            "unknown key {full:?} {place}: known are {}",
            known.join(", ")
        ),
    }
}

/// Checks that the value at `path` is a table, a list of tables or neither, as
/// expected, and checks its content.
fn check_value<'a>(value: &'a toml::Value, path: &mut Vec<&'a str>) -> anyhow::Result<()> {
    let full = path.join(".");
    let is_table = TABLES.iter().any(|table| table.is_at_or_under(path));
    let form = TABLES.iter().find(|table| table.is_at(path));
    let form = form.map_or(Form::Plain, |table| table.form);
    match (value, form) {
        (toml::Value::Table(_), _) if !is_table => bail!("{full} must not be a table"),
        _ if !is_table => {}
        (toml::Value::Array(list), Form::List) => {
            for entry in list {
                match entry {
                    toml::Value::Table(inner) => check_under(inner, path)?,
                    _ => bail!("{full} must be a list of tables: write [[{full}]]"),
                }
            }
        }
        (_, Form::List) => bail!("{full} must be a list of tables: write [[{full}]]"),
        (toml::Value::Table(inner), Form::Plain | Form::Rate) => check_under(inner, path)?,
        // 0 disables the limit.
        (toml::Value::Integer(_), Form::Rate) => {}
        _ => bail!("{full} must be a table: write [{full}]"),
    }
    Ok(())
}

/// The `SECTION__KEY` of a variable `ASSAY_SECTION__KEY`.
pub fn overridden(name: &str) -> Option<&str> {
    name.strip_prefix("ASSAY_")
        .filter(|rest| rest.contains("__"))
}

/// Applies the variables `ASSAY_SECTION__KEY`.
pub fn override_from(
    root: &mut toml::Table,
    environment: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    for (name, text) in environment {
        let Some(rest) = overridden(&name) else {
            continue;
        };
        let full: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        let Some((key, path)) = full.split_last().filter(|_| is_known(&full)) else {
            bail!("the environment variable {name} does not name a configuration key");
        };
        let found = TABLES.iter().find(|table| table.is_at(path));
        if !found.is_some_and(|table| table.is_overridable(path, key)) {
            bail!(
                "the environment variable {name} would change {}, which can only be set in the file, assay.toml",
                full.join(".")
            );
        }
        let mut target = &mut *root;
        for step in path {
            let entry = target
                .entry(*step)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            match entry {
                toml::Value::Table(inner) => target = inner,
                _ => bail!("{step} must be a table"),
            }
        }
        target.insert((*key).to_owned(), value(&text));
    }
    Ok(())
}

/// Whether a key of a table, or a table with inline syntax, has this path.
fn is_known(full: &[&str]) -> bool {
    let Some((key, path)) = full.split_last() else {
        return false;
    };
    TABLES.iter().any(|table| {
        (table.is_at(path) && table.keys.contains(key))
            || (table.is_at(full) && table.form != Form::Plain)
    })
}

/// Parses a number, a boolean, a list or a table in TOML syntax; any other text
/// is a string.
fn value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    match parsed {
        Some(
            value @ (toml::Value::Integer(_)
            | toml::Value::Boolean(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_)),
        ) => value,
        _ => toml::Value::String(text.to_owned()),
    }
}

/// The most similar known key, if one is similar enough.
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether `text` is probably a typo of `word`.
pub fn is_slip_of(text: &str, word: &str) -> bool {
    text != word && distance(text, word) <= 2
}

/// The Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    fn document() -> String {
        fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/configuration.md"
        ))
        .unwrap()
    }

    /// A table as the document's headings write it.
    fn heading(path: &[&str]) -> String {
        format!("[{}]", path.join(".")).replace(NAME, "NAME")
    }

    /// The first two cells of the rows of a section's tables, without backticks.
    fn rows(section: &str) -> Vec<(&str, &str)> {
        section
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split_once("` | "))
            .map(|(key, rest)| (key, rest.split(" | ").next().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn configuration_md_has_every_key_and_no_other() {
        let document = document();
        let mut documented = BTreeSet::new();
        for section in document.split("\n## ").skip(1) {
            let Some((heading, text)) = section.split_once('\n') else {
                continue;
            };
            let Some(table) = heading
                .rsplit(" and ")
                .next()
                .filter(|h| h.starts_with('['))
            else {
                continue;
            };
            for (key, form) in rows(text) {
                assert!(!form.is_empty(), "{table} {key} has no type");
                let is_new = documented.insert((table.to_owned(), key.to_owned()));
                assert!(is_new, "{table} {key} is there twice");
            }
        }
        let mut known = BTreeSet::new();
        for table in TABLES {
            let (name, parent) = table.path.split_last().unwrap();
            match table.form {
                Form::Plain => {
                    let keys = table.keys.iter().map(|key| (*key).to_owned());
                    known.extend(keys.map(|key| (heading(table.path), key)));
                }
                Form::Rate
                    if !TABLES
                        .iter()
                        .any(|t| t.path == parent && t.form == Form::List) =>
                {
                    known.insert((heading(parent), (*name).to_owned()));
                }
                // An override accepts the same limits as [limits].
                Form::Rate => {
                    let plain = ("[limits]".to_owned(), (*name).to_owned());
                    assert!(documented.contains(&plain), "{name}");
                }
                Form::List => assert!(
                    document.contains(&format!("[{}]", heading(table.path))),
                    "{name}"
                ),
            }
        }
        assert_eq!(documented, known);
    }

    #[test]
    fn configuration_md_says_what_the_environment_overrides() {
        let document = document();
        let (_, section) = document.split_once("\n## Environment\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let mut answers = Vec::new();
        for line in section.lines().filter_map(|line| line.strip_prefix("| `[")) {
            let (tables, answer) = line.split_once(" | ").unwrap();
            let tables = format!("`[{tables}");
            answers.extend(
                tables
                    .split(", ")
                    .map(|table| (table.replace('`', ""), answer.to_owned())),
            );
        }
        for table in TABLES.iter().filter(|table| table.form == Form::Plain) {
            let name = heading(table.path);
            let (_, answer) = (answers.iter().find(|(of, _)| *of == name)).unwrap();
            if table.path == PROFILE {
                assert!(answer.starts_with("no: "), "{name}");
                let (_, answer) =
                    (answers.iter().find(|(of, _)| of == "[profile.default]")).unwrap();
                for key in table.keys {
                    let is_documented = answer.contains(&format!("`{key}`"));
                    let is = table.is_overridable(&["profile", "default"], key);
                    assert_eq!(is, is_documented, "{key}");
                }
            } else if table.overridable.is_empty() {
                assert!(answer.starts_with("no: "), "{name}");
            } else {
                assert_eq!(table.overridable, table.keys, "{name}");
                assert_eq!(answer, "yes |", "{name}");
            }
        }
    }
}
