//! Records in their plain form: numbers in one buffer, texts in another; both buffers are reused.
//!
//! The facts of a decision are copied, not rendered: rendering is done by the writer's thread. Texts stay text, so that
//! nobody has to check them again.

/// The lengths of the text and of the numbers from which on a batch is passed to the writer.
const FULL_TEXT_BYTES: usize = 32 * 1024;
const FULL_NUMBERS: usize = 7 * 1024;

/// Capacity beyond those for one more record, so that the buffers do not grow.
const RECORD_TEXT_BYTES: usize = 24 * 1024;
const RECORD_NUMBERS: usize = 1024;

/// A batch that is passed between threads: one pointer.
pub(super) type BoxedBatch = Box<Batch>;

/// Several records, one after the other.
#[derive(Debug)]
pub(super) struct Batch {
    text: String,
    numbers: Vec<u32>,
    records: u64,
}

/// A position in a batch: its end at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    text: usize,
    numbers: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            text: String::with_capacity(FULL_TEXT_BYTES + RECORD_TEXT_BYTES),
            numbers: Vec::with_capacity(FULL_NUMBERS + RECORD_NUMBERS),
            records: 0,
        }
    }

    /// Returns true if the batch takes no further record.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= FULL_TEXT_BYTES || self.numbers.len() >= FULL_NUMBERS
    }

    /// Returns the number of finished records in the batch.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.numbers.clear();
        self.records = 0;
    }

    pub(super) const fn mark(&self) -> Mark {
        Mark {
            text: self.text.len(),
            numbers: self.numbers.len(),
        }
    }

    /// Removes everything that was added after the mark.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.numbers.truncate(mark.numbers);
    }

    /// Returns the bytes of text that were added after the mark.
    pub(super) const fn text_since(&self, mark: Mark) -> usize {
        self.text.len() - mark.text
    }

    /// Completes a record of everything that was added since the last one.
    pub(super) const fn finish_record(&mut self) {
        self.records += 1;
    }

    #[inline]
    pub(super) fn put(&mut self, number: u32) {
        self.numbers.push(number);
    }

    /// Reserves a place for a number that is known later: see [`Batch::fill`].
    pub(super) fn hole(&mut self) -> usize {
        self.numbers.push(0);
        self.numbers.len() - 1
    }

    pub(super) fn fill(&mut self, hole: usize, number: u32) {
        if let Some(place) = self.numbers.get_mut(hole) {
            *place = number;
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub(super) fn put_long(&mut self, number: u64) {
        self.numbers
            .extend_from_slice(&[number as u32, (number >> 32) as u32]);
    }

    /// Texts are far below 4 GiB: every one has been cut.
    #[inline]
    pub(super) fn put_text(&mut self, text: &str) {
        self.numbers.push(u32::try_from(text.len()).unwrap_or(0));
        self.text.push_str(text);
    }

    /// Reads the records from the first on.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            text: &self.text,
            numbers: self.numbers.iter(),
        }
    }
}

/// Reads the contents of a batch, in the order in which they were added.
#[derive(Clone, Debug)]
pub(super) struct Reader<'b> {
    text: &'b str,
    numbers: std::slice::Iter<'b, u32>,
}

impl<'b> Reader<'b> {
    #[inline]
    pub(super) fn number(&mut self) -> u32 {
        self.numbers.next().copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn long(&mut self) -> u64 {
        let low = u64::from(self.number());
        low | u64::from(self.number()) << 32
    }

    #[inline]
    pub(super) fn text(&mut self) -> &'b str {
        let length = self.number() as usize;
        let (text, rest) = self.text.split_at_checked(length).unwrap_or_default();
        self.text = rest;
        text
    }
}

/// Returns at most the first `characters` of a text.
pub(super) fn cut(text: &str, characters: usize) -> &str {
    // A character has a byte at least.
    if text.len() <= characters {
        return text;
    }
    let end = text
        .char_indices()
        .nth(characters)
        .map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_out() {
        let mut batch = Batch::new();
        batch.put(7);
        let hole = batch.hole();
        batch.put_long(u64::MAX - 5);
        batch.put_text("größe");
        batch.put_text("");
        batch.fill(hole, 9);
        batch.finish_record();
        let mark = batch.mark();
        batch.put_text("half a rec");
        assert_eq!(batch.text_since(mark), 10);
        batch.rewind(mark);
        batch.put_text("next");
        let mut reader = batch.reader();
        assert_eq!((reader.number(), reader.number()), (7, 9));
        assert_eq!(reader.long(), u64::MAX - 5);
        assert_eq!(
            [reader.text(), reader.text(), reader.text()],
            ["größe", "", "next"]
        );
        assert_eq!(batch.records(), 1);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("größe", 3), "grö");
        assert_eq!(cut("", 0), "");
    }
}
