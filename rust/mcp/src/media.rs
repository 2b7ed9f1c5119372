//! The media type of a reply, from its `content-type`.

/// The kind of a body on which all readers agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// One JSON message.
    Json,
    /// An event stream.
    Events,
    /// One of the two in another encoding than UTF-8: readers decode by `charset`, although the standards forbid it.
    OtherEncoding,
    /// Neither, but it contains these words, which is enough for some clients.
    LooksAlike,
    /// A body that cannot hold a message.
    Other,
}

impl Media {
    /// Reads the single value of the field.
    ///
    /// ```
    /// use callgate_mcp::Media;
    ///
    /// assert_eq!(Media::of(Some("Application/JSON; charset=utf-8")), Media::Json);
    /// assert_eq!(Media::of(Some("text/event-stream; charset=utf-16")), Media::OtherEncoding);
    /// assert_eq!(Media::of(Some("text/event-stream, text/plain")), Media::LooksAlike);
    /// ```
    pub fn of(content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        let mut parameters = content_type.split(';').map(str::trim);
        let media = parameters.next().unwrap_or_default();
        let known = if media == "application/json" || media.ends_with("+json") {
            Self::Json
        } else if media == "text/event-stream" {
            Self::Events
        } else if media.contains("json") || media.contains("event-stream") {
            return Self::LooksAlike;
        } else {
            return Self::Other;
        };
        if parameters.all(is_utf_8) {
            known
        } else {
            Self::OtherEncoding
        }
    }
}

/// Returns whether a parameter leaves the encoding at UTF-8.
fn is_utf_8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return !parameter.contains("charset");
    };
    match name.trim_end() {
        "charset" => matches!(value.trim().trim_matches('"'), "utf-8" | "utf8"),
        name => !name.starts_with("charset"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_may_read_otherwise_is_told_apart() {
        for (content_type, media) in [
            ("application/json", Media::Json),
            ("application/problem+json;charset=\"UTF-8\"", Media::Json),
            ("text/event-stream;charset=utf8; boundary=x", Media::Events),
            ("text/event-stream; charset=utf-7", Media::OtherEncoding),
            ("application/json; charset = latin-1", Media::OtherEncoding),
            ("application/json; charset*=utf-7''", Media::OtherEncoding),
            ("application/json; charset", Media::OtherEncoding),
            ("text/event-stream+x", Media::LooksAlike),
            ("application/jsonl", Media::LooksAlike),
            ("text/plain", Media::Other),
            ("", Media::Other),
        ] {
            assert_eq!(Media::of(Some(content_type)), media, "{content_type}");
        }
        assert_eq!(Media::of(None), Media::Other);
    }
}
