//! The type and encoding of a body, by the head of its reply.

use callgate_mcp::Media;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::response::Parts;

use super::{Holds, single};

/// The reason to withhold a body that could be meant as one of the two.
const NEITHER: &str = "it is neither JSON nor a stream of events";

/// The compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One message.
    Json(Encoding),
    /// A stream of events.
    Stream(Encoding),
    /// A type that cannot hold a list.
    Other,
    /// A reply that may hold a list and cannot be read, for this reason.
    Unreadable(&'static str),
}

impl Kind {
    pub(super) fn of(head: &Parts, holds: Holds) -> Self {
        let Ok(media) = single(&head.headers, &CONTENT_TYPE) else {
            return Self::Unreadable("it has no one `content-type`");
        };
        let is_json = match Media::of(media) {
            Media::Json => true,
            Media::Events => false,
            Media::OtherEncoding => return Self::Unreadable("it is not in UTF-8, the encoding of JSON"),
            Media::LooksAlike => return Self::Unreadable(NEITHER),
            Media::Other if holds != Holds::Nothing && head.status.is_success() => {
                return Self::Unreadable(NEITHER);
            }
            Media::Other => return Self::Other,
        };
        match encoding(head) {
            Some(encoding) if is_json => Self::Json(encoding),
            Some(encoding) => Self::Stream(encoding),
            None => Self::Unreadable("it is compressed in a way that is not known here"),
        }
    }
}

fn encoding(head: &Parts) -> Option<Encoding> {
    let Some(name) = single(&head.headers, &CONTENT_ENCODING).ok()? else {
        return Some(Encoding::Identity);
    };
    match name.trim().to_ascii_lowercase().as_str() {
        "identity" => Some(Encoding::Identity),
        "gzip" | "x-gzip" => Some(Encoding::Gzip),
        "deflate" => Some(Encoding::Deflate),
        "br" => Some(Encoding::Brotli),
        "zstd" => Some(Encoding::Zstd),
        _ => None,
    }
}
