//! The received part of an answer.

use http::{HeaderMap, StatusCode};

use super::failure::Failure;

/// Bytes before each gRPC message: a flag and a length.
const PREFIX_BYTES: usize = 5;

/// The largest accepted message, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// The received part of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// An incomplete message.
    partial: Vec<u8>,
    pub(super) head: Head,
}

/// The relevant fields of the header blocks.
#[derive(Debug, Default)]
pub(super) struct Head {
    http_status: Option<String>,
    content_type: Option<String>,
    grpc_status: Option<u32>,
    grpc_message: String,
    is_ok: bool,
}

impl Head {
    /// Reads the HTTP status.
    pub(super) fn status(&mut self, status: StatusCode) {
        self.is_ok = status == StatusCode::OK;
        if !self.is_ok {
            self.http_status = Some(status.as_str().to_owned());
        }
    }

    /// Reads the fields of one of the answer's header blocks.
    pub(super) fn fields(&mut self, fields: &HeaderMap) {
        for (name, value) in fields {
            self.field(name.as_str(), value.as_bytes());
        }
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            "content-type" if !value.starts_with(b"application/grpc") => self.content_type = Some(text()),
            "content-type" => self.content_type = None,
            "grpc-status" => self.grpc_status = text().parse().ok(),
            "grpc-message" => self.grpc_message = percent_decoded(value),
            _ => {}
        }
    }

    fn verdict(&mut self) -> Result<(), Failure> {
        match self.grpc_status {
            Some(0) if self.is_ok => Ok(()),
            Some(code) if code != 0 => Err(Failure::Status(code, std::mem::take(&mut self.grpc_message))),
            _ => Err(match (self.http_status.take(), self.content_type.take()) {
                (Some(status), _) => Failure::Http(status),
                (None, Some(content_type)) => Failure::NotGrpc(content_type),
                (None, None) => Failure::BadAnswer("it has no `grpc-status`"),
            }),
        }
    }
}

impl Answer {
    /// Reads bytes of the answer, and passes each complete message to `take`.
    pub(super) fn received(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Failure> {
        if !self.partial.is_empty() {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            let used = messages(&joined, &mut take)?;
            joined.drain(..used);
            self.partial = joined;
            return Ok(());
        }
        bytes = bytes.get(messages(bytes, &mut take)?..).unwrap_or_default();
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// The result of the answer, once the peer has ended it.
    pub(super) fn verdict(&mut self) -> Result<(), Failure> {
        self.head.verdict()?;
        if self.partial.is_empty() {
            Ok(())
        } else {
            Err(Failure::BadAnswer("its last message is cut off"))
        }
    }
}

/// Passes on complete messages; returns their length in bytes.
fn messages(bytes: &[u8], take: &mut impl FnMut(&[u8])) -> Result<usize, Failure> {
    let mut used = 0;
    while let Some([flag, l0, l1, l2, l3, rest @ ..]) = bytes.get(used..) {
        if *flag != 0 {
            return Err(Failure::BadAnswer(
                "a message is compressed, which was not offered",
            ));
        }
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
        if length > MAX_MESSAGE_BYTES {
            return Err(Failure::BadAnswer("a message is larger than 64 MiB"));
        }
        let Some(message) = rest.get(..length) else { break };
        take(message);
        used += PREFIX_BYTES + length;
    }
    Ok(used)
}

/// The text of a `grpc-message`: percent-encoded UTF-8. Control characters are removed, so that it stays one line.
fn percent_decoded(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .first_chunk::<2>()
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_any_pieces() {
        let bytes = [
            &[0, 0, 0, 0, 2][..],
            b"ab",
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            b"c",
        ]
        .concat();
        for size in 1..=bytes.len() {
            let (mut answer, mut messages) = (Answer::default(), Vec::new());
            for piece in bytes.chunks(size) {
                answer
                    .received(piece, |message| messages.push(message.to_vec()))
                    .unwrap();
            }
            assert_eq!(messages, [b"ab".to_vec(), b"".to_vec(), b"c".to_vec()]);
        }
    }

    #[test]
    fn verdicts() {
        let verdict = |status, fields: &[(&str, &str)]| {
            let mut answer = Answer::default();
            answer.head.status(status);
            for (name, value) in fields {
                answer.head.field(name, value.as_bytes());
            }
            answer.verdict()
        };
        let ok = StatusCode::OK;
        let grpc = ("content-type", "application/grpc+proto");
        assert_eq!(verdict(ok, &[grpc, ("grpc-status", "0")]), Ok(()));
        assert_eq!(
            verdict(ok, &[grpc, ("grpc-status", "16"), ("grpc-message", "who?")]),
            Err(Failure::Status(16, "who?".to_owned()))
        );
        assert_eq!(
            verdict(StatusCode::NOT_FOUND, &[("content-type", "text/html")]),
            Err(Failure::Http("404".to_owned()))
        );
        assert_eq!(
            verdict(ok, &[("content-type", "text/html")]),
            Err(Failure::NotGrpc("text/html".to_owned()))
        );
        assert!(matches!(verdict(ok, &[grpc]), Err(Failure::BadAnswer(_))));
    }

    #[test]
    fn messages_are_decoded_to_one_line() {
        for (encoded, text) in [
            ("who%20asks%3F", "who asks?"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("gr%C3%BC%C3%9Fe%0Atwo", "gr\u{fc}\u{df}e two"),
        ] {
            assert_eq!(percent_decoded(encoded.as_bytes()), text);
        }
    }

    #[test]
    fn a_message_cut_off_is_no_answer() {
        let mut answer = Answer::default();
        answer.head.status(StatusCode::OK);
        answer.head.field("grpc-status", b"0");
        answer.received(&[0, 0, 0, 0, 9, 1], |_| ()).unwrap();
        assert!(answer.verdict().is_err());
        assert!(Answer::default().received(&[1, 0, 0, 0, 0], |_| ()).is_err());
    }
}
