//! The order of certificates: leaf first.

use assay_attest::UnverifiedCertificate;

use super::Note;

/// Apple's arc for attestation. A certificate with an extension of it is an
/// attestation leaf.
const APPLE: &str = "1.2.840.113635.100.8.";

/// What the order is decided by.
struct Names {
    subject: String,
    issuer: String,
    leaf: bool,
}

impl Names {
    fn of(der: &[u8]) -> Option<Self> {
        let read =
            UnverifiedCertificate::decode(der).or_else(|_| UnverifiedCertificate::sketch(der));
        let read = read.ok()?;
        Some(Self {
            leaf: (read.extensions.iter()).any(|extension| extension.oid.starts_with(APPLE)),
            subject: read.subject,
            issuer: read.issuer,
        })
    }
}

/// The chains in a list of certificates, each with the leaf first. A list without
/// an attestation leaf, or with one in its place, stays as it is.
pub(super) fn chains(list: Vec<Vec<u8>>) -> Vec<(Vec<Vec<u8>>, Vec<Note>)> {
    let names: Vec<_> = list.iter().map(|der| Names::of(der)).collect();
    let is_leaf = |index: usize| names[index].as_ref().is_some_and(|one| one.leaf);
    if list.is_empty() {
        return Vec::new();
    }
    if is_leaf(0) {
        return split(list, &names);
    }
    let Some(leaf) = (0..list.len()).find(|index| is_leaf(*index)) else {
        return vec![(list, Vec::new())];
    };
    let issued = |below: usize, above: usize| match (&names[below], &names[above]) {
        (Some(below), Some(above)) => below.issuer == above.subject,
        _ => false,
    };
    let last = list.len() - 1;
    if leaf == last && (0..last).all(|index| issued(index + 1, index)) {
        return vec![(list.into_iter().rev().collect(), vec![Note::Reversed])];
    }
    // From the leaf upwards; what is left keeps its place behind them.
    let mut order = vec![leaf];
    let mut left: Vec<usize> = (0..list.len()).filter(|index| *index != leaf).collect();
    let mut top = leaf;
    while let Some(place) = left.iter().position(|above| issued(top, *above)) {
        top = left.remove(place);
        order.push(top);
    }
    order.extend(left);
    let mut list: Vec<_> = list.into_iter().map(Some).collect();
    let ordered = order.iter().filter_map(|index| list[*index].take());
    vec![(ordered.collect(), vec![Note::Reordered])]
}

/// A list that begins with a leaf: a new chain begins with each further leaf,
/// except with one that issued the certificate before it, which is a fault of one
/// chain.
fn split(list: Vec<Vec<u8>>, names: &[Option<Names>]) -> Vec<(Vec<Vec<u8>>, Vec<Note>)> {
    let mut chains: Vec<Vec<Vec<u8>>> = Vec::new();
    for (index, der) in list.into_iter().enumerate() {
        let begins = match (
            index.checked_sub(1).map(|below| &names[below]),
            &names[index],
        ) {
            (None, _) => true,
            (Some(Some(below)), Some(one)) => one.leaf && below.issuer != one.subject,
            (Some(_), _) => false,
        };
        match chains.last_mut() {
            Some(chain) if !begins => chain.push(der),
            _ => chains.push(vec![der]),
        }
    }
    let with_notes = |chain: Vec<Vec<u8>>| {
        let notes = match chain.len() {
            1 => vec![Note::LeafOnly],
            _ => Vec::new(),
        };
        (chain, notes)
    };
    chains.into_iter().map(with_notes).collect()
}

/// The notes on a list whose order must stay.
pub(super) fn notes(list: &[Vec<u8>]) -> Vec<Note> {
    match list {
        [only] if Names::of(only).is_some_and(|one| one.leaf) => vec![Note::LeafOnly],
        _ => Vec::new(),
    }
}
