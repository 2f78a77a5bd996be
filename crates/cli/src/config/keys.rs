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
            "proxy_protocol",
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
        keys: &["keep_ledger", "free_space"],
    },
    Table {
        path: &["health"],
        secured: false,
        keys: &["listen"],
    },
    Table {
        path: &["limits"],
        secured: false,
        keys: &[
            "connections_per_address",
            "provisional_accounts",
            "exempt",
            "dry_run",
            "help",
        ],
    },
    Table {
        path: &["log"],
        secured: false,
        keys: &["access"],
    },
    rate(&["limits", "new_nonce"]),
    rate(&["limits", "new_account"]),
    rate(&["limits", "new_order"]),
    rate(&["limits", "change_account"]),
    rate(&["limits", "failed"]),
    Table {
        path: OVERRIDE,
        secured: false,
        keys: &["network"],
    },
    rate(&["limits", "override", "new_nonce"]),
    rate(&["limits", "override", "new_account"]),
    rate(&["limits", "override", "new_order"]),
    rate(&["limits", "override", "change_account"]),
    rate(&["limits", "override", "failed"]),
];

/// The one list of tables.
const OVERRIDE: &[&str] = &["limits", "override"];

struct Table {
    path: &'static [&'static str],
    secured: bool,
    keys: &'static [&'static str],
}

/// A rate: a table, or a number.
const fn rate(path: &'static [&'static str]) -> Table {
    Table {
        path,
        secured: false,
        keys: RATE,
    }
}

const RATE: &[&str] = &["per_second", "burst"];

impl Table {
    fn is_rate(&self) -> bool {
        self.keys == RATE
    }
}

/// Refuses keys that are not known, naming the nearest that is.
pub fn check(root: &toml::Table) -> anyhow::Result<()> {
    check_under(root, &mut Vec::new())
}

fn check_under<'a>(table: &'a toml::Table, path: &mut Vec<&'a str>) -> anyhow::Result<()> {
    let mut known: Vec<&str> = TABLES
        .iter()
        .filter(|table| table.path.starts_with(path))
        .flat_map(|table| match table.path.get(path.len()) {
            Some(next) => std::slice::from_ref(next),
            None => table.keys,
        })
        .copied()
        .collect();
    // A table within another stands next to its own tables.
    known.dedup();
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
        let is_rate = TABLES
            .iter()
            .any(|table| table.path == path && table.is_rate());
        match (value, is_table) {
            (toml::Value::Array(list), true) if path == OVERRIDE => {
                for entry in list {
                    match entry {
                        toml::Value::Table(inner) => check_under(inner, path)?,
                        _ => bail!("{full} must be a list of tables: write [[{full}]]"),
                    }
                }
            }
            (_, true) if path == OVERRIDE => {
                bail!("{full} must be a list of tables: write [[{full}]]")
            }
            (toml::Value::Table(inner), true) => check_under(inner, path)?,
            // 0, for no limit.
            (toml::Value::Integer(_), true) if is_rate => {}
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
            if let Some((key, path)) = table.path.split_last()
                && (table.is_rate() || table.path == OVERRIDE)
                && parts == table.path
                && !path.starts_with(OVERRIDE)
            {
                return Some((table, path, *key));
            }
            let (key, path) = parts.split_last()?;
            let key = table.keys.iter().find(|known| *known == key)?;
            let is_named = path == table.path && !table.path.starts_with(OVERRIDE);
            is_named.then_some((table, table.path, *key))
        });
        let Some((table, path, key)) = found else {
            bail!("the environment variable {name} names no key of the configuration");
        };
        if table.secured {
            bail!(
                "the environment variable {name} would change {}.{key}, on which security stands: set it in assay.toml",
                table.path.join(".")
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
        target.insert(key.to_owned(), value(&text));
    }
    Ok(())
}

/// A number, a truth value, a list or a table where the text is one in TOML;
/// otherwise the text itself.
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
