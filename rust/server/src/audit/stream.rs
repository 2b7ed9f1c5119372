//! Standard output and standard error as sinks.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::sink::{Complaint, Sink, Unwritten, whole_lines, write_all};

/// Standard output, or standard error.
#[derive(Debug)]
pub(super) struct Stream {
    file: File,
    /// True if the written part ends within a line.
    is_torn: bool,
}

impl Stream {
    pub(super) fn of(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self {
            file: File::from(stream.as_fd().try_clone_to_owned()?),
            is_torn: false,
        })
    }
}

impl Sink for Stream {
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        if self.is_torn {
            write_all(&mut self.file, b"\n").map_err(|(_, error)| Unwritten { written: 0, error })?;
            self.is_torn = false;
        }
        write_all(&mut self.file, lines).map_err(|(done, error)| {
            let written = whole_lines(lines, done);
            self.is_torn = done > written;
            Unwritten { written, error }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn tend(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn complaint(&mut self) -> Option<Complaint> {
        None
    }
}
