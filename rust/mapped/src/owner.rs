//! Distinguishes a process from the children that it forks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Words;
use crate::file::Mapping;

/// Identifies the process that created it. In a forked child, the copy is not the owner.
#[derive(Clone, Debug)]
pub struct Owner {
    /// One non-zero word on a page that the system zeroes in a child; `None` if it does not support such pages.
    mark: Option<Words>,
    pid: u32,
}

impl Owner {
    /// An owner for this process.
    pub fn new() -> Self {
        Self {
            mark: mark().ok(),
            pid: std::process::id(),
        }
    }

    /// Returns whether this process is the owner; one load if the system supports the pages above.
    pub fn is_here(&self) -> bool {
        match self.mark.as_ref().and_then(|words| words.first()) {
            // Relaxed: set before any other thread could read it, wiped before the child ran.
            Some(word) => word.load(Ordering::Relaxed) != 0,
            None => std::process::id() == self.pid,
        }
    }

    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::new()
    }
}

fn mark() -> io::Result<Words> {
    let words = Words::mapped(Arc::new(Mapping::wiped_on_fork()?));
    if let Some(word) = words.first() {
        word.store(1, Ordering::Relaxed);
    }
    Ok(words)
}
