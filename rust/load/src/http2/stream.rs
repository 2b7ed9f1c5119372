//! One request and the received part of its answer.

use super::failure::Failure;

/// Bytes before each gRPC message: a flag and a length.
const PREFIX_BYTES: usize = 5;

/// The largest accepted message, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// One request and the received part of its answer.
#[derive(Debug)]
pub(super) struct Stream<T> {
    /// The sender's own data.
    pub(super) own: T,
    /// Bytes for which the peer's window had no room, and the position of the next one to send.
    pub(super) unsent: Vec<u8>,
    pub(super) unsent_from: usize,
    /// The request has no more messages after `unsent`.
    pub(super) is_last: bool,
    pub(super) send_window: i64,
    /// Bytes received since the window was last opened.
    pub(super) unacknowledged: usize,
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
    /// Reads a field of the answer's header blocks.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b":status" if value == b"200" => self.is_ok = true,
            b":status" => self.http_status = Some(text()),
            b"content-type" if !value.starts_with(b"application/grpc") => self.content_type = Some(text()),
            b"content-type" => self.content_type = None,
            b"grpc-status" => self.grpc_status = text().parse().ok(),
            b"grpc-message" => self.grpc_message = percent_decoded(value),
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

impl<T> Stream<T> {
    pub(super) fn new(own: T, send_window: i64, is_last: bool) -> Self {
        Self {
            own,
            unsent: Vec::new(),
            unsent_from: 0,
            is_last,
            send_window,
            unacknowledged: 0,
            partial: Vec::new(),
            head: Head::default(),
        }
    }

    /// Reads bytes of the answer, and passes each complete message to `take`.
    pub(super) fn received(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&mut T, &[u8]),
    ) -> Result<(), Failure> {
        if !self.partial.is_empty() {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            let used = self.messages(&joined, &mut take)?;
            joined.drain(..used);
            self.partial = joined;
            return Ok(());
        }
        bytes = bytes.get(self.messages(bytes, &mut take)?..).unwrap_or_default();
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Passes on complete messages; returns their length in bytes.
    fn messages(&mut self, bytes: &[u8], take: &mut impl FnMut(&mut T, &[u8])) -> Result<usize, Failure> {
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
            take(&mut self.own, message);
            used += PREFIX_BYTES + length;
        }
        Ok(used)
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

    fn stream() -> Stream<Vec<Vec<u8>>> {
        Stream::new(Vec::new(), 0, true)
    }

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
            let mut stream = stream();
            for piece in bytes.chunks(size) {
                stream
                    .received(piece, |messages, message| messages.push(message.to_vec()))
                    .unwrap();
            }
            assert_eq!(stream.own, [b"ab".to_vec(), b"".to_vec(), b"c".to_vec()]);
        }
    }

    #[test]
    fn verdicts() {
        let verdict = |fields: &[(&str, &str)]| {
            let mut stream = stream();
            for (name, value) in fields {
                stream.head.field(name.as_bytes(), value.as_bytes());
            }
            stream.verdict()
        };
        let ok = (":status", "200");
        let grpc = ("content-type", "application/grpc+proto");
        assert_eq!(verdict(&[ok, grpc, ("grpc-status", "0")]), Ok(()));
        assert_eq!(
            verdict(&[ok, grpc, ("grpc-status", "16"), ("grpc-message", "who?")]),
            Err(Failure::Status(16, "who?".to_owned()))
        );
        assert_eq!(
            verdict(&[(":status", "404"), ("content-type", "text/html")]),
            Err(Failure::Http("404".to_owned()))
        );
        assert_eq!(
            verdict(&[ok, ("content-type", "text/html")]),
            Err(Failure::NotGrpc("text/html".to_owned()))
        );
        assert!(matches!(verdict(&[ok, grpc]), Err(Failure::BadAnswer(_))));
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
        let mut stream = stream();
        stream.head.field(b":status", b"200");
        stream.head.field(b"grpc-status", b"0");
        stream.received(&[0, 0, 0, 0, 9, 1], |_, _| ()).unwrap();
        assert!(stream.verdict().is_err());
        let mut stream = self::stream();
        assert!(stream.received(&[1, 0, 0, 0, 0], |_, _| ()).is_err());
    }
}
