//! A block in a file: its own line of words, and its checksum.

use callgate_mapped::Words;

use crate::atomic::{AtomicU64, Ordering};
use crate::blocks::BLOCK_HEADER_WORDS;
use crate::cell::Layout;

/// The state of a block: 0 while it is free, else a mark and a checksum of its layout. Written last, so a mark proves
/// that the layout is whole.
const TAG: usize = 0;
const LAYOUT: std::ops::Range<usize> = 1..4;
/// Checksum of the cells; valid only if the file was closed.
const CHECKSUM: usize = 4;

const USED: u64 = 0xCA11;

/// The header line of a block is damaged.
#[derive(Debug)]
pub(crate) struct BadLine;

/// CRC-32 of words.
pub(crate) fn crc_of(words: impl IntoIterator<Item = u64>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = [0; 4_096];
    let mut filled = 0;
    for word in words {
        buffer[filled..filled + 8].copy_from_slice(&word.to_le_bytes());
        filled += 8;
        if filled == buffer.len() {
            hasher.update(&buffer);
            filled = 0;
        }
    }
    hasher.update(&buffer[..filled]);
    hasher.finalize()
}

fn tag_of(layout: [u64; 3]) -> u64 {
    u64::from(crc_of(layout)) << 32 | USED
}

/// Marks a free block as one with cells of this layout.
pub(crate) fn publish(words: &Words, layout: Layout) {
    let described = layout.to_words();
    for (place, word) in words[LAYOUT].iter().zip(described) {
        place.store(word, Ordering::SeqCst);
    }
    // SeqCst: after the layout, for whoever reads the file if this process ends here.
    words[TAG].store(tag_of(described), Ordering::SeqCst);
}

/// The layout of a block, `None` while it is free.
pub(crate) fn layout_of(words: &Words) -> Result<Option<Layout>, BadLine> {
    let tag = words[TAG].load(Ordering::SeqCst);
    if tag == 0 {
        return Ok(None);
    }
    let described = [1, 2, 3].map(|word: usize| words[word].load(Ordering::SeqCst));
    if tag != tag_of(described) {
        return Err(BadLine);
    }
    Layout::from_words(described).map(Some).ok_or(BadLine)
}

/// Makes a block free, step by step: zeroes its cells, then its line.
pub(crate) fn clear(words: &Words) {
    zero(clearing(words));
}

/// The words of a block in the order in which they are zeroed.
pub(crate) fn clearing(words: &Words) -> impl Iterator<Item = &AtomicU64> {
    // The line last, so that a block which is free has nothing in it; of the line the tag first, which vouches for
    // the rest.
    let (line, cells) = words.split_at(BLOCK_HEADER_WORDS);
    cells.iter().rev().chain(line)
}

/// Zeroes words one after the other.
pub(crate) fn zero<'w>(words: impl Iterator<Item = &'w AtomicU64>) {
    for word in words {
        // A write makes a page of a file dirty, so only where there is something.
        if word.load(Ordering::SeqCst) != 0 {
            word.store(0, Ordering::SeqCst);
        }
    }
}

fn checksum(words: &Words) -> u64 {
    // Relaxed: nobody writes to it meanwhile.
    let cells = words[BLOCK_HEADER_WORDS..]
        .iter()
        .map(|word| word.load(Ordering::Relaxed));
    // Never 0, which means that there is no checksum.
    u64::from(crc_of(cells)) | 1 << 32
}

/// Writes the checksum of the cells.
pub(crate) fn seal(words: &Words) {
    let checksum = checksum(words);
    if words[CHECKSUM].load(Ordering::SeqCst) != checksum {
        words[CHECKSUM].store(checksum, Ordering::SeqCst);
    }
}

/// True when the cells match their checksum.
pub(crate) fn is_sealed(words: &Words) -> bool {
    words[CHECKSUM].load(Ordering::SeqCst) == checksum(words)
}
