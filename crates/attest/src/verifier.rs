//! The verifier: evidence in, a device or the one reason against it out.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    anchor::TrustAnchor,
    apple::{self, Properties},
    cache::VerifiedIntermediates,
    certificate::Certificate,
    device::AttestedDevice,
    key::PublicKey,
    object, path,
    reason::{Reason, Refusal},
    signature::{SignatureAlgorithm, SignatureVerifier},
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
        self.verify_chain(&object::certificates(object)?, freshness, now)
    }

    fn verify_chain(
        &self,
        x5c: &[&[u8]],
        freshness: &[u8; 32],
        now: u64,
    ) -> Result<AttestedDevice, Refusal> {
        for (index, der) in x5c.iter().enumerate() {
            Certificate::check_size(der).map_err(|refusal| refusal.at(place(index)))?;
        }
        // A trailing copy of an anchor says nothing new, if the chain does
        // end at that anchor.
        let (x5c, sent) = match x5c {
            [rest @ .., last] => match self.anchors.iter().find(|one| one.der == *last) {
                Some(anchor) => (rest, Some(anchor)),
                None => (x5c, None),
            },
            [] => (x5c, None),
        };
        let chain = parse(x5c)?;
        let [leaf, issuers @ ..] = chain.as_slice() else {
            return Err(incomplete());
        };
        if issuers.is_empty() {
            return Err(incomplete());
        }

        let properties =
            Properties::read(&leaf.extensions).map_err(|refusal| refusal.at(place(0)))?;
        let key = PublicKey::parse(leaf.spki)
            .and_then(|key| key.attested_kind())
            .ok_or_else(|| {
                Refusal::new(
                    Reason::KeyNotSupported,
                    "the key is no point of P-256 or P-384",
                )
                .at(place(0))
            })?;
        check_freshness(leaf, freshness).map_err(|refusal| refusal.at(place(0)))?;

        for (index, certificate) in chain.iter().enumerate() {
            path::check_validity(certificate.not_before, certificate.not_after, now)
                .map_err(|refusal| refusal.at(place(index)))?;
        }
        let algorithms = check_path(&chain)?;
        let anchor = self.check_anchor(&chain, &algorithms, sent, now)?;

        Ok(AttestedDevice {
            spki_der: leaf.spki.to_owned(),
            spki_sha256: Sha256::digest(leaf.spki).into(),
            key,
            serial: properties.serial,
            udid: properties.udid,
            model: properties.model,
            os_version: properties.os_version,
            sepos_version: properties.sepos_version,
            llb_version: properties.llb_version,
            sip: properties.sip,
            secure_boot: properties.secure_boot,
            kernel_extensions: properties.kernel_extensions,
            unknown_extensions: properties.unknown,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            root_sha256: *anchor.sha256(),
            root_name: anchor.name().to_owned(),
            laboratory: anchor.is_laboratory(),
        })
    }

    /// Finds the anchor that the chain ends at (the one that was `sent`, if
    /// any) and verifies the signatures under it.
    fn check_anchor(
        &self,
        chain: &[Certificate<'_>],
        algorithms: &[SignatureAlgorithm],
        sent: Option<&TrustAnchor>,
        now: u64,
    ) -> Result<&TrustAnchor, Refusal> {
        let Some(last) = chain.last() else {
            return Err(incomplete());
        };
        let top = chain.len() - 1;
        if let Some(sent) = sent
            && sent.subject != last.issuer
        {
            return Err(Refusal::new(
                Reason::IssuerMismatch,
                "its issuer is not the subject of the root behind it",
            )
            .at(place(top)));
        }
        let mut refusal = None;
        let candidates = self.anchors.iter().filter(|one| {
            one.subject == last.issuer && sent.is_none_or(|sent| sent.der == one.der)
        });
        // Laboratory roots may share a name; each is then asked in turn.
        for anchor in candidates {
            let verdict = path::check_validity(anchor.not_before, anchor.not_after, now)
                .and_then(|()| path::check_path_length(anchor.path_length, top))
                .map_err(|refusal| refusal.at(anchor.name()))
                .and_then(|()| {
                    path::check_issued_by(last, &anchor.subject, anchor.key_identifier.as_deref())
                        .map_err(|refusal| refusal.at(place(top)))
                })
                .and_then(|()| self.check_signatures(chain, algorithms, anchor));
            match verdict {
                Ok(()) => return Ok(anchor),
                Err(cause) => refusal = Some(cause),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            Refusal::new(
                Reason::UnknownAnchor,
                format!(
                    "no trusted root has the name of the issuer of {}",
                    place(top)
                ),
            )
        }))
    }

    /// RFC 5280 section 6.1.3 (a)(1), from the anchor down to the leaf.
    fn check_signatures(
        &self,
        chain: &[Certificate<'_>],
        algorithms: &[SignatureAlgorithm],
        anchor: &TrustAnchor,
    ) -> Result<(), Refusal> {
        let mut issuer_spki = anchor.spki.as_slice();
        let mut under_anchor = true;
        for (index, (certificate, algorithm)) in chain.iter().zip(algorithms).enumerate().rev() {
            let known = under_anchor
                && self
                    .intermediates
                    .contains(anchor.sha256(), certificate.der);
            if !known {
                self.backend
                    .verify(
                        *algorithm,
                        issuer_spki,
                        certificate.tbs,
                        certificate.signature,
                    )
                    .map_err(|error| {
                        Refusal::new(Reason::BadSignature, error.to_string()).at(place(index))
                    })?;
                if under_anchor {
                    self.intermediates.insert(anchor.sha256(), certificate.der);
                }
            }
            issuer_spki = certificate.spki;
            under_anchor = false;
        }
        Ok(())
    }
}

/// Takes the certificates apart, leaf first.
fn parse<'a>(x5c: &[&'a [u8]]) -> Result<Vec<Certificate<'a>>, Refusal> {
    x5c.iter()
        .enumerate()
        .map(|(index, der)| {
            Certificate::parse(der)
                .and_then(|certificate| {
                    certificate.check_repetitions()?;
                    Ok(certificate)
                })
                .map_err(|refusal| refusal.at(place(index)))
        })
        .collect()
}

/// Everything about the path below the anchor but the signatures; gives the
/// algorithm of each.
fn check_path(chain: &[Certificate<'_>]) -> Result<Vec<SignatureAlgorithm>, Refusal> {
    let mut algorithms = Vec::with_capacity(chain.len());
    for (index, certificate) in chain.iter().enumerate() {
        let verdict = match index {
            0 => path::check_leaf(certificate),
            _ => path::check_ca(certificate)
                .and_then(|path_length| path::check_path_length(path_length, index - 1)),
        };
        verdict
            .and_then(|()| match chain.get(index + 1) {
                Some(issuer) => path::check_issued_by(
                    certificate,
                    issuer.subject,
                    path::key_identifier(issuer)?,
                ),
                None => Ok(()),
            })
            .and_then(|()| path::signature_algorithm(certificate))
            .map(|algorithm| algorithms.push(algorithm))
            .map_err(|refusal| refusal.at(place(index)))?;
    }
    Ok(algorithms)
}

/// The leaf has one freshness code (repetition is refused before), and it is
/// this one. The comparison takes the same time wherever the codes differ.
fn check_freshness(leaf: &Certificate<'_>, expected: &[u8; 32]) -> Result<(), Refusal> {
    let found = match leaf.extension(apple::FRESHNESS) {
        Some(extension) if !extension.value.is_empty() => extension.value,
        _ => {
            return Err(Refusal::new(
                Reason::FreshnessMissing,
                format!("extension {} is absent or blank", apple::FRESHNESS),
            ));
        }
    };
    if found.len() != expected.len() {
        return Err(Refusal::new(
            Reason::FreshnessLength,
            format!(
                "the freshness code has {} bytes, not {}",
                found.len(),
                expected.len()
            ),
        ));
    }
    if bool::from(found.ct_eq(expected)) {
        Ok(())
    } else {
        Err(Refusal::new(
            Reason::FreshnessMismatch,
            "the freshness code belongs to another challenge",
        ))
    }
}

fn incomplete() -> Refusal {
    Refusal::new(
        Reason::IncompleteChain,
        "x5c must hold a leaf and the intermediate that issued it",
    )
}

/// A certificate's place in `x5c`, for the operator.
fn place(index: usize) -> String {
    format!("x5c[{index}]")
}
