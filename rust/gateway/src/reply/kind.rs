//! What the head of a reply says of its body.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::response::Parts;

use super::{Holds, single};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One message.
    Json(Encoding),
    /// A stream of events.
    Stream(Encoding),
    /// Nothing that a list could stand in.
    Other,
    /// It may hold a list that cannot be read, for this reason.
    Unreadable(&'static str),
}

impl Kind {
    pub(super) fn of(head: &Parts, holds: Holds) -> Self {
        let Ok(media) = single(&head.headers, &CONTENT_TYPE) else {
            return Self::Unreadable("it has no one `content-type`");
        };
        let media = media
            .and_then(|media| media.split(';').next())
            .unwrap_or_default();
        let media = media.trim().to_ascii_lowercase();
        let is_json = media == "application/json" || media.ends_with("+json");
        let is_stream = media == "text/event-stream";
        if !is_json && !is_stream {
            return if holds == Holds::List && head.status.is_success() {
                Self::Unreadable("it is neither JSON nor a stream of events")
            } else {
                Self::Other
            };
        }
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
