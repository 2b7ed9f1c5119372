//! Errors of pins.

use std::io;
use std::path::PathBuf;

use callgate_mcp::Quoted;
use callgate_mcp::list::ListError;

use super::book::{MAX_BYTES, MAX_DEFINITION_BYTES, MAX_TOOLS};
use super::entry::MAX_ACCEPTED;

/// An error while a list is recorded, or pins are read, written or accepted.
///
/// After [`PinsError::List`] to [`PinsError::TooManyBytes`] nothing of the list is recorded: whoever enforces pins must not
/// show it.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// The answer cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The saved file is not a list.
    #[error("expected an answer to `tools/list`, or the `result` in it")]
    NoList,
    /// The saved file is a part of a list.
    #[error(
        "the list goes on at its `nextCursor`; join the `tools` of all its pages, and leave `nextCursor` out"
    )]
    NotWhole,
    /// More tools than are recorded.
    #[error(
        "the server {} lists more than {MAX_TOOLS} tools; pinning records no more than that",
        Quoted(server)
    )]
    TooManyTools {
        /// The server of the list.
        server: String,
    },
    /// A definition that is too long.
    #[error(
        "the definition of the tool {} of the server {} has more than {MAX_DEFINITION_BYTES} bytes; pinning records no \
         more than that",
        Quoted(tool),
        Quoted(server)
    )]
    DefinitionTooLong {
        /// The server of the tool.
        server: String,
        /// The name of the tool.
        tool: String,
    },
    /// More definitions than are recorded.
    #[error(
        "the tools of the server {} have more than {MAX_BYTES} bytes of definitions; pinning records no more than that",
        Quoted(server)
    )]
    TooManyBytes {
        /// The server of the list.
        server: String,
    },
    /// A damaged file of pins.
    #[error(
        "the pins in `{path}` are damaged (line {line}, column {column}: {fault}); bring the file back from a copy, or \
         begin anew with `callgate pin reset`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The expected value.
        fault: String,
    },
    /// A file of pins that a later version wrote.
    #[error("the pins in `{path}` were written by a later version of callgate; use that one")]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// A file that is longer than any file of pins.
    #[error(
        "`{path}` is longer than any file of pins; bring it back from a copy, or begin anew with `callgate pin reset`"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the lock for longer than any change takes.
    #[error("the pins in `{folder}` are locked by another process; try again")]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A file or folder that cannot be written.
    #[error("cannot write `{path}`: {error}")]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// No pins of this server.
    #[error("nothing is pinned of the server {} in `{folder}`", Quoted(server))]
    UnknownServer {
        /// Its name.
        server: String,
        /// The folder that was searched.
        folder: PathBuf,
    },
    /// No such tool of this server.
    #[error(
        "the server {} has listed no tool {}; `callgate pin list` shows those it has",
        Quoted(server),
        Quoted(tool)
    )]
    UnknownTool {
        /// The server of the tool.
        server: String,
        /// The name of the tool.
        tool: String,
    },
    /// No list was shown to clients of this variant.
    #[error(
        "the server {} has shown no list to the variant {}; it has to {known}",
        Quoted(server),
        Quoted(variant)
    )]
    UnknownVariant {
        /// The server of the lists.
        server: String,
        /// The name of the variant.
        variant: String,
        /// The variants that the server has, as a list in words.
        known: String,
    },
    /// The server has two tools of this name.
    #[error(
        "the server {} lists {} twice with different definitions, so nobody can tell which one a call means; it cannot \
         be accepted until the server lists it once",
        Quoted(server),
        Quoted(tool)
    )]
    Ambiguous {
        /// The server of the tool.
        server: String,
        /// The name of the tool.
        tool: String,
    },
    /// The tool is not the one that was reviewed.
    #[error(
        "the digest of {} is now `{listed}`, not what was given; review it again with `callgate pin diff`",
        Quoted(tool)
    )]
    AnotherDigest {
        /// The name of the tool.
        tool: String,
        /// The first digits of what its server lists.
        listed: String,
    },
    /// Too many definitions of one tool at once.
    #[error(
        "{} has {MAX_ACCEPTED} accepted definitions already; accept this one in place of them",
        Quoted(tool)
    )]
    TooManyAccepted {
        /// The name of the tool.
        tool: String,
    },
}
