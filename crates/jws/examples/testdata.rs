//! Makes `testdata/jws` anew, with new keys: `cargo run -p assay-jws --example
//! testdata`.
#![allow(clippy::print_stdout, reason = "a command's answer")]

use std::{error::Error, fs, path::Path};

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/corpus.rs"]
mod corpus;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/jws"));
    for folder in ["bad", "good", "keys"] {
        fs::remove_dir_all(root.join(folder))?;
        fs::create_dir(root.join(folder))?;
    }
    let files = corpus::files();
    for (path, content) in &files {
        fs::write(root.join(path), content)?;
    }
    println!("{} files in testdata/jws", files.len());
    Ok(())
}
