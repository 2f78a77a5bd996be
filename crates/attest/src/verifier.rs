//! The verifier: evidence in, a device or the one reason against it out.

use crate::{
    anchor::TrustAnchor,
    apple::{
        freshness::{self, SentNonce},
        properties::{self, Properties},
    },
    check::Check,
    device::{AttestedDevice, DeviceInformation},
    faults::during,
    object::{self, Statement},
    reason::{Finding, Reason, Refusal},
    x509::{
        cache::VerifiedIntermediates,
        certificate::Certificate,
        chain::{self, place},
        path,
        signature::{SignatureAlgorithm, SignatureVerifier},
    },
};

/// Verifies evidence under a fixed set of trust anchors.
///
/// It remembers intermediates whose signature verified (a bounded number,
/// successes only); a change of roots is a new `Verifier`, and an empty memory.
pub struct Verifier {
    anchors: Vec<TrustAnchor>,
    backend: Box<dyn SignatureVerifier>,
    intermediates: VerifiedIntermediates,
}

impl Verifier {
    /// A verifier that trusts these roots and no others.
    #[must_use]
    pub fn new(anchors: Vec<TrustAnchor>, backend: Box<dyn SignatureVerifier>) -> Self {
        Self {
            anchors,
            backend,
            intermediates: VerifiedIntermediates::default(),
        }
    }

    /// The roots that are trusted, to be asked whether the one of an earlier
    /// verdict still is.
    #[must_use]
    pub fn anchors(&self) -> &[TrustAnchor] {
        &self.anchors
    }

    /// Verifies the attestation object of a `device-attest-01` response:
    /// format "apple", Managed Device Attestation.
    ///
    /// `freshness` is what the leaf's freshness code must be: for ACME the
    /// SHA-256 of the challenge token's ASCII (draft-ietf-acme-device-attest
    /// lets formats sign the token alone; Apple's does). `now` in seconds
    /// since the Unix epoch.
    ///
    /// # Errors
    /// The first failed check, in the order that the crate's documentation
    /// fixes: shape, freshness, validity, path, signatures.
    pub fn verify_object(
        &self,
        object: &[u8],
        freshness: &[u8; 32],
        now: u64,
    ) -> Result<AttestedDevice, Refusal> {
        let Statement::Apple(x5c) = object::read(object).map_err(during(Check::Object))?;
        let (device, ()) = self.verify_chain(
            &x5c,
            |code| freshness::check_challenge(code, freshness),
            now,
        )?;
        Ok(device)
    }

    /// Verifies the `DevicePropertiesAttestation` of a DeviceInformation
    /// answer (Apple's schema `information.device.yaml`): `certificates` are
    /// the DER of its array's items, the leaf first.
    ///
    /// `nonces` are the ones that were sent to this device, in any order, and
    /// to no other: the leaf's freshness code must be one of them. `now` in
    /// seconds since the Unix epoch.
    ///
    /// # Errors
    /// The first failed check, in the same order as for an object.
    pub fn verify_device_information(
        &self,
        certificates: &[&[u8]],
        nonces: &[SentNonce],
        now: u64,
    ) -> Result<DeviceInformation, Refusal> {
        object::check_count(certificates.len() as u64).map_err(during(Check::Object))?;
        let (device, (freshness, nonce_sent)) = self.verify_chain(
            certificates,
            |code| freshness::check_nonces(code, nonces, now),
            now,
        )?;
        Ok(DeviceInformation {
            device,
            freshness,
            nonce_sent,
        })
    }

    /// Every check behind the shape of the evidence, in the order of
    /// [`Check`]. `freshness` judges the leaf's freshness code.
    fn verify_chain<F>(
        &self,
        x5c: &[&[u8]],
        freshness: impl FnOnce(&[u8]) -> Result<F, Finding>,
        now: u64,
    ) -> Result<(AttestedDevice, F), Refusal> {
        chain::check_sizes(x5c).map_err(during(Check::Certificates))?;
        let (x5c, sent) = self.without_root(x5c);
        let chain = chain::parse(x5c).map_err(during(Check::Certificates))?;
        let [leaf, .., top] = chain.as_slice() else {
            return Err(incomplete().during(Check::Chain));
        };
        self.check_no_root(x5c).map_err(during(Check::Chain))?;
        let properties = Properties::read(&leaf.extensions)
            .map_err(|finding| finding.at(place(0)).during(Check::Properties))?;
        let key = chain::attested_key(leaf).map_err(during(Check::Key))?;
        let freshness = freshness::code(leaf)
            .and_then(freshness)
            .map_err(|finding| finding.at(place(0)).during(Check::Freshness))?;
        chain::check_validity(&chain, now).map_err(during(Check::Validity))?;
        let algorithms =
            chain::check_path(&chain, properties::is_understood).map_err(during(Check::Path))?;
        let anchors = self
            .check_anchors(top, chain.len() - 1, sent, now)
            .map_err(during(Check::Anchor))?;
        let anchor = self
            .check_signatures(&chain, &algorithms, &anchors)
            .map_err(during(Check::Signatures))?;
        Ok((
            AttestedDevice::new(leaf, properties, key, anchor),
            freshness,
        ))
    }

    /// The chain without a trailing copy of an anchor, which says nothing new
    /// if the chain does end at that anchor.
    pub(crate) fn without_root<'x, 'd>(
        &self,
        x5c: &'x [&'d [u8]],
    ) -> (&'x [&'d [u8]], Option<&TrustAnchor>) {
        if let [rest @ .., last] = x5c
            && let Some(anchor) = self.anchors.iter().find(|one| one.root.der == *last)
        {
            (rest, Some(anchor))
        } else {
            (x5c, None)
        }
    }

    /// A root stands at the end, once, or not at all: it would go through as an
    /// intermediate of its own.
    pub(crate) fn check_no_root(&self, x5c: &[&[u8]]) -> Result<(), Finding> {
        let is_root = |der: &&[u8]| self.anchors.iter().any(|anchor| anchor.root.der == **der);
        match x5c.iter().position(is_root) {
            None => Ok(()),
            Some(index) => Err(Finding::new(
                Reason::MisplacedRoot,
                "it is a trusted root, which another certificate follows",
            )
            .at(place(index))),
        }
    }

    /// The anchors that may have issued the topmost certificate, at least one;
    /// only the one that was `sent`, if any. `below` is the number of CAs
    /// under them. Laboratory roots may share a name and have no key
    /// identifiers: which of them it is, the signature says.
    pub(crate) fn check_anchors(
        &self,
        top: &Certificate<'_>,
        below: usize,
        sent: Option<&TrustAnchor>,
        now: u64,
    ) -> Result<Vec<&TrustAnchor>, Finding> {
        if let Some(sent) = sent
            && sent.root.subject != top.issuer
        {
            return Err(Finding::new(
                Reason::IssuerMismatch,
                "its issuer is not the subject of the root behind it",
            )
            .at(place(below)));
        }
        let mut fault = None;
        let mut found = Vec::with_capacity(1);
        for anchor in self.named(top, sent) {
            let root = &anchor.root;
            let verdict = path::check_validity(root.not_before, root.not_after, now)
                .and_then(|()| path::check_path_length(root.path_length, below))
                .map_err(|fault| fault.at(anchor.name()))
                .and_then(|()| {
                    path::check_issued_by(top, &root.subject, root.key_identifier.as_deref())
                        .map_err(|fault| fault.at(place(below)))
                });
            match verdict {
                Ok(()) => found.push(anchor),
                Err(found) => fault = Some(Finding::from(found)),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        Err(fault.unwrap_or_else(|| unknown_anchor(below)))
    }

    /// The anchors that have the name of the topmost certificate's issuer, valid
    /// or not; only the one that was `sent`, if any.
    pub(crate) fn named<'s>(
        &'s self,
        top: &Certificate<'_>,
        sent: Option<&TrustAnchor>,
    ) -> impl Iterator<Item = &'s TrustAnchor> {
        self.anchors.iter().filter(move |one| {
            one.root.subject == top.issuer && sent.is_none_or(|sent| sent.root.der == one.root.der)
        })
    }

    /// The first of the anchors under which every signature verifies.
    pub(crate) fn check_signatures<'s>(
        &'s self,
        chain: &[Certificate<'_>],
        algorithms: &[SignatureAlgorithm],
        anchors: &[&'s TrustAnchor],
    ) -> Result<&'s TrustAnchor, Finding> {
        let mut fault = None;
        for anchor in anchors {
            match self.check_signatures_under(anchor, chain, algorithms) {
                Ok(()) => return Ok(anchor),
                Err(finding) => fault = Some(finding),
            }
        }
        Err(fault.unwrap_or_else(|| unknown_anchor(chain.len() - 1)))
    }

    /// RFC 5280 section 6.1.3 (a)(1), from the anchor down to the leaf.
    fn check_signatures_under(
        &self,
        anchor: &TrustAnchor,
        chain: &[Certificate<'_>],
        algorithms: &[SignatureAlgorithm],
    ) -> Result<(), Finding> {
        let mut issuer_spki = anchor.root.spki.as_slice();
        let mut under_anchor = true;
        for (index, (certificate, algorithm)) in chain.iter().zip(algorithms).enumerate().rev() {
            let known = under_anchor
                && self
                    .intermediates
                    .contains(anchor.sha256(), certificate.der);
            if !known {
                self.check_signature(certificate, *algorithm, issuer_spki, index)?;
                if under_anchor {
                    self.intermediates.insert(anchor.sha256(), certificate.der);
                }
            }
            issuer_spki = certificate.spki;
            under_anchor = false;
        }
        Ok(())
    }

    /// That a key signed the certificate at this place.
    pub(crate) fn check_signature(
        &self,
        certificate: &Certificate<'_>,
        algorithm: SignatureAlgorithm,
        issuer_spki: &[u8],
        index: usize,
    ) -> Result<(), Finding> {
        let (tbs, signature) = (certificate.tbs, certificate.signature);
        self.backend
            .verify(algorithm, issuer_spki, tbs, signature)
            .map_err(|error| Finding::new(Reason::BadSignature, error.to_string()).at(place(index)))
    }
}

fn unknown_anchor(top: usize) -> Finding {
    Finding::new(
        Reason::UnknownAnchor,
        format!(
            "no trusted root has the name of the issuer of {}",
            place(top)
        ),
    )
}

pub(crate) fn incomplete() -> Finding {
    Finding::new(
        Reason::IncompleteChain,
        "there must be a leaf and the intermediate that issued it",
    )
}
