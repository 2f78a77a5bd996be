//! Every bit of good evidence flipped, one at a time: no mutant verifies, and
//! `docs/evidence-mutations.md` says why each is refused.
//!
//! `ASSAY_WRITE_MUTATIONS=1 cargo test -p assay-attest --test evidence bit_flips`
//! writes that page anew.

use std::{collections::BTreeMap, fmt::Write as _, fs, ops::Range, path::PathBuf};

use assay_attest::{AwsLc, Reason, RustCrypto};
use der::{Decode, Encode, Reader, SliceReader, asn1::ObjectIdentifier};

use crate::committed::{Committed, x5c};

const PAGE_HEAD: &str = "\
<!-- Written by ASSAY_WRITE_MUTATIONS=1 cargo test -p assay-attest --test evidence bit_flips: do not edit. -->

# Flipped bits

This page shows what happens if one bit of `testdata/evidence/good/mac.cbor`, a Mac's attestation, is flipped: for each region
of the object, how many mutants are refused for which reason. None verifies. The reasons are the names of `assay_attest::Reason`.

| Region | Bytes | Refused, mutants |
|---|---|---|
";

/// A part of the object, by what it means.
struct Region {
    bytes: Range<usize>,
    name: String,
}

/// The regions of an object, in order and without gaps.
fn regions(object: &[u8]) -> Vec<Region> {
    let offset = |part: &[u8]| part.as_ptr().addr() - object.as_ptr().addr();
    let mut marks = vec![(0, "CBOR".to_owned())];
    for (index, der) in x5c(object).unwrap().into_iter().enumerate() {
        let certificate = ["leaf", "intermediate"][index];
        let mut mark = |part: &[u8], what: &str| {
            marks.push((offset(part), format!("{certificate}: {what}")));
        };
        mark(der, "certificate's tag and length");
        let [tbs, algorithm, signature] = elements(der).try_into().unwrap();
        mark(tbs, "TBSCertificate's tag and length");
        let names = [
            "version",
            "serial number",
            "signature algorithm",
            "issuer",
            "validity",
            "subject",
            "public key",
            "extensions' tag and length",
        ];
        let fields = elements(tbs);
        assert_eq!(fields.len(), names.len());
        for (field, name) in fields.iter().zip(names) {
            mark(field, name);
        }
        for extension in elements(elements(fields[7])[0]) {
            let oid = <ObjectIdentifier>::from_der(elements(extension)[0]).unwrap();
            mark(extension, &format!("extension {oid}"));
        }
        mark(algorithm, "signature algorithm, outside");
        mark(signature, "signature");
        // Between two certificates stands the head of the next byte string.
        let end = offset(der) + der.len();
        if end < object.len() {
            marks.push((end, "CBOR between the certificates".to_owned()));
        }
    }
    let ends = marks
        .iter()
        .skip(1)
        .map(|mark| mark.0)
        .chain([object.len()]);
    let regions: Vec<Region> = marks
        .iter()
        .zip(ends)
        .map(|((start, name), end)| Region {
            bytes: *start..end,
            name: name.clone(),
        })
        .collect();
    assert!(regions.iter().all(|region| !region.bytes.is_empty()));
    regions
}

/// The elements within a constructed one.
fn elements(der: &[u8]) -> Vec<&[u8]> {
    let mut outer = SliceReader::new(der).unwrap();
    let header = der::Header::decode(&mut outer).unwrap();
    let start = usize::try_from(header.encoded_len().unwrap()).unwrap();
    let mut reader = SliceReader::new(&der[start..]).unwrap();
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(reader.tlv_bytes().unwrap());
    }
    elements
}

/// Calls `judge` with each mutant of `object` within `bytes`.
fn flip(object: &[u8], bytes: Range<usize>, mut judge: impl FnMut(usize, u8, &[u8])) {
    let mut mutant = object.to_owned();
    for place in bytes {
        for bit in 0..8 {
            mutant[place] ^= 1 << bit;
            judge(place, bit, &mutant);
            mutant[place] ^= 1 << bit;
        }
    }
}

#[test]
fn no_bit_can_change_and_each_refusal_is_counted() {
    let committed = Committed::read();
    let verifier = committed.verifier(Box::new(AwsLc));
    let object = Committed::good("mac");
    assert_eq!(committed.refused(&verifier, &object), None);

    let mut page = PAGE_HEAD.to_owned();
    let mut mutants = 0;
    for region in regions(&object) {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        flip(&object, region.bytes.clone(), |place, bit, mutant| {
            let reason = committed.refused(&verifier, mutant);
            let reason = reason.unwrap_or_else(|| panic!("bit {bit} of byte {place} may change"));
            *reasons.entry(reason.as_str()).or_default() += 1;
            mutants += 1;
        });
        let reasons: Vec<String> = reasons
            .into_iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        writeln!(
            page,
            "| {} | {} | {} |",
            region.name,
            region.bytes.len(),
            reasons.join(", ")
        )
        .unwrap();
    }
    assert_eq!(mutants, object.len() * 8);

    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/evidence-mutations.md"
    ));
    if std::env::var_os("ASSAY_WRITE_MUTATIONS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), page);
}

/// The slower back-end sees each bit of the signatures, and of the keys.
#[test]
fn the_back_ends_agree_on_every_flipped_bit_of_signatures_and_keys() {
    let committed = Committed::read();
    let [aws_lc, rust_crypto] = [
        committed.verifier(Box::new(AwsLc)),
        committed.verifier(Box::new(RustCrypto)),
    ];
    let object = Committed::good("mac");
    let mut bad_signatures = 0;
    for region in regions(&object) {
        if !region.name.ends_with(": signature") && !region.name.ends_with(": public key") {
            continue;
        }
        flip(&object, region.bytes, |place, bit, mutant| {
            let verdict = committed.refused(&aws_lc, mutant);
            assert_eq!(
                committed.refused(&rust_crypto, mutant),
                verdict,
                "bit {bit} of byte {place}"
            );
            bad_signatures += usize::from(verdict == Some(Reason::BadSignature));
        });
    }
    assert!(bad_signatures > 1500, "only {bad_signatures}");
}

/// Which bits of the CBOR around the certificates may be flipped, for nothing
/// reads them: `{7: null, "attStmt": {"receipt": h'010203', "x5c": [`
const FREE_BEFORE: &[(Range<usize>, u8)] = &[
    // The key 7: another number, or one below zero.
    (1..2, 0b0011_1111),
    // Its null: another simple value, or a number.
    (2..3, 0b0001_0111),
    // "receipt": bytes instead of a text, or another text, UTF-8 or not.
    (12..13, 0b0010_0000),
    (13..20, 0b1111_1111),
    // Its value: a text instead of bytes, or other bytes.
    (20..21, 0b0010_0000),
    (21..24, 0b1111_1111),
];
/// The same behind them: `]}, "authData": h'00..00', "fmt": "apple"}`
const FREE_BEHIND: &[(Range<usize>, u8)] = &[
    (0..1, 0b0010_0000),
    (1..9, 0b1111_1111),
    (9..10, 0b0010_0000),
    (11..48, 0b1111_1111),
];

#[test]
fn only_cbor_that_means_nothing_can_change() {
    let committed = Committed::read();
    let verifier = committed.verifier(Box::new(AwsLc));
    let object = Committed::good("statement-first-and-unknown-keys");
    let device = verifier
        .verify_object(&object, &committed.freshness, committed.now)
        .unwrap();
    let certificates = x5c(&object).unwrap();
    let offset = |part: &[u8]| part.as_ptr().addr() - object.as_ptr().addr();
    let start = offset(certificates[0]);
    let end = certificates.last().map(|last| offset(last) + last.len());
    let end = end.unwrap();
    for (part, free) in [(0..start, FREE_BEFORE), (end..object.len(), FREE_BEHIND)] {
        let first = part.start;
        flip(&object, part, |place, bit, mutant| {
            let may_change = free
                .iter()
                .any(|(places, bits)| places.contains(&(place - first)) && bits & 1 << bit != 0);
            match verifier.verify_object(mutant, &committed.freshness, committed.now) {
                Ok(same) => assert!(may_change && same == device, "bit {bit} of byte {place}"),
                Err(refusal) => assert!(!may_change, "bit {bit} of byte {place}: {refusal}"),
            }
        });
    }
}
