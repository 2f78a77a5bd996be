//! What to do about evidence whose root is not trusted: everyone's first failure.

use std::{collections::BTreeMap, fmt};

use assay_attest::{Reason, TrustAnchor, UnverifiedCertificate, UnverifiedObject};
use assay_recording::{Answer, Evidence, Finding, Recording};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// A root certificate as people name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RootName {
    /// The name in the certificate; for a trusted root from a file, also that of
    /// the file.
    pub name: String,
    pub sha256: String,
}

/// What is known of the root that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Untrusted {
    /// The file embeds the root that vouches.
    Embedded(RootName),
    /// The file embeds a root, and it does not vouch for this evidence.
    EmbeddedOther(RootName),
    /// The file embeds a certificate that cannot be a root.
    EmbeddedUnusable(String),
    /// The file embeds none.
    NotEmbedded {
        /// The root's name, as the topmost certificate names its issuer.
        issuer: String,
        /// The root that vouched when it was recorded, as the file claims.
        recorded: Option<String>,
    },
}

/// Advice about a root that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Advice {
    pub untrusted: Untrusted,
    /// Trusted roots of the same name.
    pub same_name: Vec<RootName>,
}

/// Whether a finding can mean that the right root is not trusted.
pub fn concerns(finding: &Finding) -> bool {
    [
        Reason::BadSignature,
        Reason::KeyIdentifierMismatch,
        Reason::UnknownAnchor,
    ]
    .iter()
    .any(|reason| finding.reason == reason.as_str())
}

impl Advice {
    /// Advice on a recording that is refused with `finding` under `anchors`.
    /// `under_embedded` judges it under its own root, and returns the finding.
    /// `None` if no root is missing: a signature is wrong under any.
    pub fn on(
        recording: &Recording,
        finding: &Finding,
        anchors: &[TrustAnchor],
        under_embedded: impl FnOnce(&[u8]) -> Result<Option<Finding>, String>,
    ) -> Option<Self> {
        let is_unknown = finding.reason == Reason::UnknownAnchor.as_str();
        let trusted = |root: &[u8]| anchors.iter().any(|anchor| anchor.der() == root);
        let (untrusted, subject) = match recording.embedded_root().filter(|root| !trusted(root)) {
            Some(root) => {
                let subject = subject(root)?;
                let named = RootName {
                    name: subject.clone(),
                    sha256: sha256(root),
                };
                let untrusted = match under_embedded(root) {
                    Err(error) => Untrusted::EmbeddedUnusable(error),
                    Ok(other) if vouches(recording, finding, other.as_ref()) => {
                        Untrusted::Embedded(named)
                    }
                    Ok(_) => Untrusted::EmbeddedOther(named),
                };
                (untrusted, subject)
            }
            None => {
                let issuer = issuer(recording)?;
                let claims = &recording.contents().claims;
                let recorded = claims.root_sha256.clone();
                // The root that vouched is trusted: the evidence is another.
                let is_trusted = |sha256: &String| {
                    let mut anchors = anchors.iter();
                    anchors.any(|anchor| HEXLOWER.encode(anchor.sha256()) == *sha256)
                };
                if recorded.as_ref().is_some_and(is_trusted) {
                    return None;
                }
                let untrusted = Untrusted::NotEmbedded {
                    issuer: issuer.clone(),
                    recorded,
                };
                (untrusted, issuer)
            }
        };
        let same_name = same_name(anchors, &subject);
        let concerns_a_root = match untrusted {
            Untrusted::Embedded(_) => true,
            // Where a root of that name is trusted, a wrong signature is a wrong
            // signature, unless the recording says that another root vouched.
            Untrusted::NotEmbedded {
                recorded: Some(_), ..
            } => is_unknown || !same_name.is_empty(),
            _ => is_unknown,
        };
        concerns_a_root.then_some(Self {
            untrusted,
            same_name,
        })
    }

    /// Whether another verdict would be reached if the embedded root were
    /// trusted.
    pub fn is_embedded(&self) -> bool {
        matches!(self.untrusted, Untrusted::Embedded(_))
    }

    /// What is known, without what to do.
    pub fn fact(&self) -> String {
        let fact = match &self.untrusted {
            Untrusted::Embedded(root) => format!("this file embeds root {root}"),
            Untrusted::EmbeddedOther(root) => {
                format!("this file embeds root {root}, which does not vouch for this evidence")
            }
            Untrusted::EmbeddedUnusable(error) => {
                format!("this file embeds a certificate that cannot be a root: {error}")
            }
            Untrusted::NotEmbedded { issuer, recorded } => {
                let recorded = recorded.as_ref().map(|sha256| {
                    format!("; when it was recorded, the root with SHA-256 {sha256} vouched")
                });
                format!(
                    "this file embeds no root, and its evidence names the root \"{issuer}\"{}",
                    recorded.unwrap_or_default()
                )
            }
        };
        match self.same_name.as_slice() {
            [] => fact,
            roots => {
                let roots: Vec<_> = roots.iter().map(ToString::to_string).collect();
                let roots = roots.join(", ");
                format!("another root with the same name is trusted: {roots}; {fact}")
            }
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self.untrusted {
            Untrusted::Embedded(_) => "pass --root FILE or --trust-embedded-roots",
            _ => "pass --root FILE with the root certificate of the attestation authority",
        }
    }
}

/// Both in one line.
impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fact(), self.remedy())
    }
}

impl fmt::Display for RootName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SHA-256 {})", self.name, self.sha256)
    }
}

/// The advice for all, once for each root: a line each.
pub fn summary<'a>(advice: impl Iterator<Item = &'a Advice>) -> Vec<String> {
    let mut groups: BTreeMap<&Advice, usize> = BTreeMap::new();
    for one in advice {
        *groups.entry(one).or_default() += 1;
    }
    groups
        .into_iter()
        .map(|(advice, count)| {
            let recordings = match count {
                1 => "1 recording differs".to_owned(),
                _ => format!("{count} recordings differ"),
            };
            let embedded = match advice.is_embedded() {
                true => {
                    " With --trust-embedded-roots a recording proves only itself: the author of the file can have made the root, too."
                }
                false => "",
            };
            format!("ROOTS: {recordings} because a root is not trusted: {advice}.{embedded}")
        })
        .collect()
}

/// Whether the embedded root is the right one: evidence verifies under it, is
/// refused for what no root decides, or as the recording says.
fn vouches(recording: &Recording, now: &Finding, under_it: Option<&Finding>) -> bool {
    let recorded = recording.contents().claims.verdict.reason.as_deref();
    under_it.is_none_or(|finding| {
        !concerns(finding) || (finding != now && Some(finding.reason) == recorded)
    })
}

fn same_name(anchors: &[TrustAnchor], name: &str) -> Vec<RootName> {
    let named = anchors.iter().filter(|anchor| {
        let subject = subject(anchor.der());
        subject.is_some_and(|subject| subject == name)
    });
    named
        .map(|anchor| RootName {
            name: match anchor.is_laboratory() {
                true => format!("{name} of {}", anchor.name()),
                false => name.to_owned(),
            },
            sha256: HEXLOWER.encode(anchor.sha256()),
        })
        .collect()
}

/// The issuer that the topmost certificate names.
fn issuer(recording: &Recording) -> Option<String> {
    let top = match &recording.contents().evidence {
        Evidence::Acme(acme) => {
            let Answer::Object(object) = &acme.answer else {
                return None;
            };
            UnverifiedObject::decode(object)
                .ok()?
                .certificates
                .pop()?
                .ok()?
        }
        Evidence::DeviceInformation(answer) => {
            UnverifiedCertificate::decode(answer.certificates.last()?).ok()?
        }
    };
    Some(top.issuer)
}

fn subject(der: &[u8]) -> Option<String> {
    Some(UnverifiedCertificate::sketch(der).ok()?.subject)
}

fn sha256(der: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(der))
}
