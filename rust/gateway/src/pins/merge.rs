//! Books of two processes: what another one has written, and what this one has seen meanwhile.

use super::book::{Book, Entry, MAX_BYTES, MAX_TOOLS};

impl Book {
    /// What another process has written, with what this one has listed since both said the same (`base`).
    ///
    /// - What is pinned is as the file has it, so that what somebody accepted or reset there holds.
    /// - What was listed here since then is news, and goes over the file. All else is as the file has it: a process that was
    ///   told nothing lately has nothing to say against one that was.
    /// - Where both have news, the state that is not accepted wins: nobody can tell which list was the last one.
    /// - Before a whole list was seen, what several processes see is one first list: it has what any of them has, and ends where
    ///   it ends for one of them. Who writes a page of it has not forgotten the others; a reset has ([`Self::forgets`]).
    ///
    /// A tool that was listed in a state that is not accepted in the round `since` or a later one is news, too, though it was
    /// listed so before.
    pub(super) fn merged(mut file: Self, base: &Self, ours: &Self, since: u64) -> Self {
        let is_first_of_both = !file.is_complete && !file.forgets(ours);
        let mut missing = Vec::new();
        for (name, entry) in &ours.tools {
            let before = base.tools.get(name);
            let is_news = entry.listed.is_some()
                && (entry.withheld_in >= since || before.is_none_or(|before| !entry.is_listed_like(before)));
            if let Some(theirs) = file.tools.get_mut(name) {
                let is_contested = before.is_none_or(|before| !theirs.is_listed_like(before));
                theirs.take_over(entry, is_news, is_contested);
            } else if is_first_of_both {
                missing.push((name, entry.clone()));
            } else if file.is_complete && is_news {
                // What another process's first list did not have is new, though it was in this one's.
                let mut entry = entry.clone();
                entry.pinned.clear();
                missing.push((name, entry));
            }
        }
        file.add(missing);
        file.is_complete |= is_first_of_both && ours.is_complete;
        file.reset_at_unix_ms = file.reset_at_unix_ms.max(ours.reset_at_unix_ms);
        file
    }

    /// Whether this is what a file says after somebody has reset what `ours` knows, also where another process has listed
    /// something since.
    pub(super) fn forgets(&self, ours: &Self) -> bool {
        self.is_blank() || self.reset_at_unix_ms > ours.reset_at_unix_ms
    }

    /// Adds tools as far as there is room. After a whole list, what is left out is new all the same.
    fn add(&mut self, missing: Vec<(&String, Entry)>) {
        let mut bytes = self.bytes();
        for (name, entry) in missing {
            let with_it = bytes + name.len() + entry.bytes();
            if self.tools.len() < MAX_TOOLS && with_it <= MAX_BYTES {
                bytes = with_it;
                self.tools.insert(name.clone(), entry);
            }
        }
    }
}

impl Entry {
    /// Whether a file would say the same of what was listed.
    fn is_listed_like(&self, other: &Self) -> bool {
        self.is_ambiguous == other.is_ambiguous
            && self.differing().map(|record| record.digest) == other.differing().map(|record| record.digest)
    }

    /// Takes over what this process knows of a tool of another one's file.
    fn take_over(&mut self, ours: &Self, is_news: bool, is_contested: bool) {
        self.withheld_in = ours.withheld_in;
        let ours = Self {
            pinned: self.pinned.clone(),
            ..ours.clone()
        };
        if is_news {
            if !is_contested || self.state().is_accepted() || !ours.state().is_accepted() {
                *self = ours;
            }
        } else if self.listed.is_none() && ours.differing().is_none() {
            // A file does not say which of the accepted ones was listed.
            self.listed = ours.listed;
        }
    }
}
