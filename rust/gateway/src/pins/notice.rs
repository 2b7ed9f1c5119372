//! What an operator should know of pins, though nothing failed.

/// What an operator should know of a server's pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Its file was gone, and was written again from what was held.
    WrittenAgain {
        /// Whose file.
        server: String,
    },
    /// Its first list has not come to its end for a day, so that whatever it adds is pinned.
    Unfinished {
        /// Whose list.
        server: String,
    },
}
