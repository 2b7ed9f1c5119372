//! From the server to the client: bytes as they come, but for the lists of tools.

use std::io;
use std::sync::Arc;

use callgate_mcp::LineBreaks;
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::MutexGuard;

use super::response::is_response;
use super::returns::without_returns;
use super::shared::Shared;
use crate::glance::{Glance, Id};
use crate::id::RequestId;

/// The number of bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Of a line that nobody has to look at, this much is held before it begins to go on: so a line that comes slowly does not
/// keep others waiting, and one that is cut off leaves nothing behind.
const SHORT_BYTES: usize = 64 * 1024;

/// Ends a line of which some has gone on so that it is no JSON, wherever that was.
const BREAK: &[u8] = b"!\n";

/// Server to client.
pub(super) struct Downward<R, O> {
    pub(super) server: R,
    pub(super) shared: Arc<Shared<O>>,
    /// A reply that has to be cut, or may have to be, is held up to this length.
    pub(super) held_limit_bytes: usize,
}

/// The reason why this direction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DownwardEnd {
    /// The server's output has ended.
    Output,
    /// The client takes no more.
    ClientGone,
}

/// The handling of the line that is passing.
enum Way<'s, O> {
    /// Holds the bytes that have arrived.
    Held(Vec<u8>),
    /// Forwards the bytes as they arrive.
    Passing(MutexGuard<'s, O>),
    /// Withholds a line that may be a list and is longer than the limit.
    Withheld { limit_bytes: usize },
}

/// One line, as far as it has come.
struct Going<'s, O> {
    glance: Glance,
    way: Way<'s, O>,
}

impl<O> Going<'_, O> {
    fn new() -> Self {
        Self {
            glance: Glance::default(),
            way: Way::Held(Vec::new()),
        }
    }
}

impl<R, O> Downward<R, O>
where
    R: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
{
    /// Goes on until one of the ends is gone.
    pub(super) async fn run(mut self) -> DownwardEnd {
        let shared = Arc::clone(&self.shared);
        let mut piece = vec![0; PIECE_BYTES];
        let mut going = Going::new();
        let mut breaks = LineBreaks::default();
        // Of what was read before: a carriage return, which stands before a newline or not.
        let mut kept_bytes = 0;
        loop {
            let room = piece.get_mut(kept_bytes..).unwrap_or_default();
            let read_bytes = match self.server.read(room).await {
                Ok(read_bytes) if read_bytes > 0 => kept_bytes + read_bytes,
                _ => break,
            };
            let read = piece.get_mut(..read_bytes).unwrap_or_default();
            let settled_bytes = without_returns(read);
            let settled = read.get(..settled_bytes).unwrap_or_default();
            let settled = breaks.escape(settled);
            if self.piece(&shared, &mut going, &settled).await.is_err() {
                return DownwardEnd::ClientGone;
            }
            kept_bytes = read_bytes - settled_bytes;
            piece.copy_within(settled_bytes..read_bytes, 0);
        }
        match self.cut_off(going).await {
            Ok(()) => DownwardEnd::Output,
            Err(_) => DownwardEnd::ClientGone,
        }
    }

    /// Takes the next bytes.
    async fn piece<'s>(
        &self,
        shared: &'s Shared<O>,
        going: &mut Going<'s, O>,
        piece: &[u8],
    ) -> io::Result<()> {
        // Whole lines that go on as they are.
        let mut out = Vec::new();
        let mut rest = piece;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).map(|at| at + 1);
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            going.glance.pass(part);
            match &mut going.way {
                Way::Held(held) => held.extend_from_slice(part),
                Way::Passing(output) if self.turns_out_a_list(&going.glance, end.is_some()) => {
                    output.write_all(BREAK).await?;
                    output.flush().await?;
                    going.way = Way::Withheld {
                        limit_bytes: SHORT_BYTES,
                    };
                }
                Way::Passing(output) => output.write_all(part).await?,
                Way::Withheld { .. } => {}
            }
            if end.is_some() {
                let line = std::mem::replace(going, Going::new());
                self.whole(line, &mut out).await?;
            } else {
                if !out.is_empty() {
                    write(shared, &std::mem::take(&mut out)).await?;
                }
                self.part(shared, going).await?;
            }
        }
        if out.is_empty() {
            Ok(())
        } else {
            write(shared, &out).await
        }
    }

    /// Finishes a line. Short output is left in `out`.
    async fn whole(&self, line: Going<'_, O>, out: &mut Vec<u8>) -> io::Result<()> {
        let Going { glance, way } = line;
        let before_bytes = out.len();
        match way {
            Way::Held(held) if self.may_have_to_be_cut(&glance) => {
                out.extend_from_slice(&self.cut(&held, &glance));
            }
            Way::Held(held) => out.extend_from_slice(&held),
            Way::Passing(mut output) => output.flush().await?,
            Way::Withheld { limit_bytes } => {
                let message = self.shared.judge.withhold(limit_bytes, glance.known_id());
                out.extend_from_slice(message.as_bytes());
                out.push(b'\n');
            }
        }
        if glance.is_reply()
            && let Some(id) = glance.known_id()
        {
            self.close(id, out.get(before_bytes..).unwrap_or_default());
        }
        Ok(())
    }

    /// The reply to this request has gone on as `reply`, of which a list's is all that there is.
    fn close(&self, id: &RequestId, reply: &[u8]) {
        let mut open = self.shared.open();
        let was_open = if open.lists(id) == Some(true) && !is_response(reply, id) {
            // A client that rejects it takes the next one for the list.
            open.cancel(id);
            true
        } else {
            open.close(id)
        };
        if was_open && open.waiting() == 0 {
            self.shared.answered.notify_one();
        }
    }

    /// More of a line is to come.
    async fn part<'s>(&self, shared: &'s Shared<O>, going: &mut Going<'s, O>) -> io::Result<()> {
        let Way::Held(held) = &mut going.way else {
            return Ok(());
        };
        if self.may_have_to_be_cut(&going.glance) {
            if held.len() > self.held_limit_bytes {
                going.way = Way::Withheld {
                    limit_bytes: self.held_limit_bytes,
                };
            }
        } else if held.len() > SHORT_BYTES {
            let held = std::mem::take(held);
            let mut output = shared.output.lock().await;
            output.write_all(&held).await?;
            going.way = Way::Passing(output);
        }
        Ok(())
    }

    /// The server's output has ended, perhaps within a line.
    async fn cut_off(&self, line: Going<'_, O>) -> io::Result<()> {
        let Going { glance, way } = line;
        match way {
            // The bytes that came are forwarded, and the line is ended, so that the next message has its own line.
            Way::Passing(mut output) => {
                let is_list = self.turns_out_a_list(&glance, true);
                output.write_all(if is_list { BREAK } else { b"\n" }).await?;
                output.flush().await
            }
            Way::Held(_) | Way::Withheld { .. } => Ok(()),
        }
    }

    /// Returns true if a line is a list of tools to some client, or may become one while it is incomplete.
    ///
    /// The id of a request for a list does not matter: some clients take `1.0` for `1`. Nor does a missing method: some
    /// clients look for a result first. Nor does an open request: a server may guess the id of one that is on its way.
    /// Other messages come back unchanged.
    fn may_have_to_be_cut(&self, glance: &Glance) -> bool {
        let open = self.shared.open();
        let is_awaited = open.awaits_list();
        let asks = glance.has_method() && !glance.has_answer();
        let is_other = || glance.known_id().and_then(|id| open.lists(id)) == Some(false);
        let is_early = || glance.has_answer() && glance.id() != &Id::Absent;
        // For some clients, further bytes on the line are a message of their own.
        is_awaited && glance.has_more() || !asks && !is_other() && (is_awaited || is_early())
    }

    /// Returns true if a line that is being forwarded must stop: a list was requested since, or the line has another
    /// id. This is unknown before it names its id, or ends.
    fn turns_out_a_list(&self, glance: &Glance, is_whole: bool) -> bool {
        (is_whole || glance.is_over() || glance.id() != &Id::Absent) && self.may_have_to_be_cut(glance)
    }

    fn cut(&self, line: &[u8], glance: &Glance) -> Vec<u8> {
        let message = crate::lines::text(line);
        if message.trim_ascii().is_empty() {
            return line.to_vec();
        }
        let id = glance.known_id();
        let listing = id.map(|id| self.shared.open().listing(id)).unwrap_or_default();
        let mut cut = self.shared.judge.cut(message, id, &listing).into_owned();
        // With the end that it had.
        cut.extend_from_slice(line.get(message.len()..).unwrap_or(b"\n"));
        cut
    }
}

async fn write<O: AsyncWrite + Unpin>(shared: &Shared<O>, bytes: &[u8]) -> io::Result<()> {
    let mut output = shared.output.lock().await;
    output.write_all(bytes).await?;
    output.flush().await
}
