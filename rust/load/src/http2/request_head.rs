//! The header block of a request, the same for all requests of a connection.

use super::hpack::{entry_bytes, put_integer, put_string};

/// `:method: POST` in the static table.
const METHOD_POST: u8 = 0x80 | 3;
/// `:scheme: http` and `:scheme: https` in the static table.
const SCHEME_HTTP: u8 = 0x80 | 6;
const SCHEME_HTTPS: u8 = 0x80 | 7;
/// Entries of the static table; the newest entry of the dynamic table follows them.
const STATIC_ENTRIES: usize = 61;

/// The header block of a connection's requests. The first block adds the fields to the peer's dynamic table; the next
/// blocks refer to them by index.
// No `Debug`: the token is a secret.
pub(super) struct RequestHead {
    scheme: u8,
    fields: Vec<(&'static str, String)>,
    /// The fields' size in a dynamic table.
    table_bytes: usize,
    peer_table_bytes: usize,
    state: State,
    /// The block of the first request, if it differs from the others.
    first: Vec<u8>,
    /// The block of all other requests.
    block: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer's table does not contain the fields yet.
    New,
    /// The peer's table contains the fields and nothing else.
    Remembered,
    /// The peer's table has shrunk, and the next block must begin with the new size.
    Shrunk,
    /// The peer's table is too small: every block contains the fields as literals.
    Spelled,
}

impl RequestHead {
    pub(super) fn new(is_tls: bool, authority: &str, path: &str, token: Option<&str>) -> Self {
        let mut fields = vec![
            (":path", path.to_owned()),
            (":authority", authority.to_owned()),
            ("te", "trailers".to_owned()),
            ("content-type", "application/grpc".to_owned()),
            (
                "user-agent",
                concat!("callgate-bench/", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
        ];
        if let Some(token) = token {
            fields.push(("authorization", format!("Bearer {token}")));
        }
        let table_bytes = fields
            .iter()
            .map(|(name, value)| entry_bytes(name.as_bytes(), value.as_bytes()))
            .sum();
        Self {
            scheme: if is_tls { SCHEME_HTTPS } else { SCHEME_HTTP },
            fields,
            table_bytes,
            peer_table_bytes: super::hpack::DEFAULT_TABLE_BYTES,
            state: State::New,
            first: Vec::new(),
            block: Vec::new(),
        }
    }

    /// Sets the size of the peer's table from now on.
    pub(super) fn peer_table(&mut self, bytes: usize) {
        // A table larger than the default is not used, so its size is not announced.
        if bytes < self.peer_table_bytes {
            self.state = State::Shrunk;
        }
        self.peer_table_bytes = bytes.min(self.peer_table_bytes);
    }

    /// The block of the next request.
    pub(super) fn next(&mut self) -> &[u8] {
        if self.state == State::Remembered || self.state == State::Spelled {
            return &self.block;
        }
        let mut now = Vec::new();
        if self.state == State::Shrunk {
            put_integer(&mut now, 0x20, 5, self.peer_table_bytes);
        }
        let fits = self.table_bytes <= self.peer_table_bytes;
        now.extend([METHOD_POST, self.scheme]);
        for (name, value) in &self.fields {
            // Literals with a new name: added to the table (0x40), or not (0x00).
            now.push(if fits { 0x40 } else { 0x00 });
            put_string(&mut now, name.as_bytes());
            put_string(&mut now, value.as_bytes());
        }
        let mut later = vec![METHOD_POST, self.scheme];
        for position in 0..self.fields.len() {
            put_integer(&mut later, 0x80, 7, STATIC_ENTRIES + self.fields.len() - position);
        }
        if fits {
            self.state = State::Remembered;
            self.block = later;
            self.first = now;
            &self.first
        } else {
            self.state = State::Spelled;
            self.block = now;
            &self.block
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hpack::Decoder;
    use super::*;

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Vec<String> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder
            .decode(block, |name, value| {
                fields.push(format!("{}: {}", text(name), text(value)));
            })
            .unwrap();
        fields
    }

    #[test]
    fn every_block_says_the_same() {
        for peer_table_bytes in [4_096, 64, 0] {
            let mut decoder = Decoder::new();
            let mut head = RequestHead::new(false, "localhost", "/s/M", Some("secret"));
            head.peer_table(peer_table_bytes);
            let first = decoded(&mut decoder, head.next());
            assert_eq!(first[..3], [":method: POST", ":scheme: http", ":path: /s/M"]);
            assert_eq!(first.last().unwrap(), "authorization: Bearer secret");
            for _ in 0..2 {
                assert_eq!(decoded(&mut decoder, head.next()), first);
            }
        }
    }

    #[test]
    fn a_table_that_shrinks_later_is_followed() {
        let mut decoder = Decoder::new();
        let mut head = RequestHead::new(true, "localhost", "/s/M", None);
        let first = decoded(&mut decoder, head.next());
        assert!(head.next().len() < 10, "later blocks are indexes");
        head.peer_table(100);
        assert_eq!(decoded(&mut decoder, head.next()), first);
        assert_eq!(decoded(&mut decoder, head.next()), first);
        // A table that was larger once is not filled again.
        head.peer_table(4_096);
        assert_eq!(decoded(&mut decoder, head.next()), first);
    }
}
