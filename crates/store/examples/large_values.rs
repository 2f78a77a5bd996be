//! Measures how sled and the store handle large values: the figures of ADR
//! 0019.
//!
//! `sled DIR SIZE PIECE` writes values of SIZE bytes to a sled, each over several
//! keys of at most PIECE bytes (`whole`: under one key), and prints what that
//! costs. SEGMENT is the size of sled's segments, in bytes.
//!
//! `write DIR SIZE PIECE` writes such values until it is killed, and prints the
//! number of each flushed batch. `check DIR SIZE PIECE FILE` opens the result
//! and compares it with the last line of FILE.
//!
//! `store DIR SIZE WRITERS` commits orders of SIZE bytes to a store, with
//! WRITERS concurrent writers.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, and it ends with a panic"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    env, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use assay_engine::{ids::OrderId, ports::Change};
use assay_store::LedgerStore;
use sled::Batch;
use tokio::task::JoinSet;

/// The number of values, and of updates to them in turn.
const VALUES: u64 = 400;
const UPDATES: u64 = 4_000;
/// The number of batches between two flushes.
const FLUSH_EVERY: u64 = 16;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let values = |dir, size: &str, piece: &str| Values {
        tree: open(Path::new(dir)),
        size: size.parse().unwrap(),
        piece: piece.parse().unwrap_or(usize::MAX),
    };
    match args[..] {
        ["sled", dir, size, piece] => values(dir, size, piece).measure(Path::new(dir)),
        ["write", dir, size, piece] => values(dir, size, piece).write(),
        ["check", dir, size, piece, file] => values(dir, size, piece).check(file),
        ["store", dir, size, writers] => {
            let (size, writers) = (size.parse().unwrap(), writers.parse().unwrap());
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(commits(Path::new(dir), size, writers));
        }
        _ => panic!(
            "usage: large_values sled|write|check DIR SIZE PIECE|whole [FILE] | \
             large_values store DIR SIZE WRITERS"
        ),
    }
}

/// Opens sled as the store opens its index.
fn open(dir: &Path) -> sled::Db {
    sled::Config::new()
        .path(dir)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(8 * 1024 * 1024)
        .flush_every_ms(None)
        .segment_size(env::var("SEGMENT").map_or(512 * 1024, |n| n.parse().unwrap()))
        .open()
        .unwrap()
}

struct Values {
    tree: sled::Db,
    size: usize,
    piece: usize,
}

impl Values {
    /// Returns the key of a value. Neighbours have the same size, like orders.
    fn key(number: u64) -> [u8; 17] {
        let mut key = [b'o'; 17];
        // Spread like random ids.
        key[1..9].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        key
    }

    fn put(&self, number: u64, batch_number: u64) -> Duration {
        let mut batch = Batch::default();
        let mut value = batch_number.to_be_bytes().to_vec();
        value.resize(self.size, batch_number as u8);
        for (piece, bytes) in value.chunks(self.piece.min(value.len())).enumerate() {
            let key = [&Self::key(number)[..], &[piece as u8]].concat();
            batch.insert(key, bytes);
        }
        batch.insert(b"msequence", &batch_number.to_be_bytes());
        let began = Instant::now();
        self.tree.apply_batch(batch).unwrap();
        began.elapsed()
    }

    fn get(&self, number: u64) -> Option<u64> {
        let mut value = Vec::new();
        for pair in self.tree.scan_prefix(Self::key(number)) {
            value.extend_from_slice(&pair.unwrap().1);
        }
        let (first, rest) = value.split_first_chunk()?;
        let batch = u64::from_be_bytes(*first);
        let whole = value.len() == self.size && rest.iter().all(|byte| *byte == batch as u8);
        assert!(whole, "value {number} is torn: {} bytes", value.len());
        Some(batch)
    }

    fn measure(self, dir: &Path) {
        let mut applied = Vec::new();
        let mut flushed = Vec::new();
        let mut flush = |tree: &sled::Db| {
            let began = Instant::now();
            tree.flush().unwrap();
            flushed.push(began.elapsed());
        };
        for batch in 0..VALUES + UPDATES {
            let took = self.put(batch.wrapping_mul(7919) % VALUES, batch);
            if batch >= VALUES {
                applied.push(took);
            }
            if batch % FLUSH_EVERY == 0 {
                flush(&self.tree);
            }
        }
        let read = Instant::now();
        for number in 0..VALUES {
            self.get(number).unwrap();
        }
        let read = read.elapsed() / VALUES as u32;
        drop(self.tree);
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        let written: u64 = written.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        let given = (VALUES + UPDATES) * self.size as u64;
        let blobs = files(&dir.join("blobs"));
        println!(
            "{} bytes in pieces of {}: applied p50 {:?} p99 {:?} max {:?}; flushed p50 {:?} max {:?}; \
             read {read:?}; written {:.1} times; db {:.1} times the live data, {} blobs of {} MiB",
            self.size,
            if self.piece == usize::MAX {
                0
            } else {
                self.piece
            },
            at(&mut applied, 50),
            at(&mut applied, 99),
            at(&mut applied, 100),
            at(&mut flushed, 50),
            at(&mut flushed, 100),
            written as f64 / given as f64,
            (fs::metadata(dir.join("db")).unwrap().len() + blobs.1) as f64
                / (VALUES * self.size as u64) as f64,
            blobs.0,
            blobs.1 >> 20,
        );
    }

    fn write(self) {
        for batch in 0.. {
            self.put(batch % VALUES, batch);
            if batch % FLUSH_EVERY == 0 {
                self.tree.flush().unwrap();
                println!("{batch}");
            }
        }
    }

    fn check(self, file: &str) {
        let text = fs::read_to_string(file).unwrap();
        let flushed: u64 = text.lines().last().unwrap().parse().unwrap();
        let sequence = self.tree.get(b"msequence").unwrap().unwrap();
        let sequence = u64::from_be_bytes(sequence.as_ref().try_into().unwrap());
        let mut wrong = 0;
        for number in 0..VALUES.min(sequence + 1) {
            let last = sequence - (sequence - number) % VALUES;
            if self.get(number) != Some(last) {
                wrong += 1;
            }
        }
        println!("flushed {flushed}, says {sequence}, {wrong} values of another batch");
        assert!(sequence >= flushed && wrong == 0);
    }
}

/// Returns how many files a directory has, and their total length.
fn files(dir: &Path) -> (usize, u64) {
    let files: Vec<u64> = (fs::read_dir(dir).unwrap())
        .map(|file| file.unwrap().metadata().unwrap().len())
        .collect();
    (files.len(), files.iter().sum())
}

fn at(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

/// Measures commits of one order each; every writer has its own orders.
async fn commits(dir: &Path, size: usize, writers: u32) {
    let store = Arc::new(LedgerStore::create(dir, false).unwrap());
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let order = common::with(common::order(1), |order| {
                let id = [writer.to_le_bytes(); 4].concat();
                order.id = OrderId::from_bytes(id.try_into().unwrap());
            });
            let mut times = Vec::new();
            let mut version = None;
            for _ in 0..UPDATES / u64::from(writers) {
                let order = common::in_state(order.clone(), common::processing(1, size));
                let change = match version {
                    None => common::insert_order(order),
                    Some(version) => Change::UpdateOrder(order, version),
                };
                let began = Instant::now();
                version = Some(common::commit(&*store, vec![change]).await.unwrap());
                times.push(began.elapsed());
            }
            times
        });
    }
    let mut times = tasks.join_all().await.concat();
    let took = began.elapsed();
    let count = times.len();
    let store = Arc::into_inner(store).unwrap();
    tokio::task::spawn_blocking(move || drop(store))
        .await
        .unwrap();
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let written = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    let written: u64 = written.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    println!(
        "{size} bytes, {writers} at once: p50 {:?} p99 {:?}; {} a second; ledger {} and index {} \
         bytes a commit, {written} bytes written in all",
        at(&mut times, 50),
        at(&mut times, 99),
        (count as f64 / took.as_secs_f64()) as u64,
        files(&dir.join("ledger")).1 / count as u64,
        files(&dir.join("index/1")).1 / count as u64,
    );
}
