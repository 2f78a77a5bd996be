//! Parses `ASSAY_LOG`, which selects the lines to log.
//!
//! The syntax is that of `RUST_LOG`. An invalid directive is an error,
//! because a filter that matches nothing writes no log. No filter silences
//! errors.

use std::str::FromStr as _;

use anyhow::{Context as _, bail};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The targets of this program.
const OWN: [&str; 10] = [
    "assay",
    "assay_attest",
    "assay_ca",
    "assay_engine",
    "assay_jws",
    "assay_lab",
    "assay_proto",
    "assay_server",
    "assay_simulator",
    "assay_store",
];

/// The libraries that log.
const LIBRARIES: [&str; 12] = [
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "sled",
    "tokio",
    "tokio_rustls",
    "tokio_util",
    "tower",
    "want",
];

/// A parsed filter.
pub struct Filter {
    pub filter: EnvFilter,
    /// Directives for unknown targets. They may be valid, but are probably
    /// mistakes.
    pub unknown: Vec<String>,
}

/// A directive of the filter.
struct Directive<'a> {
    /// Without `[span{field=value}]`.
    target: &'a str,
    /// Everything before the level.
    scope: &'a str,
    level: Option<&'a str>,
}

/// Parses a filter, which may be empty.
///
/// # Errors
/// A directive is neither a level nor a part of this program, or its level is
/// invalid.
pub fn parse(text: &str, default: &str) -> anyhow::Result<Filter> {
    let mut kept = Vec::new();
    let mut unknown = Vec::new();
    let mut has_default = false;
    let text = if text.trim().is_empty() {
        default
    } else {
        text
    };
    for part in text.split(',').map(str::trim) {
        if part.is_empty() {
            continue;
        }
        let Directive {
            target,
            scope,
            level,
        } = split(part)?;
        if !target.is_empty() && !is_known(target) {
            unknown.push(part.to_owned());
        }
        has_default |= scope.is_empty();
        // Errors are always logged: `off` means `error`.
        let level = match level {
            Some(level) if is_off(level) => "error",
            Some(level) => level,
            None => "trace",
        };
        kept.push(match scope {
            "" => level.to_owned(),
            scope => format!("{scope}={level}"),
        });
    }
    if !has_default {
        kept.push("error".to_owned());
    }
    // sled logs whole pages, also from destructors of ending threads, where
    // logging aborts the process.
    kept.push("sled=off".to_owned());
    let filter = EnvFilter::try_new(kept.join(","))
        .with_context(|| format!("ASSAY_LOG is {text:?}, which is not a valid filter"))?;
    Ok(Filter { filter, unknown })
}

fn split(part: &str) -> anyhow::Result<Directive<'_>> {
    let (scope, level) = match part.rfind(']') {
        Some(end) => match &part[end + 1..] {
            "" => (part, None),
            rest => (&part[..=end], rest.strip_prefix('=').or(Some(rest))),
        },
        None => match part.split_once('=') {
            Some((scope, level)) => (scope, Some(level)),
            None if is_level(part) => ("", Some(part)),
            None if is_own(part) => (part, None),
            None => bail!(
                "ASSAY_LOG: {part:?} is neither a level ({}) nor a part of this program ({}){}; for another target write {part}=LEVEL",
                LEVELS.join(", "),
                OWN.join(", "),
                suggestion(part),
            ),
        },
    };
    if let Some(level) = level
        && !is_level(level)
    {
        bail!(
            "ASSAY_LOG: in {part:?}, {level:?} is not a level: write one of {}{}",
            LEVELS.join(", "),
            suggestion(level),
        );
    }
    let target = scope.split('[').next().unwrap_or_default();
    Ok(Directive {
        target,
        scope,
        level,
    })
}

fn is_level(text: &str) -> bool {
    // The library accepts an empty text as a level.
    !text.is_empty() && LevelFilter::from_str(text).is_ok()
}

fn is_off(level: &str) -> bool {
    LevelFilter::from_str(level).is_ok_and(|level| level == LevelFilter::OFF)
}

fn is_own(target: &str) -> bool {
    OWN.contains(&crate_of(target))
}

fn is_known(target: &str) -> bool {
    is_own(target) || LIBRARIES.contains(&crate_of(target))
}

fn crate_of(target: &str) -> &str {
    target.split("::").next().unwrap_or_default()
}

/// Suggests the level that was probably meant: `warn` for `warning`.
fn suggestion(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    let meant = LEVELS.iter().find(|level| {
        word.len() > 1 && (word.starts_with(**level) || level.starts_with(word.as_str()))
    });
    meant.map_or_else(String::new, |level| format!(" (did you mean {level:?}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let read = parse(text, "info");
        format!("{:#}", read.map(|_| ()).unwrap_err())
    }

    /// The directives of the parsed filter, in the library's order.
    fn directives(text: &str) -> String {
        parse(text, "info").unwrap().filter.to_string()
    }

    #[test]
    fn what_is_no_level_and_no_target_is_an_error_that_names_what_is_allowed() {
        let said = error("warning");
        assert!(
            said.contains("off, error, warn, info, debug, trace"),
            "{said}"
        );
        assert!(said.contains("did you mean \"warn\"?"), "{said}");
        assert!(error("err").contains("did you mean \"error\"?"));
        assert!(error("assay=warning").contains("\"warning\" is not a level"));
        for bad in [
            "assay=",
            "verbose",
            "h2",
            "[request]=loud",
            "[request]x",
            "a=b=c",
            "=info,x",
        ] {
            assert!(error(bad).starts_with("ASSAY_LOG"), "{bad}");
        }
    }

    #[test]
    fn no_filter_silences_errors() {
        for (text, expected) in [
            ("off", "sled=off,error"),
            ("0", "sled=off,error"),
            ("OFF", "sled=off,error"),
            ("assay=off", "assay=error,sled=off,error"),
            ("assay_store=debug", "assay_store=debug,sled=off,error"),
            ("assay_engine", "assay_engine=trace,sled=off,error"),
            ("sled=trace", "sled=off,error"),
            ("", "sled=off,info"),
            (" , ", "sled=off,error"),
            ("warn,hyper=debug", "hyper=debug,sled=off,warn"),
        ] {
            let read = directives(text);
            assert_eq!(read, expected, "{text:?}");
        }
        assert!(directives("assay[request]=off").contains("=error"));
    }

    #[test]
    fn a_target_of_another_program_is_reported() {
        let unknown = |text| parse(text, "info").unwrap().unknown;
        assert_eq!(
            unknown("info,asay=debug,h2=warn,assay::serve=debug"),
            ["asay=debug"]
        );
        assert!(unknown("[request]=debug").is_empty());
    }
}
