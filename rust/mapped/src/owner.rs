//! Telling a process from those that it forks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Words;
use crate::file::Mapping;

/// Knows the process that made it. A forked child has a copy, to which it is not the owner.
#[derive(Clone, Debug)]
pub struct Owner {
    /// One word that is not zero, on a page that the system gives to a child as zeros; `None` where it knows no such
    /// pages.
    mark: Option<Words>,
    pid: u32,
}

impl Owner {
    /// This process.
    pub(crate) fn new() -> Self {
        Self {
            mark: mark().ok(),
            pid: std::process::id(),
        }
    }

    /// Whether this process is the owner: one load, where the system knows pages as above.
    pub fn is_here(&self) -> bool {
        match self.mark.as_ref().and_then(|words| words.first()) {
            // Relaxed: set before anybody had it, wiped before the child ran.
            Some(word) => word.load(Ordering::Relaxed) != 0,
            None => std::process::id() == self.pid,
        }
    }

    /// Its number.
    pub const fn pid(&self) -> u32 {
        self.pid
    }
}

fn mark() -> io::Result<Words> {
    let words = Words::mapped(Arc::new(Mapping::wiped_on_fork()?));
    if let Some(word) = words.first() {
        word.store(1, Ordering::Relaxed);
    }
    Ok(words)
}
