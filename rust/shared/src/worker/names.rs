//! Names of nodes.

/// Names that no other process has had.
#[derive(Debug)]
pub(super) struct Names {
    /// The name of this process.
    pub(super) process: u128,
    /// The number of names.
    made: u64,
}

impl Names {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 16];
        // Without random numbers names of one process still differ, and the store tells two that have one apart.
        if getrandom::fill(&mut bytes[..12]).is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            bytes = now.map_or(0, |now| now.as_nanos()).to_le_bytes();
        }
        Self {
            process: u128::from_le_bytes(bytes),
            made: 0,
        }
    }

    /// A name that no node has had.
    pub(super) fn next(&mut self) -> String {
        self.made += 1;
        format!("{}{}", Self::prefix(self.process), self.made)
    }

    /// The beginning of all names of a process.
    pub(super) fn prefix(process: u128) -> String {
        format!("{process:024x}.")
    }
}
