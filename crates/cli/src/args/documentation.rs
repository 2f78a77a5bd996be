//! Every command has help with an example, and `docs/cli.md` describes it with
//! all its options. The commands are clap's own, so that a new one cannot be
//! left out.

use std::{fs, path::Path};

use clap::CommandFactory as _;

use super::*;

/// A visible command that does something: what is typed after `assay`, and its
/// definition.
type Leaf = (String, clap::Command);

fn leaves(command: &clap::Command, path: &str, found: &mut Vec<Leaf>) {
    let shown = |one: &&clap::Command| !one.is_hide_set() && one.get_name() != "help";
    let mut parts = command.get_subcommands().filter(shown).peekable();
    if parts.peek().is_none() {
        found.push((path.to_owned(), command.clone()));
    }
    for part in parts {
        leaves(part, format!("{path} {}", part.get_name()).trim(), found);
    }
}

fn all() -> Vec<Leaf> {
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    found
}

/// The sections of `docs/cli.md` that are about commands: what follows `assay`
/// in the heading, and the text.
fn sections() -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let text = fs::read_to_string(file).unwrap();
    let split = text.split("\n## assay ").skip(1);
    split
        .map(|section| {
            let (heading, text) = section.split_once('\n').unwrap();
            (heading.to_owned(), text.to_owned())
        })
        .collect()
}

/// Whether a heading is of this command.
fn is_of(heading: &str, path: &str) -> bool {
    heading
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[test]
fn every_command_has_help_with_an_example() {
    let top = Cli::command().render_long_help().to_string();
    assert!(top.contains("Example"), "{top}");
    for (path, mut command) in all() {
        let help = command.render_long_help().to_string();
        assert!(help.contains(&format!("assay {path}")), "{help}");
        assert!(help.contains("Example"), "{help}");
        assert!(help.contains("\n  assay "), "{help}");
    }
}

#[test]
fn cli_md_describes_every_command_with_every_option() {
    let sections = sections();
    for (path, command) in all() {
        let own: Vec<&str> = (sections.iter())
            .filter(|(heading, _)| is_of(heading, &path))
            .map(|(_, text)| text.as_str())
            .collect();
        assert!(!own.is_empty(), "no section for `assay {path}`");
        let own = own.concat();
        let options = command.get_arguments().filter(|option| {
            !option.is_hide_set() && !option.is_global_set() && option.get_id() != "help"
        });
        for name in options.filter_map(clap::Arg::get_long) {
            let quoted = [format!("`--{name}`"), format!("`--{name} ")];
            assert!(
                quoted.iter().any(|quoted| own.contains(quoted)),
                "`assay {path}`: --{name} is not described"
            );
        }
    }
}

#[cfg(feature = "lab")]
#[test]
fn cli_md_describes_no_command_that_is_not_there() {
    let all = all();
    for (heading, _) in sections() {
        assert!(
            all.iter().any(|(path, _)| is_of(&heading, path)),
            "`assay {heading}` is no command"
        );
    }
}
