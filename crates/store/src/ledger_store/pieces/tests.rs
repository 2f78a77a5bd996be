use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::TempDir;

use super::*;
use crate::ledger_store::index;

/// The lengths around every boundary.
const LENGTHS: [usize; 11] = [
    0,
    9,
    WHOLE_LEN - 1,
    WHOLE_LEN,
    WHOLE_LEN + 1,
    HEAD_LEN,
    HEAD_LEN + 1,
    2 * WHOLE_LEN,
    2 * WHOLE_LEN + 1,
    record::MAX_LEN - 1,
    record::MAX_LEN,
];

fn tree() -> (sled::Db, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let tree = index::open_sled(dir.path()).ok().unwrap();
    (tree, dir)
}

/// Returns a record's key.
fn order(number: u16) -> Vec<u8> {
    [b"o".as_slice(), &number.to_be_bytes()].concat()
}

/// Returns the bytes of a record, which differ for each version and length.
fn value(version: u64, len: usize) -> Vec<u8> {
    let bytes = version.to_be_bytes().into_iter().cycle();
    [&[1], &version.to_be_bytes()[..]]
        .concat()
        .into_iter()
        .chain(bytes.enumerate().map(|(at, byte)| byte ^ (at / 8) as u8))
        .take(len)
        .collect()
}

/// Writes a value like a start that replays a commit. It keeps no more in
/// flight than a writer does.
fn write(tree: &sled::Db, key: &[u8], value: Option<&[u8]>) {
    let (mut pieces, mut batch) = (Pieces::default(), Batch::default());
    pieces.look(tree, key).unwrap();
    pieces.put(&mut batch, key, value);
    tree.apply_batch(batch).unwrap();
    if value.is_some_and(|value| value.len() > WHOLE_LEN) {
        tree.flush().unwrap();
    }
}

fn scanned(tree: &sled::Tree) -> Vec<(Vec<u8>, Vec<u8>)> {
    let whole = |found| whole(tree, found);
    let forward: Vec<_> = (tree.iter().filter_map(whole))
        .map(Result::unwrap)
        .collect();
    let mut back: Vec<_> = (tree.iter().rev().filter_map(whole))
        .map(Result::unwrap)
        .collect();
    back.reverse();
    assert!(forward == back);
    forward
        .into_iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

fn further_pieces(tree: &sled::Tree) -> usize {
    tree.scan_prefix([FURTHER]).count()
}

#[test]
fn values_of_every_length_replace_each_other_without_remains() {
    let (tree, _dir) = tree();
    // Two neighbours with similar keys stay unchanged.
    let neighbours = [
        [order(7), vec![0]].concat(),
        [order(7), vec![0, 1]].concat(),
    ];
    for (number, key) in (0..).zip(&neighbours) {
        write(&tree, key, Some(&value(number, record::MAX_LEN)));
    }
    let beside = further_pieces(&tree);
    assert_eq!(beside, 30);
    let mut version = 10;
    for first in LENGTHS {
        for second in LENGTHS {
            for len in [first, second] {
                version += 1;
                let expected = value(version, len);
                write(&tree, &order(7), Some(&expected));
                let found = get(&tree, &order(7)).unwrap().unwrap();
                assert!(found == expected, "{first}, {second}");
                let count = usize::from(further(len));
                assert_eq!(further_pieces(&tree), beside + count, "{first}, {second}");
                let all = scanned(&tree);
                assert_eq!(all.len(), 3);
                assert!(all[0] == (order(7), expected), "{first}, {second}");
            }
            write(&tree, &order(7), None);
            assert_eq!(get(&tree, &order(7)).unwrap(), None);
            assert_eq!(further_pieces(&tree), beside, "{first}, {second}");
        }
    }
    for (number, key) in (0..).zip(&neighbours) {
        let found = get(&tree, key).unwrap().unwrap();
        assert!(found == value(number, record::MAX_LEN));
    }
}

#[test]
fn several_writes_to_one_key_in_a_batch_leave_the_last() {
    let (tree, _dir) = tree();
    let (mut pieces, mut batch) = (Pieces::default(), Batch::default());
    for (version, len) in (1..).zip([60_000, 100, 20_000, 9000]) {
        let value = value(version, len);
        pieces.put(&mut batch, &order(1), Some(value.as_slice()));
    }
    tree.apply_batch(batch).unwrap();
    let found = get(&tree, &order(1)).unwrap().unwrap();
    assert!(found == value(4, 9000));
    assert_eq!(further_pieces(&tree), 2);
}

#[test]
fn a_missing_piece_is_damage_and_no_shorter_value() {
    let (tree, _dir) = tree();
    write(&tree, &order(1), Some(&value(1, 20_000)));
    tree.remove(key_of(&order(1), 3)).unwrap();
    let found = get(&tree, &order(1));
    assert!(matches!(found, Err(sled::Error::Corruption { .. })));
    let found: Vec<_> = tree
        .iter()
        .filter_map(|found| whole(&tree, found))
        .collect();
    assert!(matches!(found[..], [Err(sled::Error::Corruption { .. })]));
}

#[test]
fn a_reader_beside_a_writer_sees_one_version_or_none() {
    let (tree, _dir) = tree();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for version in 1..2000_u64 {
                let len = LENGTHS[version as usize % LENGTHS.len()].max(9);
                let value = (version % 17 != 0).then(|| value(version, len));
                write(&tree, &order(1), value.as_deref());
            }
            done.store(true, Ordering::Relaxed);
        });
        let check = |found: &[u8]| {
            let version = u64::from_be_bytes(found[1..9].try_into().unwrap());
            assert!(found == value(version, found.len()), "{version} is mixed");
            let len = LENGTHS[version as usize % LENGTHS.len()].max(9);
            assert_eq!(found.len(), len, "{version}");
        };
        while !done.load(Ordering::Relaxed) {
            if let Some(found) = get(&tree, &order(1)).unwrap() {
                check(&found);
            }
            for found in tree.range(order(0)..order(9)) {
                if let Some(found) = whole(&tree, found) {
                    check(&found.unwrap().1);
                }
            }
        }
    });
}

/// The purpose of this module.
#[test]
fn sled_writes_no_page_to_a_file_of_its_own() {
    let (tree, dir) = tree();
    let mut version = 0;
    // Many at once, then one by one, small and large ones mixed.
    for at_once in 0..10 {
        let (mut pieces, mut batch) = (Pieces::default(), Batch::default());
        for number in 15 * at_once..15 * (at_once + 1) {
            let value = value(version, record::MAX_LEN);
            pieces.put(&mut batch, &order(number), Some(value.as_slice()));
            version += 1;
        }
        tree.apply_batch(batch).unwrap();
        tree.flush().unwrap();
    }
    for round in 0..20_u16 {
        for number in 0..150 {
            let len = match (number + round) % 3 {
                0 => 4096,
                1 => record::MAX_LEN,
                _ => 4098,
            };
            write(&tree, &order(number), Some(&value(version, len)));
            version += 1;
        }
        tree.flush().unwrap();
        let blobs = fs::read_dir(dir.path().join("blobs")).unwrap().count();
        assert_eq!(blobs, 0, "round {round}");
    }
}
