//! Reads a database without opening its index: from the checkpoint, and from
//! the later segments, which are held in memory.

use std::path::Path;

use assay_engine::ports::{CommitError, Redemption, StoreError, Version};
use assay_proto::Timestamp;
use async_trait::async_trait;

use crate::{
    OpenError,
    backend::{Backed, Backend},
    keys,
    ledger::{
        self,
        checkpoint::{Block, Checkpoint},
        disk::{Disk, SystemDisk},
        fault::Fault,
        survey::beside_a_server,
    },
    ledger_store::{no_ledger, survey},
    map::{Direction, Entries, Get, Pair, Scan, Writes, overlay},
    transaction::Prepared,
};

/// A read-only view of a database, from its ledger. Nothing on disk is changed,
/// and a server may be running.
pub type LedgerView = Backed<View>;

/// The map of a [`LedgerView`].
pub struct View {
    checkpoint: Checkpoint,
    /// The writes of the segments after the checkpoint.
    writes: Writes,
    latest_time: Timestamp,
    laboratory: bool,
}

impl Backed<View> {
    /// Opens the database in `dir`.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        if !ledger::path(dir).is_dir() {
            return Err(no_ledger(dir));
        }
        let view = View::read(&SystemDisk, dir).map_err(|fault| OpenError::fault(dir, fault))?;
        if view.checkpoint.identity().layout < keys::SCHEMA_VERSION {
            return Err(OpenError::NotMigrated(dir.to_owned()));
        }
        Ok(Self::over(view))
    }

    /// Returns whether the database was created as a laboratory's.
    #[must_use]
    pub fn is_laboratory(&self) -> bool {
        self.backend.laboratory
    }
}

impl View {
    fn read(disk: &dyn Disk, dir: &Path) -> Result<Self, Fault> {
        let survey = beside_a_server(|| survey(disk, dir))?;
        let mut writes = Writes::new();
        let end = survey.read(disk, survey.start(), |entry, _| {
            for (key, value) in entry.writes() {
                writes.insert(key.to_vec(), value.map(<[u8]>::to_vec));
            }
            Ok(())
        })?;
        Ok(Self {
            laboratory: survey.identity().laboratory,
            checkpoint: survey.checkpoint,
            writes,
            latest_time: end.place.time,
        })
    }
}

#[async_trait]
impl Backend for View {
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Scan) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(self)
    }

    fn latest_time(&self) -> Timestamp {
        self.latest_time
    }

    fn nonce_key(&self) -> Option<[u8; 32]> {
        None
    }

    fn redemptions(&self) -> Vec<Redemption> {
        Vec::new()
    }

    async fn commit(
        &self,
        _name: &'static str,
        _prepared: Prepared,
    ) -> Result<Version, CommitError> {
        Err(StoreError("the database was opened read-only".to_owned()).into())
    }
}

impl Get for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(written) = self.writes.get(key) {
            return Ok(written.clone());
        }
        if self.checkpoint.blocks() == 0 {
            return Ok(None);
        }
        let mut block = self.block(self.checkpoint.block_of(key))?;
        while let Some((found, value)) = block.next_pair() {
            if found >= key {
                return Ok(value.filter(|_| found == key).map(<[u8]>::to_vec));
            }
        }
        Ok(None)
    }
}

impl View {
    fn block(&self, number: usize) -> Result<Block, StoreError> {
        self.checkpoint
            .block(number)
            .map_err(|fault| StoreError(fault.to_string()))
    }

    /// Returns the pairs of the checkpoint alone.
    fn scan_checkpoint(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let (from, to) = (from.to_vec(), to.to_vec());
        let mut number = self.checkpoint.block_of(&from);
        let mut block: Option<Vec<Pair>> = None;
        let mut at = 0;
        Entries(Box::new(std::iter::from_fn(move || {
            loop {
                if let Some(pairs) = &block {
                    if let Some((key, value)) = pairs.get(at) {
                        at += 1;
                        if key.as_slice() >= to.as_slice() {
                            number = self.checkpoint.blocks();
                            block = None;
                            return None;
                        }
                        return Some(Ok((key.clone(), value.clone())));
                    }
                    number += 1;
                }
                if number >= self.checkpoint.blocks() {
                    return None;
                }
                let mut read = match self.block(number) {
                    Ok(block) => block,
                    Err(error) => {
                        number = self.checkpoint.blocks();
                        return Some(Err(error));
                    }
                };
                let mut pairs = Vec::new();
                while let Some((key, value)) = read.next_pair() {
                    if key >= from.as_slice() {
                        pairs.push((key.to_vec(), value.unwrap_or_default().to_vec()));
                    }
                }
                at = 0;
                block = Some(pairs);
            }
        })))
    }
}

impl View {
    /// Returns the pairs of the checkpoint alone, in reverse order.
    fn scan_checkpoint_back(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let (from, to) = (from.to_vec(), to.to_vec());
        let mut blocks = match self.checkpoint.blocks() {
            0 => 0..0,
            _ => self.checkpoint.block_of(&from)..self.checkpoint.block_of(&to) + 1,
        };
        let mut pairs: Vec<Pair> = Vec::new();
        Entries(Box::new(std::iter::from_fn(move || {
            loop {
                if let Some(pair) = pairs.pop() {
                    return Some(Ok(pair));
                }
                let mut block = match self.block(blocks.next_back()?) {
                    Ok(block) => block,
                    Err(error) => {
                        blocks = 0..0;
                        return Some(Err(error));
                    }
                };
                while let Some((key, value)) = block.next_pair() {
                    if key >= from.as_slice() && key < to.as_slice() {
                        pairs.push((key.to_vec(), value.unwrap_or_default().to_vec()));
                    }
                }
            }
        })))
    }
}

impl Scan for View {
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let base = self.scan_checkpoint(from, to);
        overlay(&self.writes, base, from, to, Direction::Forward)
    }

    fn scan_back(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let base = self.scan_checkpoint_back(from, to);
        overlay(&self.writes, base, from, to, Direction::Back)
    }
}
