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
        let media = media.unwrap_or_default().to_ascii_lowercase();
        let mut parameters = media.split(';').map(str::trim);
        let media = parameters.next().unwrap_or_default();
        let is_json = media == "application/json" || media.ends_with("+json");
        let is_stream = media == "text/event-stream";
        if !is_json && !is_stream {
            let may_be_read = match holds {
                Holds::List | Holds::Anything => head.status.is_success(),
                // Some clients look for these words alone.
                Holds::Nothing => media.contains("json") || media.contains("event-stream"),
            };
            return if may_be_read {
                Self::Unreadable("it is neither JSON nor a stream of events")
            } else {
                Self::Other
            };
        }
        if !parameters.all(is_utf_8) {
            return Self::Unreadable("it is not in UTF-8, the encoding of JSON");
        }
        match encoding(head) {
            Some(encoding) if is_json => Self::Json(encoding),
            Some(encoding) => Self::Stream(encoding),
            None => Self::Unreadable("it is compressed in a way that is not known here"),
        }
    }
}

/// Whether a parameter leaves the encoding as it is. Readers decode by `charset`, whatever the standards say.
fn is_utf_8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return !parameter.contains("charset");
    };
    name.trim_end() != "charset" || matches!(value.trim().trim_matches('"'), "utf-8" | "utf8")
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
