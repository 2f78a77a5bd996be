//! `assay replay --end-to-end`: recordings played to a whole server, byte for
//! byte the same each time.

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
use assay_lab::replay::{End, Played, add_embedded_root, local_server, play};
use assay_recording::{Evidence, MAX_RECORDING_BYTES, Recording, Verdict};
use data_encoding::HEXLOWER;

use crate::{
    certificates,
    config::Config,
    files, print, print_json,
    replay::{ReplayArgs, paths},
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
    Played {
        recorded: Verdict,
        verdict: Verdict,
        end: End,
        /// Whether the root that the file brings was trusted.
        own_root: bool,
        /// SHA-256 of all that the server sent, hex.
        transcript_sha256: String,
    },
    /// It is no recording.
    Unreadable { error: String },
}

/// What every recording is played with.
struct Player<'a> {
    roots: Vec<TrustAnchor>,
    profile: Profile,
    trust_embedded_roots: bool,
    transcripts: Option<&'a Path>,
}

/// `assay replay --end-to-end`
pub async fn run(args: &ReplayArgs) -> Result<(), Stop> {
    let files = paths::expand(&args.paths, args.recursive).map_err(Stop::usage)?;
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
    if args.json {
        print_json(&report::json(&rows))?;
    } else {
        print(report::text(&rows))?;
    }
    fault.map_or_else(|| report::end(&rows), Err)
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
            // What certificates look like by default; a recording does not say.
            profile: Config::parse("", std::iter::empty())?.profile,
            trust_embedded_roots: args.trust_embedded_roots,
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
        let time = recording.time();
        let contents = recording.into_contents();
        let Evidence::Acme(acme) = contents.evidence else {
            return Ok(Outcome::NotApplicable);
        };
        let failed = |error: anyhow::Error| Outcome::Failed {
            error: format!("{error:#}"),
        };
        let server = local_server(time, &acme, anchors, self.profile.clone(), observe).await;
        let server = match server {
            Ok(server) => server,
            Err(error) => return Ok(failed(error)),
        };
        let Played { result, transcript } = play(&server, &acme).await?;
        if let Some(dir) = self.transcripts {
            let name = transcript_name(file);
            files::replace(dir, &name, &transcript, 0o666)
                .with_context(|| format!("cannot write {}", dir.join(name).display()))?;
        }
        Ok(match result {
            Ok((verdict, end)) => Outcome::Played {
                recorded: contents.claims.verdict,
                verdict,
                end,
                own_root,
                transcript_sha256: HEXLOWER.encode(&assay_engine::sha256(&transcript)),
            },
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
            Self::Played {
                recorded, verdict, ..
            } if recorded == verdict => "same",
            Self::Failed { .. } | Self::Played { .. } => "different",
            Self::NotApplicable => "not-applicable",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}
