//! Sorts any number of writes by key in bounded memory: chunks become sorted
//! runs on disk, which are merged.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    path::{Path, PathBuf},
};

use super::{
    checkpoint::{Checkpoint, NO_ENTRY, Walk, Writer},
    disk::Disk,
    fault::Fault,
    segment::{Identity, Place},
};

/// The approximate overhead of a pair in memory.
const PAIR_OVERHEAD: usize = 96;

/// Takes writes in chronological order. Of several writes to one key the last
/// one counts.
pub(crate) struct Sorter<'a> {
    disk: &'a dyn Disk,
    /// The directory for runs. Nothing else may be in it.
    dir: PathBuf,
    /// How many bytes a chunk may take in memory.
    chunk_len: usize,
    chunk: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    used: usize,
    runs: usize,
}

impl<'a> Sorter<'a> {
    /// Creates a sorter that keeps runs in `dir`, which is emptied first.
    pub(crate) fn new(disk: &'a dyn Disk, dir: &Path, chunk_len: usize) -> Result<Self, Fault> {
        disk.create_dir(dir).map_err(Fault::io("create", dir))?;
        clear(disk, dir)?;
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            chunk_len,
            chunk: BTreeMap::new(),
            used: 0,
            runs: 0,
        })
    }

    /// Adds a write.
    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Fault> {
        self.used += key.len() + value.map_or(0, <[u8]>::len) + PAIR_OVERHEAD;
        self.chunk.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        if self.used >= self.chunk_len {
            self.spill()?;
        }
        Ok(())
    }

    fn run_path(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{number:06}.run"))
    }

    /// Writes the chunk as a run.
    fn spill(&mut self) -> Result<(), Fault> {
        // Only this process reads a run, and it ignores the header.
        let identity = Identity {
            database: [0; 16],
            laboratory: false,
            layout: crate::keys::SCHEMA_VERSION,
        };
        let at = Place {
            sequence: 0,
            hash: NO_ENTRY,
            time: assay_proto::Timestamp(0),
        };
        let path = self.run_path(self.runs);
        let mut run = Writer::create(self.disk, &path, identity, at)?;
        for (key, value) in std::mem::take(&mut self.chunk) {
            run.push(&key, value.as_deref())?;
        }
        run.finish()?;
        (self.runs, self.used) = (self.runs + 1, 0);
        Ok(())
    }

    /// Calls `each` with all live pairs in the order of their keys: those of
    /// `base` with the writes applied.
    pub(crate) fn merge(
        mut self,
        base: Option<Walk>,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        // Oldest first: of several sources with one key the last one counts.
        let mut sources: Vec<Source> = base.into_iter().map(Source::Walk).collect();
        for number in 0..self.runs {
            let run = Checkpoint::open_file(self.disk, &self.run_path(number))?;
            sources.push(Source::Walk(Walk::new(run)?));
        }
        let mut chunk = std::mem::take(&mut self.chunk).into_iter();
        sources.push(Source::Memory(chunk.next(), chunk));

        let mut heap = BinaryHeap::with_capacity(sources.len());
        for (number, source) in sources.iter().enumerate() {
            heap.extend((source.key()).map(|key| Reverse((key.to_vec(), Reverse(number)))));
        }
        let mut last: Option<Vec<u8>> = None;
        while let Some(Reverse((key, Reverse(number)))) = heap.pop() {
            let Some(source) = sources.get_mut(number) else {
                continue;
            };
            if last.as_deref() != Some(&key) {
                if let Some(value) = source.value() {
                    each(&key, value)?;
                }
                last = Some(key);
            }
            source.advance()?;
            heap.extend((source.key()).map(|key| Reverse((key.to_vec(), Reverse(number)))));
        }
        drop(sources);
        clear(self.disk, &self.dir)
    }
}

/// Removes all files in a directory for temporary files.
pub(crate) fn clear(disk: &dyn Disk, dir: &Path) -> Result<(), Fault> {
    for name in disk.list(dir).map_err(Fault::io("list", dir))? {
        let path = dir.join(name);
        disk.remove(&path).map_err(Fault::io("remove", &path))?;
    }
    Ok(())
}

type MemoryPair = (Vec<u8>, Option<Vec<u8>>);

enum Source {
    Walk(Walk),
    Memory(
        Option<MemoryPair>,
        std::collections::btree_map::IntoIter<Vec<u8>, Option<Vec<u8>>>,
    ),
}

impl Source {
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Walk(walk) => walk.peek().map(|(key, _)| key),
            Self::Memory(pair, _) => pair.as_ref().map(|(key, _)| key.as_slice()),
        }
    }

    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Walk(walk) => walk.peek().and_then(|(_, value)| value),
            Self::Memory(pair, _) => pair.as_ref().and_then(|(_, value)| value.as_deref()),
        }
    }

    fn advance(&mut self) -> Result<(), Fault> {
        match self {
            Self::Walk(walk) => walk.advance()?,
            Self::Memory(pair, rest) => *pair = rest.next(),
        }
        Ok(())
    }
}
