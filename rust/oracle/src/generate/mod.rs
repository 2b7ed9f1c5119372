//! Cases generated from bytes, for property tests and fuzzing: each byte is one choice, and after the last byte every
//! choice is the first and plainest one. Names, values and times come from small sets, so that they coincide.

mod call;
mod condition;
mod freeze;
mod policy;
mod pools;
mod rules;

use crate::Case;

/// A case from any bytes.
pub fn case(bytes: &[u8]) -> Case {
    let mut choices = Choices(bytes);
    let policy = policy::policy(&mut choices);
    let catalogue = policy::catalogue(&mut choices);
    let freezes = freeze::freezes(&mut choices);
    let calls = call::calls(&mut choices);
    Case {
        policy,
        catalogue,
        freezes,
        calls,
    }
}

/// Bytes that are read as choices.
struct Choices<'b>(&'b [u8]);

impl Choices<'_> {
    /// A number below `bound`, which is at most 256.
    fn below(&mut self, bound: usize) -> usize {
        let (byte, rest) = self
            .0
            .split_first()
            .map_or((0, self.0), |(byte, rest)| (*byte, rest));
        self.0 = rest;
        usize::from(byte) % bound
    }

    fn pick<'p>(&mut self, pool: &[&'p str]) -> &'p str {
        pool[self.below(pool.len())]
    }

    /// Returns true once in `times`, and never when no bytes are left.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A JSON list of `least` to `most` parts.
    fn list(&mut self, least: usize, most: usize, mut part: impl FnMut(&mut Self) -> String) -> String {
        let count = least + self.below(most - least + 1);
        let parts: Vec<String> = (0..count).map(|_| part(self)).collect();
        format!("[{}]", parts.join(","))
    }
}
