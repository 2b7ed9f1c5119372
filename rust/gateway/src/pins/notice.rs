//! Notices for operators that are not errors.

/// A notice for operators about a server's pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Its file was gone, and was written again from what was held.
    WrittenAgain {
        /// The server of the file.
        server: String,
    },
    /// Its first list has not come to its end for a day, so that whatever it adds is pinned.
    Unfinished {
        /// The server of the list.
        server: String,
    },
}
