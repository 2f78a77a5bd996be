//! Every check by itself: what evidence is besides the fault for which it is
//! refused. Evidence that expired in August is usually genuine, and evidence
//! for another challenge too; a verdict, which ends at the first failed check,
//! cannot say so.

use crate::{
    anchor::TrustAnchor,
    apple::{
        freshness::{self, SentNonce},
        properties::{self, Properties},
    },
    check::Check,
    faults::during,
    object::{self, Statement},
    reason::{Finding, Refusal},
    verifier::{self, Verifier},
    x509::{
        certificate::Certificate,
        chain::{self, place},
        path,
    },
};

/// What became of one check, asked for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examined {
    /// It found something.
    Failed(Refusal),
    /// Only the caller could answer it, and gave nothing to compare with.
    NotAsked,
    /// What it looks at is not there, because of an earlier fault.
    NotReached,
    /// It found nothing.
    Passed,
}

/// All checks of a piece of evidence. **No verdict**: a certificate is issued on
/// the word of [`Verifier::verify_object`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    checks: Vec<(Check, Examined)>,
    statement: Option<SignedStatement>,
}

/// What the leaf of genuine evidence says, though the evidence may be stale or
/// out of its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedStatement {
    /// The serial number; `None` where it is not attested.
    pub serial: Option<String>,
    /// The UDID; `None` where it is not attested.
    pub udid: Option<String>,
    /// Start of the leaf's validity, seconds since the Unix epoch.
    pub not_before: u64,
    /// End of the leaf's validity, seconds since the Unix epoch.
    pub not_after: u64,
    /// The name of the root that vouched.
    pub root_name: String,
    /// The SHA-256 of that root's certificate.
    pub root_sha256: [u8; 32],
    /// Whether that root is any other than Apple's.
    pub laboratory: bool,
}

impl Examination {
    /// Every check in the order of [`Check`], and what became of it.
    #[must_use]
    pub fn checks(&self) -> &[(Check, Examined)] {
        &self.checks
    }

    /// What the leaf says, where every check passed but `freshness` and
    /// `validity`: the trusted root did sign it.
    #[must_use]
    pub fn statement(&self) -> Option<&SignedStatement> {
        self.statement.as_ref()
    }

    /// The first finding of any check but these.
    #[must_use]
    pub fn refusal_besides(&self, checks: &[Check]) -> Option<&Refusal> {
        self.checks
            .iter()
            .find_map(|(check, examined)| match examined {
                Examined::Failed(refusal) if !checks.contains(check) => Some(refusal),
                _ => None,
            })
    }

    fn unreadable(refusal: Refusal) -> Self {
        let mut notes = Notes::default();
        notes.note(refusal.check, Err::<(), _>(refusal));
        Self {
            checks: notes.0,
            statement: None,
        }
        .completed()
    }

    /// With every check that was not reached.
    fn completed(mut self) -> Self {
        for check in Check::ALL {
            if self.checks.iter().all(|(seen, _)| seen != check) {
                self.checks.push((*check, Examined::NotReached));
            }
        }
        self.checks.sort_by_key(|(check, _)| *check);
        self
    }
}

/// What became of the checks so far.
#[derive(Default)]
struct Notes(Vec<(Check, Examined)>);

impl Notes {
    /// Notes a check's result, and passes on what it found out.
    fn note<T>(&mut self, check: Check, result: Result<T, Refusal>) -> Option<T> {
        let (examined, value) = match result {
            Ok(value) => (Examined::Passed, Some(value)),
            Err(refusal) => (Examined::Failed(refusal), None),
        };
        self.0.push((check, examined));
        value
    }

    fn passed_all_but(&self, checks: &[Check]) -> bool {
        let passed = |check: &Check| self.0.contains(&(*check, Examined::Passed));
        let mut all = Check::ALL.iter();
        all.all(|check| checks.contains(check) || passed(check))
    }
}

impl Verifier {
    /// Examines an attestation object: [`verify_object`](Self::verify_object)
    /// with every check asked for itself. Without `freshness` the code is only
    /// held to its length.
    #[must_use]
    pub fn examine_object(
        &self,
        object: &[u8],
        freshness: Option<&[u8; 32]>,
        now: u64,
    ) -> Examination {
        let x5c = match object::read(object) {
            Ok(Statement::Apple(x5c)) => x5c,
            Err(finding) => return Examination::unreadable(finding.during(Check::Object)),
        };
        self.examine_chain(
            &x5c,
            |code| match freshness {
                Some(freshness) => freshness::check_challenge(code, freshness).map(|()| true),
                None => freshness::check_length(code).map(|()| false),
            },
            now,
        )
    }

    /// Examines a DeviceInformation answer in the same way, as
    /// [`verify_device_information`](Self::verify_device_information) judges it.
    #[must_use]
    pub fn examine_device_information(
        &self,
        certificates: &[&[u8]],
        nonces: Option<&[SentNonce]>,
        now: u64,
    ) -> Examination {
        if let Err(finding) = object::check_count(certificates.len() as u64) {
            return Examination::unreadable(finding.during(Check::Object));
        }
        self.examine_chain(
            certificates,
            |code| match nonces {
                Some(nonces) => freshness::check_nonces(code, nonces, now).map(|_| true),
                None => Ok(false),
            },
            now,
        )
    }

    /// `freshness` says of a code that is good enough whether it was compared.
    fn examine_chain(
        &self,
        x5c: &[&[u8]],
        freshness: impl FnOnce(&[u8]) -> Result<bool, Finding>,
        now: u64,
    ) -> Examination {
        let mut notes = Notes::default();
        notes.note(Check::Object, Ok(()));
        let (below, sent) = self.without_root(x5c);
        let certificates = chain::check_sizes(x5c)
            .and_then(|()| chain::parse(below))
            .map_err(during(Check::Certificates));
        let certificates = notes.note(Check::Certificates, certificates);
        let complete = match below {
            [_, _, ..] => self.check_no_root(below),
            _ => Err(verifier::incomplete()),
        };
        notes.note(Check::Chain, complete.map_err(during(Check::Chain)));

        // A leaf can be read beside an issuer that cannot.
        let alone;
        let leaf = match &certificates {
            Some(certificates) => certificates.first(),
            None => {
                alone = below.first().and_then(|der| Certificate::read(der).ok());
                alone.as_ref()
            }
        };
        let properties = leaf.and_then(|leaf| examine_leaf(leaf, freshness, &mut notes));
        let Some(certificates) = certificates.filter(|all| !all.is_empty()) else {
            return Examination {
                checks: notes.0,
                statement: None,
            }
            .completed();
        };
        let validity = chain::check_validity(&certificates, now);
        notes.note(Check::Validity, validity.map_err(during(Check::Validity)));
        let path = chain::check_path(&certificates, properties::is_understood);
        notes.note(Check::Path, path.map_err(during(Check::Path)));
        let root = self.examine_signatures(&certificates, sent, now, &mut notes);
        let genuine = notes.passed_all_but(&[Check::Freshness, Check::Validity]);
        let statement = (root.zip(properties).zip(certificates.first()))
            .filter(|_| genuine)
            .map(|((root, properties), leaf)| SignedStatement {
                serial: properties.serial,
                udid: properties.udid,
                not_before: leaf.not_before,
                not_after: leaf.not_after,
                root_name: root.name().to_owned(),
                root_sha256: *root.sha256(),
                laboratory: root.is_laboratory(),
            });
        Examination {
            checks: notes.0,
            statement,
        }
        .completed()
    }

    /// Anchor and signatures. A root that may not vouch (it has expired, say)
    /// still says whether it signed; without any root of the name, the
    /// signatures below the topmost one are verified, and can only fail.
    fn examine_signatures(
        &self,
        chain: &[Certificate<'_>],
        sent: Option<&TrustAnchor>,
        now: u64,
        notes: &mut Notes,
    ) -> Option<&TrustAnchor> {
        let top = chain.last()?;
        let anchors = self
            .check_anchors(top, chain.len() - 1, sent, now)
            .map_err(during(Check::Anchor));
        let anchors =
            (notes.note(Check::Anchor, anchors)).unwrap_or_else(|| self.named(top, sent).collect());
        let algorithms: Vec<_> = chain
            .iter()
            .map(path::signature_algorithm)
            .collect::<Result<_, _>>()
            .ok()?;
        let during = |finding: Finding| finding.during(Check::Signatures);
        if !anchors.is_empty() {
            let root = self.check_signatures(chain, &algorithms, &anchors);
            return notes.note(Check::Signatures, root.map_err(during));
        }
        let below = chain.windows(2).zip(&algorithms).enumerate();
        for (index, (pair, algorithm)) in below {
            let verified = self.check_signature(&pair[0], *algorithm, pair[1].spki, index);
            if let Err(finding) = verified {
                return notes.note(Check::Signatures, Err(during(finding)));
            }
        }
        None
    }
}

/// Properties, key and freshness of a leaf.
fn examine_leaf(
    leaf: &Certificate<'_>,
    freshness: impl FnOnce(&[u8]) -> Result<bool, Finding>,
    notes: &mut Notes,
) -> Option<Properties> {
    let properties = Properties::read(&leaf.extensions)
        .map_err(|finding| finding.at(place(0)).during(Check::Properties));
    let properties = notes.note(Check::Properties, properties);
    let key = chain::attested_key(leaf).map_err(during(Check::Key));
    notes.note(Check::Key, key);
    let compared = freshness::code(leaf)
        .and_then(freshness)
        .map_err(|finding| finding.at(place(0)).during(Check::Freshness));
    if notes.note(Check::Freshness, compared) == Some(false) {
        notes.0.retain(|(check, _)| *check != Check::Freshness);
        notes.0.push((Check::Freshness, Examined::NotAsked));
    }
    properties
}
