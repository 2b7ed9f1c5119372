//! Notices for operators that are not errors.

/// A notice for operators about a server's pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The server's file was gone, and was written again from memory.
    WrittenAgain {
        /// The server of the file.
        server: String,
    },
    /// The server's first list has not ended for a day, so that any tool in it is still pinned.
    Unfinished {
        /// The server of the list.
        server: String,
    },
}
