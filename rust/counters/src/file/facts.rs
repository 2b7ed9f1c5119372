//! Facts about a file of counters, read without taking it into use.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use callgate_mapped::{MappedFile, Words};

use super::block;
use super::error::StoreError;
use super::header::{Closed, Header, MAGIC_BYTES, VERSION};
use super::open::fault;
use super::recover::{Serves, Used};
use super::space::BLOCK_BYTES;
use crate::atomic::Ordering;
use crate::blocks::{BLOCK_WORDS, Block};

/// Facts that a file of counters records about itself. A process that uses the file may be changing it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Version of the format.
    pub version: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Blocks of 64 KiB, in use or free.
    pub blocks: u32,
    /// Blocks in use.
    pub blocks_used: u32,
    /// Blocks whose first words are damaged.
    pub blocks_damaged: u32,
    /// Blocks that were on disk at the last flush and lie beyond the end of the file, which was truncated since.
    pub blocks_missing: u32,
    /// Counters: cells that serve a count, idle cells included.
    pub counters: usize,
    /// Counters whose identity is damaged.
    pub counters_damaged: usize,
    /// Different layouts of cells.
    pub layouts: usize,
    /// Resets in force.
    pub resets: usize,
    /// Resets that do not match their checksum; a file that has any is refused.
    pub resets_damaged: usize,
    /// True if the file was closed, so its checksums are valid.
    pub clean: bool,
    /// The process that opened it last.
    pub pid: Option<u32>,
    /// Unix seconds at which it was made.
    pub created_unix_s: u64,
    /// Unix microseconds of the last flush.
    pub flushed_unix_us: u64,
}

impl Facts {
    /// Reads the file at `path`, even while a process uses it.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let mut file = open(path)?;
        let bytes = file.metadata().map_err(fault(path, "open"))?.len();
        let header = Header::new(read_block(&mut file).map_err(|source| cut_off(path, bytes, source))?);
        let fixed = header.check(path)?;
        let recorded = header.recorded();
        let (resets, resets_damaged) = count_resets(path, &header)?;
        // After the header: a file that grows does so before it is recorded.
        let bytes = file.metadata().map_err(fault(path, "open"))?.len();
        let whole = (bytes / BLOCK_BYTES).saturating_sub(1);
        let mut facts = Self {
            version: VERSION,
            bytes,
            blocks: 0,
            blocks_used: 0,
            blocks_damaged: 0,
            blocks_missing: recorded.map_or(0, |recorded| {
                u32::try_from(recorded.blocks.saturating_sub(whole)).unwrap_or(u32::MAX)
            }),
            counters: 0,
            counters_damaged: 0,
            layouts: 0,
            resets,
            resets_damaged,
            clean: header.closed() == Closed::Clean,
            pid: header.holder(),
            created_unix_s: fixed.created_unix_s,
            flushed_unix_us: recorded.map_or(0, |recorded| recorded.clock.reading.unix_us),
        };
        let mut layouts = hashbrown::HashSet::new();
        for number in 0..u32::try_from(whole).unwrap_or(u32::MAX) {
            let words = read_block(&mut file).map_err(fault(path, "read"))?;
            facts.blocks += 1;
            match block::layout_of(&words) {
                Ok(None) => {}
                Ok(Some(layout)) => {
                    facts.blocks_used += 1;
                    layouts.insert(layout);
                    let block = Block::new(words, layout);
                    for (_, serves) in (Used { number, block }).cells() {
                        match serves {
                            Serves::Count => facts.counters += 1,
                            Serves::Damaged => facts.counters_damaged += 1,
                            Serves::Closed | Serves::Nobody => {}
                        }
                    }
                }
                Err(_) => facts.blocks_damaged += 1,
            }
        }
        facts.layouts = layouts.len();
        Ok(facts)
    }
}

/// Returns the number of resets, and of those that are damaged.
fn count_resets(path: &Path, header: &Header) -> Result<(usize, usize), StoreError> {
    let (resets, damaged) = header.resets();
    if damaged == 0 {
        return Ok((resets.len(), 0));
    }
    // One that a process was writing while it was read is whole by now.
    let (resets, damaged) = read_header(path).map_err(fault(path, "read"))?.resets();
    Ok((resets.len(), damaged))
}

/// Reads the header of the file at `path`, even while a process uses it.
pub(super) fn read_header(path: &Path) -> io::Result<Header> {
    read_block(&mut MappedFile::open_to_read(path)?).map(Header::new)
}

/// The error for a file that is shorter than a header; it tells which kind of file it is.
pub(super) fn too_short(path: &Path, bytes: u64) -> StoreError {
    let mut begins = [0; 16];
    let seen = usize::try_from(bytes).unwrap_or(16).min(16);
    let read = MappedFile::open_to_read(path).and_then(|mut file| file.read_exact(&mut begins[..seen]));
    if read.is_ok() && !MAGIC_BYTES.starts_with(&begins[..seen]) {
        return StoreError::Foreign {
            path: path.to_owned(),
        };
    }
    StoreError::Damaged {
        path: path.to_owned(),
        fault: format!("it was cut off: {bytes} bytes are not even its header"),
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    MappedFile::open_to_read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Missing {
            path: path.to_owned(),
        },
        _ => fault(path, "open")(source),
    })
}

fn cut_off(path: &Path, bytes: u64, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => too_short(path, bytes),
        _ => fault(path, "read")(source),
    }
}

fn read_block(file: &mut File) -> io::Result<Words> {
    let mut bytes = vec![0; BLOCK_WORDS * size_of::<u64>()];
    file.read_exact(&mut bytes)?;
    let words = Words::zeroed(BLOCK_WORDS);
    for (place, chunk) in words.iter().zip(bytes.chunks_exact(size_of::<u64>())) {
        let word = chunk.try_into().map_or(0, u64::from_ne_bytes);
        // Relaxed: nobody else has these words.
        place.store(word, Ordering::Relaxed);
    }
    Ok(words)
}
