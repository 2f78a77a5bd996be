//! Regenerates `testdata/jws` with new keys: `cargo run -p assay-jws --example
//! testdata`.
#![allow(clippy::print_stdout, reason = "the output of a command")]

use std::{error::Error, fs, path::Path};

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/corpus.rs"]
mod corpus;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/jws"));
    let files = corpus::files();
    for folder in ["bad", "good", "keys"] {
        fs::create_dir_all(root.join(folder))?;
        for entry in fs::read_dir(root.join(folder))? {
            fs::remove_file(entry?.path())?;
        }
    }
    for (path, content) in &files {
        fs::write(root.join(path), content)?;
    }
    println!("{} files in testdata/jws", files.len());
    Ok(())
}
