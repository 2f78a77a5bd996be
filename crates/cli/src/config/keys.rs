//! Which keys there are, and how the environment overrides them.

use anyhow::bail;

/// Every table and its keys. A table in `secured` weakens security when it
/// changes, so that no environment variable reaches it.
const TABLES: &[Table] = &[
    Table {
        path: &["server"],
        secured: false,
        keys: &[
            "base_url",
            "listen",
            "tls",
            "tls_certificate",
            "tls_key",
            "trusted_proxies",
            "max_connections",
        ],
    },
    Table {
        path: &["acme"],
        secured: false,
        keys: &["terms_of_service", "website", "order_lifetime"],
    },
    Table {
        path: &["attestation", "apple"],
        secured: true,
        keys: &["laboratory_roots", "assigners"],
    },
    Table {
        path: &["admission"],
        secured: true,
        keys: &["mode", "bind", "devices"],
    },
    Table {
        path: &["profile", "default"],
        secured: false,
        keys: &["subject", "san", "lifetime", "csr_names"],
    },
    // It keeps personal data.
    Table {
        path: &["recording"],
        secured: true,
        keys: &["keep", "directory", "retention_days"],
    },
    // A wrong clock makes expired evidence good.
    Table {
        path: &["time"],
        secured: true,
        keys: &["max_jump", "max_rest"],
    },
    Table {
        path: &["store"],
        secured: false,
        keys: &["keep_ledger"],
    },
    Table {
        path: &["health"],
        secured: false,
        keys: &["listen"],
    },
];

struct Table {
    path: &'static [&'static str],
    secured: bool,
    keys: &'static [&'static str],
}

/// Refuses keys that are not known, naming the nearest that is.
pub fn check(root: &toml::Table) -> anyhow::Result<()> {
    check_under(root, &mut Vec::new())
}

fn check_under<'a>(table: &'a toml::Table, path: &mut Vec<&'a str>) -> anyhow::Result<()> {
    let known: Vec<&str> = TABLES
        .iter()
        .filter(|table| table.path.starts_with(path))
        .flat_map(|table| match table.path.get(path.len()) {
            Some(next) => std::slice::from_ref(next),
            None => table.keys,
        })
        .copied()
        .collect();
    for (key, value) in table {
        let full = [path.as_slice(), &[key]].concat().join(".");
        if !known.contains(&key.as_str()) {
            let place = if path.is_empty() {
                "at the top".to_owned()
            } else {
                format!("in [{}]", path.join("."))
            };
            match nearest(key, &known) {
                Some(near) => bail!("unknown key {full:?} {place}: did you mean {near:?}?"),
                None => bail!(
                    "unknown key {full:?} {place}: known are {}",
                    known.join(", ")
                ),
            }
        }
        path.push(key);
        let is_table = TABLES.iter().any(|table| table.path.starts_with(path));
        match (value, is_table) {
            (toml::Value::Table(inner), true) => check_under(inner, path)?,
            (_, true) => bail!("{full} must be a table: write [{full}]"),
            (toml::Value::Table(_), false) => bail!("{full} must not be a table"),
            (_, false) => {}
        }
        path.pop();
    }
    Ok(())
}

/// What a variable of the form `ASSAY_SECTION__KEY` names: `SECTION__KEY`.
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
        let parts: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        let found = TABLES.iter().find_map(|table| {
            let (key, path) = parts.split_last()?;
            let key = table.keys.iter().find(|known| *known == key)?;
            (path == table.path).then_some((table, *key))
        });
        let Some((table, key)) = found else {
            bail!("the environment variable {name} names no key of the configuration");
        };
        if table.secured {
            bail!(
                "the environment variable {name} would change {}.{key}, on which security stands: set it in assay.toml",
                table.path.join(".")
            );
        }
        let mut target = &mut *root;
        for step in table.path {
            let entry = target
                .entry(*step)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            match entry {
                toml::Value::Table(inner) => target = inner,
                _ => bail!("{step} must be a table"),
            }
        }
        target.insert(key.to_owned(), value(&text));
    }
    Ok(())
}

/// A number, a truth value or a list where the text is one in TOML; otherwise
/// the text itself.
fn value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    match parsed {
        Some(
            value @ (toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Array(_)),
        ) => value,
        _ => toml::Value::String(text.to_owned()),
    }
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The edit distance of Levenshtein.
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
