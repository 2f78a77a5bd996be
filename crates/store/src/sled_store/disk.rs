use std::{fs::File, io};

/// What makes written bytes durable; tests let it fail.
pub(super) trait Disk: Send {
    /// Returns when all that was written is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// sled's own `flush` does not call fsync on Linux.
impl Disk for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}
