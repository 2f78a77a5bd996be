//! A chain: certificates from the leaf up, without the anchor.

use const_oid::ObjectIdentifier;

use super::{
    Fault, FaultKind,
    certificate::Certificate,
    key::{KeyKind, PublicKey},
    limits::MAX_CHAIN_EXTENSIONS,
    path,
    signature::SignatureAlgorithm,
};

/// No certificate is read before all of them are known to be small.
pub(crate) fn check_sizes(x5c: &[&[u8]]) -> Result<(), Fault> {
    x5c.iter().enumerate().try_for_each(|(index, der)| {
        Certificate::check_size(der).map_err(|fault| fault.at(place(index)))
    })
}

/// Takes the certificates apart, leaf first.
pub(crate) fn parse<'a>(x5c: &[&'a [u8]]) -> Result<Vec<Certificate<'a>>, Fault> {
    let mut chain = Vec::with_capacity(x5c.len());
    let mut extensions = 0;
    for (index, der) in x5c.iter().enumerate() {
        let certificate = Certificate::read(der).map_err(|fault| fault.at(place(index)))?;
        extensions += certificate.extensions.len();
        if extensions > MAX_CHAIN_EXTENSIONS {
            let detail = format!("more than {MAX_CHAIN_EXTENSIONS} in the chain");
            return Err(Fault::new(FaultKind::TooManyExtensions, detail));
        }
        chain.push(certificate);
    }
    Ok(chain)
}

/// The kind of the leaf's key, which must be one that can be attested.
pub(crate) fn attested_key(leaf: &Certificate<'_>) -> Result<KeyKind, Fault> {
    PublicKey::parse(leaf.spki)
        .and_then(|key| key.attested_kind())
        .ok_or_else(|| {
            Fault::new(
                FaultKind::KeyNotSupported,
                "the key is no point of P-256 or P-384",
            )
            .at(place(0))
        })
}

pub(crate) fn check_validity(chain: &[Certificate<'_>], now: u64) -> Result<(), Fault> {
    chain
        .iter()
        .enumerate()
        .try_for_each(|(index, certificate)| {
            path::check_validity(certificate.not_before, certificate.not_after, now)
                .map_err(|fault| fault.at(place(index)))
        })
}

/// Everything about the path below the anchor but the signatures; returns the
/// algorithm of each. `vendor`: see [`path::check_leaf`].
pub(crate) fn check_path(
    chain: &[Certificate<'_>],
    vendor: impl Fn(ObjectIdentifier) -> bool,
) -> Result<Vec<SignatureAlgorithm>, Fault> {
    let mut algorithms = Vec::with_capacity(chain.len());
    for (index, certificate) in chain.iter().enumerate() {
        let verdict = match index {
            0 => path::check_leaf(certificate, &vendor),
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
            .map_err(|fault| fault.at(place(index)))?;
    }
    Ok(algorithms)
}

/// A certificate's place in the chain, for the operator; the leaf's is 0.
pub(crate) fn place(index: usize) -> String {
    format!("certificate {index}")
}
