//! `assay replay --end-to-end`: recordings played to a whole server, byte for
//! byte the same each time.

mod junit;
mod report;

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use assay_attest::TrustAnchor;
use assay_engine::profile::Profile;
use assay_lab::replay::{End, Played, add_embedded_root, local_server, play, recorded_profile};
use assay_recording::{
    Comparison, EnrolmentResult, Evidence, Issuance, MAX_RECORDING_BYTES, Recording, Verdict,
};
use data_encoding::HEXLOWER;

use crate::{
    certificates,
    config::Config,
    files, print, print_json,
    replay::{self, ReplayArgs, paths},
    replay_server::observe,
    stop::Stop,
};

/// What became of one file.
struct Row {
    file: String,
    outcome: Outcome,
}

/// What became of a recording.
enum Outcome {
    /// It did not even come to a verdict.
    Failed { error: String },
    /// It is none of ACME's.
    NotApplicable,
    /// It was played to its end.
    Played(Box<Replayed>),
    /// It is no recording.
    Unreadable { error: String },
}

/// A recording that was played to its end, and what it came to.
struct Replayed {
    recorded: Verdict,
    /// How issuance ended, if the recording says it.
    recorded_issuance: Option<Issuance>,
    result: EnrolmentResult,
    comparison: Comparison,
    end: End,
    /// Whether the root that the file brings was trusted.
    own_root: bool,
    /// SHA-256 of all that the server sent, hex.
    transcript_sha256: String,
}

/// What every recording is played with.
struct Player<'a> {
    roots: Vec<TrustAnchor>,
    profile: Profile,
    trust_embedded_roots: bool,
    allow_refused_csr: bool,
    transcripts: Option<&'a Path>,
}

/// The name of the suite in a JUnit report.
const SUITE: &str = "assay replay --end-to-end";

/// `assay replay --end-to-end`
pub async fn run(args: &ReplayArgs) -> Result<(), Stop> {
    let files = paths::expand(&args.paths, args.recursive);
    let named = files.iter().flatten();
    replay::junit::begin(args, named.map(PathBuf::as_path))?;
    let files = match files {
        Ok(files) => files,
        Err(error) => {
            // A job that collects the report finds the error in it.
            write_junit(args, &replay::junit::of_error(SUITE, &format!("{error:#}")))?;
            return Err(Stop::usage(error));
        }
    };
    let player = Player::new(args, &files).map_err(Stop::usage)?;
    let mut rows = Vec::with_capacity(files.len());
    let mut fault = None;
    for file in &files {
        match player.play_file(file).await {
            Ok(outcome) => rows.push(Row {
                file: file.display().to_string(),
                outcome,
            }),
            // What was played until then is told first.
            Err(error) => {
                fault = Some(Stop::fault(error.context(file.display().to_string())));
                break;
            }
        }
    }
    write_junit(args, &junit::report(&rows))?;
    if args.json {
        print_json(&report::json(&rows))?;
    } else {
        print(report::text(&rows))?;
    }
    fault.map_or_else(|| report::end(&rows), Err)
}

/// Writes the JUnit report, if the command line asks for one.
fn write_junit(args: &ReplayArgs, report: &str) -> Result<(), Stop> {
    let Some(path) = &args.junit else {
        return Ok(());
    };
    replay::junit::write_to(path, report)
}

impl<'a> Player<'a> {
    fn new(args: &'a ReplayArgs, files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut roots = vec![TrustAnchor::apple()];
        for path in &args.root {
            roots.push(certificates::load_laboratory_root(path)?);
        }
        let transcripts = args.transcript.as_deref();
        if let Some(dir) = transcripts {
            let mut names = HashSet::new();
            for file in files {
                let name = transcript_name(file);
                ensure!(
                    names.insert(name.clone()),
                    "two recordings would write their transcripts to {}: replay them one after the other",
                    dir.join(name).display()
                );
            }
            fs::create_dir_all(dir)
                .with_context(|| format!("cannot write to {}", dir.display()))?;
        }
        Ok(Self {
            roots,
            // For recordings that do not say what certificates look like.
            profile: Config::parse("", std::iter::empty())?.profile,
            trust_embedded_roots: args.trust_embedded_roots,
            allow_refused_csr: args.allow_refused_csr,
            transcripts,
        })
    }

    /// # Errors
    /// When the transcript cannot be written, or the two ends cannot talk: not
    /// the recording's fault.
    async fn play_file(&self, file: &Path) -> anyhow::Result<Outcome> {
        let read = || -> anyhow::Result<_> {
            let recording =
                Recording::parse(&files::read_input(file, MAX_RECORDING_BYTES as u64)?)?;
            // Apple's root, those of the command line, and the recording's own.
            let mut anchors = self.roots.clone();
            let trusted = self.trust_embedded_roots;
            let own_root = add_embedded_root(&mut anchors, &recording, trusted)?;
            Ok((recording, anchors, own_root))
        };
        let (recording, anchors, own_root) = match read() {
            Ok(read) => read,
            Err(error) => {
                return Ok(Outcome::Unreadable {
                    error: format!("{error:#}"),
                });
            }
        };
        let Evidence::Acme(acme) = &recording.contents().evidence else {
            return Ok(Outcome::NotApplicable);
        };
        let failed = |error: anyhow::Error| Outcome::Failed {
            error: format!("{error:#}"),
        };
        let profile = match recorded_profile(acme) {
            Ok(profile) => profile.unwrap_or_else(|| self.profile.clone()),
            Err(error) => return Ok(failed(error)),
        };
        let server = local_server(recording.time(), acme, anchors, profile, observe).await;
        let server = match server {
            Ok(server) => server,
            Err(error) => return Ok(failed(error)),
        };
        let Played { result, transcript } = play(&server, acme).await?;
        if let Some(dir) = self.transcripts {
            let name = transcript_name(file);
            files::replace(dir, &name, &transcript, 0o666)
                .with_context(|| format!("cannot write {}", dir.join(name).display()))?;
        }
        Ok(match result {
            Ok((result, end)) => Outcome::Played(Box::new(Replayed {
                recorded: recording.contents().claims.verdict.clone(),
                recorded_issuance: acme.issuance.clone(),
                comparison: recording.compare_enrolment(&result, self.allow_refused_csr),
                result,
                end,
                own_root,
                transcript_sha256: HEXLOWER.encode(&assay_engine::sha256(&transcript)),
            })),
            Err(error) => failed(error),
        })
    }
}

/// `NAME.json` becomes `NAME.http`, and any other name gets it appended: no
/// transcript has a recording's name.
fn transcript_name(file: &Path) -> OsString {
    let name = file.file_name().unwrap_or(file.as_os_str()).as_bytes();
    let name = name.strip_suffix(b".json").unwrap_or(name);
    OsString::from_vec([name, b".http"].concat())
}

impl Outcome {
    /// `same`, `different`, `not-applicable` or `unreadable`.
    fn result(&self) -> &'static str {
        match self {
            Self::Played(replayed) if replayed.comparison.is_same() => "same",
            Self::Failed { .. } | Self::Played(_) => "different",
            Self::NotApplicable => "not-applicable",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}
