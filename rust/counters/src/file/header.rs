//! The first block of a file: the mark of the format, the key of its identities, and the record of its clock.
//!
//! The header consists of lines of eight words. The constant line is stored twice, because without the hash key no
//! identity in the file means anything. The clock is recorded in two lines by turns, so that one of them is whole
//! whenever the process ends.

use std::path::Path;

use callgate_mapped::Words;

use super::block::crc_of;
use super::clock::{ClockReading, ClockRecord};
use super::error::StoreError;
use super::heritage::Opener;
use crate::Period;
use crate::atomic::Ordering;
use crate::blocks::BLOCK_WORDS;

/// Version of the format.
pub(crate) const VERSION: u64 = 1;

/// The first 16 bytes of a file of counters.
pub(crate) const MAGIC_BYTES: &[u8; 16] = b"callgatecounters";
// Words are of this machine's byte order, so a file from another kind of machine is a foreign one.
const MAGIC: [u64; 2] = [u64::from_ne_bytes(*b"callgate"), u64::from_ne_bytes(*b"counters")];
const BLOCK_BYTES: u64 = BLOCK_WORDS as u64 * 8;

const LINE: usize = 8;
/// The line that never changes: magic (2), version, bytes of a block, hash key (2), Unix seconds of creation, checksum.
const FIXED: [usize; 2] = [0, BLOCK_WORDS - LINE];
/// The clock, by turns: sequence, engine, boot and Unix microseconds, boot id (2), blocks, checksum.
const CLOCKS: [usize; 2] = [LINE, 2 * LINE];
/// The mark of an open or closed file, then the process that opened it last, then the latest period that each kind of
/// calendar window has reached, then a checksum that is valid if the file was closed.
const STATE: usize = 3 * LINE;
const HOLDER: usize = STATE + 1;
const PERIODS: usize = STATE + 2;
const STATE_CHECKSUM: usize = STATE + LINE - 1;
/// More of those periods. Each word has a checksum of its own, and a file that was made without them holds zeros here.
const MORE_PERIODS: usize = STATE + LINE;
/// The first line of resets: seven words and their checksum, which is written last. A line without a checksum is free, and a
/// file that was made without them holds zeros here.
const RESETS: usize = MORE_PERIODS + LINE;
/// Lines of resets: all up to the line of the opener.
pub(crate) const RESET_LINES: usize = (FIXED[1] - RESETS) / LINE - 1;
/// The process that has the file open, if it shares counts with other nodes: mark, name (2), the number of its last call of the
/// store, checksum.
const OPENER: usize = RESETS + RESET_LINES * LINE;

const OPEN: u64 = u64::from_le_bytes(*b"is open.");
const CLEAN: u64 = u64::from_le_bytes(*b"is clean");
const OPENED_BY: u64 = u64::from_le_bytes(*b"openedby");

/// The header, as words of a mapping or of a copy.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    words: Words,
}

/// The constant facts of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    /// Key of the identities.
    pub(crate) hash_key: [u8; 16],
    /// Unix seconds at which the file was made.
    pub(crate) created_unix_s: u64,
}

/// The latest record of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    /// The clock.
    pub(crate) clock: ClockRecord,
    /// Blocks that were on disk then.
    pub(crate) blocks: u64,
    sequence: u64,
}

/// One reset in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResetLine {
    /// Its number among the lines of resets.
    pub(crate) line: usize,
    /// Its words, without their checksum.
    pub(crate) words: [u64; LINE - 1],
}

/// The state of a file: closed, open or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The file was closed, and its checksums are valid.
    Clean,
    /// A process uses the file, or used it when the process ended.
    Open,
    /// The mark is neither that of a closed file nor that of an open one.
    Damaged,
}

impl Header {
    /// The header in these words, [`BLOCK_WORDS`] many.
    pub(crate) const fn new(words: Words) -> Self {
        Self { words }
    }

    /// Fills in the header of a new file.
    pub(crate) fn begin(&self, fixed: &Fixed, clock: &ClockRecord, blocks: u64) {
        for line in FIXED {
            let key = u128::from_le_bytes(fixed.hash_key);
            let [low, high] = halves(key);
            let words = [
                MAGIC[0],
                MAGIC[1],
                VERSION,
                BLOCK_BYTES,
                low,
                high,
                fixed.created_unix_s,
            ];
            self.write_line(line, words);
        }
        self.record(clock, blocks);
        self.set_open(std::process::id());
    }

    /// Checks that this is a header that this build knows.
    pub(crate) fn check(&self, path: &Path) -> Result<Fixed, StoreError> {
        if self.line(FIXED[0])[..2] != MAGIC && self.line(FIXED[1])[..2] != MAGIC {
            return Err(StoreError::Foreign {
                path: path.to_owned(),
            });
        }
        let version = self.line(FIXED[0])[2];
        // A version that a checksum vouches for, or one that both copies name.
        if version != VERSION && (self.is_whole(FIXED[0]) || self.line(FIXED[1])[2] == version) {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                version,
                known: VERSION,
            });
        }
        match FIXED.map(|line| self.fixed(line)) {
            [Some(fixed), Some(_)] => Ok(fixed),
            _ => Err(StoreError::Damaged {
                path: path.to_owned(),
                fault: "its header does not match its checksum".to_owned(),
            }),
        }
    }

    /// Reads the line that never changes, from the first copy that is whole.
    pub(crate) fn salvage(&self) -> Option<Fixed> {
        FIXED.into_iter().find_map(|line| self.fixed(line))
    }

    fn fixed(&self, line: usize) -> Option<Fixed> {
        let [
            magic_0,
            magic_1,
            version,
            block_bytes,
            low,
            high,
            created_unix_s,
            _,
        ] = self.line(line);
        let known = [magic_0, magic_1] == MAGIC && version == VERSION && block_bytes == BLOCK_BYTES;
        (known && self.is_whole(line)).then(|| Fixed {
            hash_key: (u128::from(high) << 64 | u128::from(low)).to_le_bytes(),
            created_unix_s,
        })
    }

    /// Records the clock, over the older of the two records. For one thread at a time.
    pub(crate) fn record(&self, clock: &ClockRecord, blocks: u64) {
        let latest = self.recorded().map_or(0, |recorded| recorded.sequence);
        let sequence = latest + 1;
        let [low, high] = halves(u128::from_le_bytes(clock.reading.boot_id));
        let line = CLOCKS[usize::from(!sequence.is_multiple_of(2))];
        // While it is written the line matches no checksum, and the other one stands.
        let words = [
            sequence,
            clock.engine_us,
            clock.reading.boot_us,
            clock.reading.unix_us,
            low,
            high,
            blocks,
        ];
        self.write_line(line, words);
    }

    /// The latest record that is whole.
    pub(crate) fn recorded(&self) -> Option<Recorded> {
        let record = |line| {
            let [sequence, engine_us, boot_us, unix_us, low, high, blocks, _] = self.line(line);
            (sequence > 0 && self.is_whole(line)).then(|| Recorded {
                clock: ClockRecord {
                    engine_us,
                    reading: ClockReading {
                        boot_id: (u128::from(high) << 64 | u128::from(low)).to_le_bytes(),
                        boot_us,
                        unix_us,
                    },
                },
                blocks,
                sequence,
            })
        };
        CLOCKS
            .into_iter()
            .filter_map(record)
            .max_by_key(|recorded| recorded.sequence)
    }

    /// Makes the system write the header's pages again, by [`Words::touch`].
    pub(crate) fn touch(&self) {
        self.words.touch();
    }

    /// Names the process that has the file open. For one thread at a time.
    pub(crate) fn set_opener(&self, opener: &Opener) {
        let [low, high] = halves(opener.name);
        // While it is written the line matches no checksum, and names nobody.
        self.write_line(OPENER, [OPENED_BY, low, high, opener.said, 0, 0, 0]);
    }

    /// Takes the name of the process that had the file open last, if it had one: no later one finds it.
    pub(crate) fn take_opener(&self) -> Option<Opener> {
        let [mark, low, high, said, ..] = self.line(OPENER);
        let is_whole = mark == OPENED_BY && self.is_whole(OPENER);
        for place in self.words.iter().skip(OPENER).take(LINE) {
            place.store(0, Ordering::SeqCst);
        }
        is_whole.then(|| Opener {
            name: u128::from(high) << 64 | u128::from(low),
            said,
        })
    }

    /// Reads whether the file was closed.
    pub(crate) fn closed(&self) -> Closed {
        match self.line(STATE)[0] {
            CLEAN if self.is_whole(STATE) => Closed::Clean,
            OPEN => Closed::Open,
            _ => Closed::Damaged,
        }
    }

    /// The process that opened the file last.
    pub(crate) fn holder(&self) -> Option<u32> {
        u32::try_from(self.line(STATE)[HOLDER - STATE])
            .ok()
            .filter(|pid| *pid != 0)
    }

    /// Marks the file as in use by this process.
    pub(crate) fn set_open(&self, pid: u32) {
        // SeqCst, here and below: other processes read them, and program order is what a kill leaves.
        self.words[STATE].store(OPEN, Ordering::SeqCst);
        self.words[HOLDER].store(pid.into(), Ordering::SeqCst);
    }

    /// Marks the file as closed; its checksums must hold and be on disk.
    pub(crate) fn set_clean(&self) {
        let mut words = self.line(STATE);
        words[0] = CLEAN;
        self.words[STATE_CHECKSUM].store(crc_of(words[..LINE - 1].iter().copied()).into(), Ordering::SeqCst);
        self.words[STATE].store(CLEAN, Ordering::SeqCst);
    }

    /// The latest period of a calendar that was reached by counters that were removed since.
    pub(crate) fn reached(&self, period: Period) -> u64 {
        let word = self.words[period_word(period)].load(Ordering::SeqCst);
        if checked_period(word & u64::from(u32::MAX)) == Some(word) {
            word & u64::from(u32::MAX)
        } else {
            0
        }
    }

    /// Raises [`Self::reached`].
    pub(crate) fn raise_reached(&self, period: Period, index: u64) {
        if index > self.reached(period)
            && let Some(word) = checked_period(index)
        {
            self.words[period_word(period)].store(word, Ordering::SeqCst);
        }
    }

    /// The resets, and the number of lines that do not match their checksum.
    pub(crate) fn resets(&self) -> (Vec<ResetLine>, usize) {
        let (mut found, mut damaged) = (Vec::new(), 0);
        for line in 0..RESET_LINES {
            let [words @ .., checksum] = self.line(RESETS + line * LINE);
            if checksum == reset_checksum(words) {
                found.push(ResetLine { line, words });
            } else if checksum != 0 {
                damaged += 1;
            }
        }
        (found, damaged)
    }

    /// Writes a reset into a free line.
    pub(crate) fn write_reset(&self, reset: &ResetLine) {
        let places = self.words.iter().skip(RESETS + reset.line * LINE);
        // SeqCst: the checksum last, so a kill leaves a reset that is whole, or a free line.
        let checksum = [reset_checksum(reset.words)];
        for (place, word) in places.zip(reset.words.into_iter().chain(checksum)) {
            place.store(word, Ordering::SeqCst);
        }
    }

    /// Makes a line of resets free.
    pub(crate) fn clear_reset(&self, line: usize) {
        let places = self.words.iter().skip(RESETS + line * LINE).take(LINE);
        // The checksum first: see `write_reset`.
        for place in places.rev() {
            place.store(0, Ordering::SeqCst);
        }
    }

    fn line(&self, start: usize) -> [u64; LINE] {
        std::array::from_fn(|word| self.words[start + word].load(Ordering::SeqCst))
    }

    fn write_line(&self, start: usize, words: [u64; LINE - 1]) {
        for (place, word) in self.words[start..].iter().zip(words) {
            place.store(word, Ordering::SeqCst);
        }
        self.words[start + LINE - 1].store(crc_of(words).into(), Ordering::SeqCst);
    }

    fn is_whole(&self, line: usize) -> bool {
        let words = self.line(line);
        u64::from(crc_of(words[..LINE - 1].iter().copied())) == words[LINE - 1]
    }
}

/// The checksum of a reset, never 0.
fn reset_checksum(words: [u64; LINE - 1]) -> u64 {
    1 << 32 | u64::from(crc_of(words))
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are meant")]
const fn halves(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

const fn period_word(period: Period) -> usize {
    match period {
        Period::Minute => PERIODS,
        Period::Hour => PERIODS + 1,
        Period::Day => PERIODS + 2,
        Period::Week => PERIODS + 3,
        Period::Month => PERIODS + 4,
        Period::Second => MORE_PERIODS,
        Period::Days7 => MORE_PERIODS + 1,
        Period::Days30 => MORE_PERIODS + 2,
        Period::Days365 => MORE_PERIODS + 3,
    }
}

/// The word for a period: its number below, a checksum above, so that it changes in one step.
fn checked_period(index: u64) -> Option<u64> {
    let index = u32::try_from(index).ok()?;
    Some(u64::from(crc_of([u64::from(index)])) << 32 | u64::from(index))
}
