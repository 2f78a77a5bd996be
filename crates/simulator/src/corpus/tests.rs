use std::{fs, path::Path};

use super::*;

/// The committed corpus equals the output of [`files`], byte for byte, without extra files.
#[test]
fn the_committed_corpus_is_the_one_that_is_made() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/evidence");
    let files = files().unwrap();
    for file in &files {
        let committed = fs::read(home.join(&file.path)).unwrap_or_default();
        assert!(
            committed == file.bytes,
            "{} differs: assay simulate forge --all testdata/evidence",
            file.path
        );
    }
    let mut made: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    made.retain(|path| path.contains('/'));
    let mut there = Vec::new();
    for folder in ["bad", "good"] {
        for entry in fs::read_dir(home.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            there.push(format!("{folder}/{name}"));
        }
    }
    there.sort();
    assert_eq!(there, made);
}

#[test]
fn no_two_files_have_one_path() {
    let files = files().unwrap();
    assert!(
        files
            .windows(2)
            .all(|pair| pair[0].path.as_str() < pair[1].path.as_str())
    );
    assert!(freshness().starts_with(&[0x04, 30]));
}

/// The committed recordings equal the output of [`recordings`], byte for byte, without extra files.
#[test]
fn the_committed_recordings_are_the_ones_that_are_made() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/recordings");
    let files = recordings().unwrap();
    for file in &files {
        let committed = fs::read(home.join(&file.path)).unwrap_or_default();
        assert!(
            committed == file.bytes,
            "{} differs: assay simulate forge --recordings testdata/recordings",
            file.path
        );
    }
    let mut there: Vec<String> = fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    there.sort();
    let made: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(there, made);
    assert!(made.len() > 40);
}
