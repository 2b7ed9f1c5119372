//! The sinks of rendered lines: a file that is rotated and followed by its name, or standard output.

use std::fs::File;
use std::io::{self, Write as _};

use super::config::{AuditConfig, AuditTarget};
use super::log_file::LogFile;
use super::signed::{SharedHead, SignedLog};
use super::stream::Stream;

/// A failed write, and the part that was written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Bytes of whole lines that were written before.
    pub(super) written: usize,
    pub(super) error: io::Error,
}

/// Lines that the log has not, since its writer began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Lines that could not be taken or written.
    pub(super) dropped: u64,
    /// Plain allows that were left out.
    pub(super) sampled: u64,
}

/// Takes rendered lines.
pub(super) trait Sink: Send {
    /// Writes whole lines; leaves no part of a line behind if that can be avoided.
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten>;
    /// Writes the lines to the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Called now and then: follows the name to another file, creates the file if it is missing, rotates by age.
    fn tend(&mut self) -> io::Result<()>;
    /// Called often: records the lines that are missing and signs what is written, if it is time or this is the last call.
    /// Returns true if it has written anything. A log without signatures does nothing.
    fn attest(&mut self, _: Missing, _is_last: bool) -> io::Result<bool> {
        Ok(false)
    }
    /// Returns a fault that has occurred since the last call and did not keep lines from being written.
    fn complaint(&mut self) -> Option<Complaint>;
}

/// A fault that keeps no lines from being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The kind of the event that tells of it.
    pub(super) event: &'static str,
    pub(super) error: String,
}

/// An open sink. Of a signed log, also its newest checkpoint, and the reason why the log before it could not go on.
pub(super) struct Opened {
    pub(super) sink: Box<dyn Sink>,
    pub(super) head: Option<SharedHead>,
    pub(super) broken: Option<String>,
}

/// Opens the target of the configuration.
pub(super) fn open(config: &AuditConfig) -> io::Result<Opened> {
    let sink: Box<dyn Sink> = match (&config.target, &config.signing) {
        (AuditTarget::File(path), Some(signing)) => {
            let opened = SignedLog::open(LogFile::open(path, config)?, config, signing)?;
            return Ok(Opened {
                sink: Box::new(opened.log),
                head: Some(opened.head),
                broken: opened.broken,
            });
        }
        (AuditTarget::Stdout | AuditTarget::Stderr, Some(_)) => {
            let message = "a signed log needs a file that stays; choose another path, or sign nothing";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        (AuditTarget::Stdout, None) => Box::new(Stream::of(&io::stdout())?),
        (AuditTarget::Stderr, None) => Box::new(Stream::of(&io::stderr())?),
        (AuditTarget::File(path), None) => Box::new(LogFile::open(path, config)?),
    };
    Ok(Opened {
        sink,
        head: None,
        broken: None,
    })
}

/// Returns the length of the whole lines among the first `bytes` bytes.
pub(super) fn whole_lines(lines: &[u8], bytes: usize) -> usize {
    let among = lines.get(..bytes).unwrap_or(lines);
    among
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1)
}

pub(super) fn first_line(lines: &[u8]) -> usize {
    lines
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(lines.len(), |end| end + 1)
}

/// Writes everything, or returns the number of bytes that were written and the error.
pub(super) fn write_all(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let error = match file.write(rest) {
            Ok(0) => io::Error::from(io::ErrorKind::WriteZero),
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        return Err((bytes.len() - rest.len(), error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_in_bytes() {
        assert_eq!(whole_lines(b"a\nbb\nc", 100), 5);
        assert_eq!(whole_lines(b"a\nbb\nc", 4), 2);
        assert_eq!(whole_lines(b"a\nbb\nc", 1), 0);
        assert_eq!(first_line(b"a\nbb\n"), 2);
    }
}
