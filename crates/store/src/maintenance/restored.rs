//! What is stored about a restore or a loss until an operator acknowledges it.

use assay_engine::ports::StoreError;
use assay_proto::Timestamp;
use minicbor::{Decode, Encode};

/// How a database came to lack commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoredFrom {
    /// It was restored from a backup: the commits after the backup are unknown.
    Backup,
    /// It was damaged, and repaired with data loss.
    Loss,
    /// It was lost and created again beside its CA: all earlier commits are
    /// unknown.
    Recreated,
}

/// A restore of a database, and its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The source.
    pub from: RestoredFrom,
    /// The last commit of the backup, or before the loss.
    pub sequence: u64,
    /// The latest time of all commits up to there.
    pub time: Timestamp,
}

#[derive(Decode, Encode)]
struct Stored {
    #[n(0)]
    from: u8,
    #[n(1)]
    sequence: u64,
    #[n(2)]
    time: u64,
}

impl Restored {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let stored = Stored {
            from: match self.from {
                RestoredFrom::Backup => 0,
                RestoredFrom::Loss => 1,
                RestoredFrom::Recreated => 2,
            },
            sequence: self.sequence,
            time: self.time.0,
        };
        minicbor::to_vec(stored).map_err(|error| StoreError(error.to_string()))
    }

    /// Decodes a stored restore. Unreadable bytes count as a restore with
    /// unknown details.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let stored = minicbor::decode(bytes).unwrap_or(Stored {
            from: 1,
            sequence: 0,
            time: 0,
        });
        Self {
            from: match stored.from {
                0 => RestoredFrom::Backup,
                2 => RestoredFrom::Recreated,
                _ => RestoredFrom::Loss,
            },
            sequence: stored.sequence,
            time: Timestamp(stored.time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_read_back() {
        for from in [
            RestoredFrom::Backup,
            RestoredFrom::Loss,
            RestoredFrom::Recreated,
        ] {
            let restored = Restored {
                from,
                sequence: 7,
                time: Timestamp(8),
            };
            assert_eq!(Restored::decode(&restored.encode().unwrap()), restored);
        }
        assert_eq!(Restored::decode(b"junk").from, RestoredFrom::Loss);
    }
}
