use super::*;

/// Decodes hexadecimal with a little notation: spaces separate, `'..'` quotes
/// ASCII.
fn cbor(text: &str) -> Vec<u8> {
    text.split('\'')
        .enumerate()
        .flat_map(|(index, part)| {
            if index % 2 == 1 {
                part.as_bytes().to_vec()
            } else {
                hex::decode(part.replace(' ', "")).unwrap()
            }
        })
        .collect()
}

fn certificates(object: &[u8]) -> Result<Vec<&[u8]>, Finding> {
    let Statement::Apple(x5c) = read(object)?;
    Ok(x5c)
}

/// `"fmt": "apple"`, an entry.
const FMT: &str = "63 'fmt' 65 'apple'";
/// `"attStmt": {"x5c": [h'01', h'0202']}`, an entry.
const STMT: &str = "67 'attStmt' a1 63 'x5c' 82 41 01 42 0202";

#[test]
fn scenarios_6_and_8_keys_stand_in_any_order_and_unknown_ones_are_skipped() {
    let unknown = "68 'authData' 43 010203";
    for text in [
        format!("a2 {FMT} {STMT}"),
        format!("a2 {STMT} {FMT}"),
        format!("a3 {unknown} {STMT} {FMT}"),
        format!("a3 {FMT} {unknown} {STMT}"),
        // Keys of other types: 7, h'66', -1, false, [1], null; values of all.
        format!("a5 07 f6 {FMT} 41 66 c1 00 {STMT} 20 fb 3ff0000000000000"),
        format!("a5 f4 f9 3c00 81 01 a1 01 81 02 {FMT} f6 f8 ff {STMT}"),
        // x5c is not alone in its statement; the ver key of other formats.
        format!("a2 {FMT} 67 'attStmt' a3 63 'ver' 63 '2.0' 63 'x5c' 82 41 01 42 0202 01 02"),
        // Texts that are not UTF-8, which is a matter of validity.
        format!("a3 {FMT} {STMT} 00 61 ff"),
        format!("a3 {FMT} {STMT} 61 ff 00"),
        // Lengths that are not in the shortest form.
        "b8 02 78 03 'fmt' 65 'apple' 67 'attStmt' a1 63 'x5c' 98 02 58 01 01 42 0202".to_owned(),
        "a2 7b 0000000000000003 'fmt' 7a 00000005 'apple' 79 0007 'attStmt' a1 63 'x5c' 82 41 01 42 0202"
            .to_owned(),
    ] {
        assert_eq!(
            certificates(&cbor(&text)),
            Ok(vec![[1].as_slice(), &[2, 2]]),
            "{text}"
        );
    }
}

#[test]
fn scenarios_42_to_48_malformed_objects_are_refused_for_their_own_reason() {
    let nested = "81".repeat(10_000);
    let seven_levels = "81".repeat(MAX_CBOR_DEPTH - 1);
    let eight_levels = "81".repeat(MAX_CBOR_DEPTH);
    let many = "00 00".repeat(MAX_CBOR_KEYS + 1);
    for (text, expected) in [
        ("".to_owned(), Reason::ObjectEmpty),
        ("07".to_owned(), Reason::ObjectNotMap),
        ("80".to_owned(), Reason::ObjectNotMap),
        ("f6".to_owned(), Reason::ObjectNotMap),
        ("'{}'".to_owned(), Reason::ObjectNotMap),
        (format!("d9 d9f7 a2 {FMT} {STMT}"), Reason::ObjectNotMap),
        (nested.clone(), Reason::ObjectNotMap),
        ("a0".to_owned(), Reason::FormatMissing),
        (format!("a1 {STMT}"), Reason::FormatMissing),
        (
            format!("a2 63 'fmt' 45 'apple' {STMT}"),
            Reason::FormatMalformed,
        ),
        (
            format!("a2 63 'fmt' c0 65 'apple' {STMT}"),
            Reason::FormatMalformed,
        ),
        (
            "a2 63 'fmt' 64 'none' 67 'attStmt' a0".to_owned(),
            Reason::FormatNotSupported,
        ),
        (
            format!("a2 63 'fmt' 63 'tpm' {STMT}"),
            Reason::FormatNotSupported,
        ),
        (
            format!("a2 63 'fmt' 66 'packed' {STMT}"),
            Reason::FormatNotSupported,
        ),
        (
            format!("a2 63 'fmt' 65 'Apple' {STMT}"),
            Reason::FormatNotSupported,
        ),
        (format!("a2 63 'fmt' 60 {STMT}"), Reason::FormatNotSupported),
        (
            format!("a2 63 'fmt' 65 'appl' ff {STMT}"),
            Reason::FormatNotSupported,
        ),
        (format!("a1 {FMT}"), Reason::StatementMissing),
        (
            format!("a2 {FMT} 67 'attStmt' 80"),
            Reason::StatementMalformed,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' c0 a0"),
            Reason::StatementMalformed,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' f6"),
            Reason::StatementMalformed,
        ),
        (format!("a2 {FMT} 67 'attStmt' a0"), Reason::ChainMissing),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 41 01"),
            Reason::ChainMalformed,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' c0 81 41 01"),
            Reason::ChainMalformed,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 82 41 01 61 'a'"),
            Reason::ChainMalformed,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 81 81 41 01"),
            Reason::ChainMalformed,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 81 c0 41 01"),
            Reason::ChainMalformed,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 80"),
            Reason::ChainEmpty,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 86 404040404040"),
            Reason::ChainTooLong,
        ),
        // Repeated keys: of the object, of the statement, unknown ones, in
        // another encoding, and right after each other.
        (format!("a3 {FMT} {STMT} {FMT}"), Reason::DuplicateKey),
        (
            format!("a3 {FMT} 63 'fmt' 64 'none' {STMT}"),
            Reason::DuplicateKey,
        ),
        (
            format!("a3 {FMT} {STMT} 78 03 'fmt' 65 'apple'"),
            Reason::DuplicateKey,
        ),
        (format!("a3 {FMT} {STMT} {STMT}"), Reason::DuplicateKey),
        (
            format!("a4 {FMT} {STMT} 61 'a' 00 61 'a' 00"),
            Reason::DuplicateKey,
        ),
        (
            format!("a4 {FMT} {STMT} 01 00 18 01 00"),
            Reason::DuplicateKey,
        ),
        (
            format!("a4 {FMT} {STMT} 41 01 00 58 01 01 00"),
            Reason::DuplicateKey,
        ),
        (format!("a4 {FMT} {STMT} f6 00 f6 00"), Reason::DuplicateKey),
        (
            format!("a2 {FMT} 67 'attStmt' a2 63 'x5c' 81 41 01 63 'x5c' 81 41 01"),
            Reason::DuplicateKey,
        ),
        // Indefinite lengths, wherever they stand.
        (format!("bf {FMT} {STMT} ff"), Reason::IndefiniteLength),
        (
            format!("a2 63 'fmt' 7f 65 'apple' ff {STMT}"),
            Reason::IndefiniteLength,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' bf 63 'x5c' 81 41 01 ff"),
            Reason::IndefiniteLength,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 9f 41 01 ff"),
            Reason::IndefiniteLength,
        ),
        (
            format!("a2 {FMT} 67 'attStmt' a1 63 'x5c' 81 5f 41 01 ff"),
            Reason::IndefiniteLength,
        ),
        (
            format!("a3 {FMT} {STMT} 00 9f ff"),
            Reason::IndefiniteLength,
        ),
        // Bombs.
        (format!("a3 {FMT} {STMT} 00 {nested}"), Reason::TooDeep),
        (format!("a3 {FMT} {STMT} {nested}"), Reason::TooDeep),
        (
            format!("a3 {FMT} {STMT} 00 {} 00", "c1".repeat(10_000)),
            Reason::TooDeep,
        ),
        (
            format!("a3 {FMT} {STMT} 00 {eight_levels} 00"),
            Reason::TooDeep,
        ),
        (
            format!("a3 {FMT} {STMT} 00 {seven_levels} 00 00"),
            Reason::TrailingBytes,
        ),
        (
            format!("b8 {:02x} {many}", MAX_CBOR_KEYS + 1),
            Reason::TooManyKeys,
        ),
        ("bb ffffffffffffffff".to_owned(), Reason::TooManyKeys),
        // Lengths beyond the input.
        (
            format!("a3 {FMT} {STMT} 00 5a 05f5e100 00"),
            Reason::ObjectNotCbor,
        ),
        (
            format!("a3 {FMT} {STMT} 00 5b ffffffffffffffff"),
            Reason::ObjectNotCbor,
        ),
        (
            format!("a3 {FMT} {STMT} 00 7b ffffffffffffffff"),
            Reason::ObjectNotCbor,
        ),
        (
            format!("a3 {FMT} {STMT} 00 9b ffffffffffffffff"),
            Reason::ObjectNotCbor,
        ),
        (
            format!("a3 {FMT} {STMT} 00 bb ffffffffffffffff"),
            Reason::ObjectNotCbor,
        ),
        (format!("a3 {FMT} {STMT}"), Reason::ObjectNotCbor),
        // Reserved initial bytes, a stray break.
        (format!("a3 {FMT} {STMT} 00 1c"), Reason::ObjectNotCbor),
        (format!("a3 {FMT} {STMT} 00 ff"), Reason::ObjectNotCbor),
        (format!("a2 {FMT} {STMT} 00"), Reason::TrailingBytes),
        (
            format!("a2 {FMT} {STMT} a2 {FMT} {STMT}"),
            Reason::TrailingBytes,
        ),
    ] {
        let shown: String = text.chars().take(100).collect();
        assert_eq!(
            certificates(&cbor(&text)).map_err(|refusal| refusal.reason),
            Err(expected),
            "{shown}"
        );
    }
}

#[test]
fn every_truncation_is_refused() {
    let object = cbor(&format!("a2 {FMT} {STMT}"));
    assert!(certificates(&object).is_ok());
    for length in 1..object.len() {
        assert_eq!(
            certificates(&object[..length]).map_err(|refusal| refusal.reason),
            Err(Reason::ObjectNotCbor),
            "{length}"
        );
    }
}

#[test]
fn the_size_of_an_object_is_bounded_before_it_is_read() {
    let mut object = cbor(&format!("a3 {FMT} {STMT} 00 59 0000"));
    let length_at = object.len() - 2;
    let filler = MAX_OBJECT_BYTES - object.len();
    object[length_at..].copy_from_slice(&u16::try_from(filler).unwrap().to_be_bytes());
    object.resize(MAX_OBJECT_BYTES, 0);
    assert!(certificates(&object).is_ok());
    object.push(0);
    assert_eq!(
        certificates(&object).map_err(|refusal| refusal.reason),
        Err(Reason::ObjectTooLarge)
    );
}

#[test]
fn the_items_of_a_map_are_bounded() {
    // The values of "fmt" and "attStmt" are 1 and 5 items, the array is one.
    let room = MAX_CBOR_ITEMS - 7;
    for (items, expected) in [(room, None), (room + 1, Some(Reason::TooManyItems))] {
        let array = format!("99 {items:04x} {}", "00".repeat(items));
        let object = cbor(&format!("a3 {FMT} {STMT} 00 {array}"));
        assert_eq!(
            certificates(&object).err().map(|finding| finding.reason),
            expected,
            "{items}"
        );
        // An array that is a key counts too, and then there is its value.
        let object = cbor(&format!("a3 {FMT} {STMT} {array} 00"));
        assert_eq!(
            certificates(&object).err().map(|finding| finding.reason),
            Some(Reason::TooManyItems),
            "{items}"
        );
    }
}
