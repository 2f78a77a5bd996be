//! Support for systemd's journal as the reader of standard error: it reads each
//! line's priority from a prefix (sd-daemon(3)).

use std::{env, io};

use rustix::fs::fstat;
use tracing::Level;

/// Whether standard error is connected to the journal. systemd.exec(5),
/// `JOURNAL_STREAM`: "If the standard output or standard error streams of the
/// executed processes are connected to the journal [...] $JOURNAL_STREAM
/// contains the device and inode numbers of the connection file descriptor,
/// formatted in decimal, separated by a colon". Child processes inherit the
/// variable even if standard error was redirected, so the numbers must match.
pub fn is_reader() -> bool {
    let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
    let Some((device, inode)) = numbers(&stream) else {
        return false;
    };
    fstat(io::stderr()).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (device, inode))
}

fn numbers(stream: &str) -> Option<(u64, u64)> {
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// Prefixes each line of `text` with the priority of `level`.
pub fn with_priority(level: Level, text: &str) -> String {
    // The levels of syslog(3).
    let priority = match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    };
    text.split_inclusive('\n')
        .flat_map(|line| [priority, line])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_priority() {
        for (level, expected) in [
            (Level::ERROR, "<3>one\n<3>  two\n"),
            (Level::WARN, "<4>one\n<4>  two\n"),
            (Level::INFO, "<6>one\n<6>  two\n"),
            (Level::DEBUG, "<7>one\n<7>  two\n"),
        ] {
            assert_eq!(with_priority(level, "one\n  two\n"), expected);
        }
    }

    #[test]
    fn a_stream_is_a_device_and_an_inode() {
        assert_eq!(numbers("9:4711"), Some((9, 4711)));
        for bad in ["", "9", "9:", "9:x", "9:1:2"] {
            assert_eq!(numbers(bad), None, "{bad}");
        }
    }
}
