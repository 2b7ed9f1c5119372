//! Errors in a line that are found before it is read as a message.

/// An error in a line of the client, which is not forwarded. Each is a sentence for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A line longer than the limit.
    #[error("the line has more than {limit_bytes} bytes, which is more than is judged; send less")]
    TooLong {
        /// The maximum length.
        limit_bytes: usize,
    },
    /// A carriage return stands in it, which ends a line for some servers: they would read a second message.
    #[error(
        "a carriage return stands within the line, which some servers take for its end; write messages without any"
    )]
    CarriageReturn,
    /// The input ended before the line did.
    #[error(
        "the input ended within the line, so that something of it may be missing; end each message with a newline"
    )]
    Cut,
    /// Another request of this id waits for its reply.
    #[error("another request with this `id` has not been answered yet; give each request an id of its own")]
    IdInUse,
    /// Too many requests wait for their replies.
    #[error(
        "{} requests have not been answered yet; wait for some of their replies",
        super::open::MOST_OPEN
    )]
    TooManyOpen,
    /// The id is longer than what is kept of a request.
    #[error(
        "the `id` is longer than {} bytes; send a shorter one",
        crate::id::MOST_ID_BYTES
    )]
    LongId,
    /// The id is none under which a reply could be known again: readers who count in doubles take it for another one.
    #[error(
        "the `id` is neither a string nor an integer between -9007199254740991 and 9007199254740991, or is there \
         twice; send one that is, once"
    )]
    UnclearId,
}
