//! Cases made of bytes, for property tests and fuzzing: each byte is one choice, and no bytes left means the first,
//! plainest choice everywhere. Names, values and times come from small sets that are made to meet each other.

mod call;
mod condition;
mod policy;
mod pools;
mod rules;

use crate::Case;

/// A case out of any bytes.
pub fn case(bytes: &[u8]) -> Case {
    let mut choices = Choices(bytes);
    let policy = policy::policy(&mut choices);
    let catalogue = policy::catalogue(&mut choices);
    let calls = call::calls(&mut choices);
    Case {
        policy,
        catalogue,
        calls,
    }
}

/// Bytes read as choices.
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

    /// True once in `times`, and never without bytes.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `least` to `most` parts, a JSON list.
    fn list(&mut self, least: usize, most: usize, mut part: impl FnMut(&mut Self) -> String) -> String {
        let count = least + self.below(most - least + 1);
        let parts: Vec<String> = (0..count).map(|_| part(self)).collect();
        format!("[{}]", parts.join(","))
    }
}
