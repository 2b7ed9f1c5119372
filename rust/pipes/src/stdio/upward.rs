//! From the client to the server: every line is judged first.

use std::sync::Arc;

use callgate_core::json::Tape;
use callgate_gateway::pins::Listing;
use callgate_mcp::LineBreaks;
use memchr::{memchr, memmem};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::fault::LineError;
use super::judging::{Forward, Judged, Looks};
use super::shared::Shared;
use crate::failed::{UPSTREAM_FAILED, failed};
use crate::glance::{Glance, Id};
use crate::id::RequestId;
use crate::lines::{Line, Lines, text};

const CANCELLED: &str = "notifications/cancelled";

/// The message for a request that the server did not take.
const UNREACHED: &str = "the server takes no more input, so the request has not reached it; start it again";

/// The reason why this direction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpwardEnd {
    /// The client's input has ended.
    Input,
    /// The client takes no more output.
    ClientGone,
    /// The server is gone.
    Over,
}

/// Client to server.
pub(super) struct Upward<R, W, O> {
    pub(super) lines: Lines<R>,
    /// The server's end; `None` once it takes nothing more.
    pub(super) server: Option<W>,
    pub(super) shared: Arc<Shared<O>>,
    /// Becomes true when the server is gone.
    pub(super) over: watch::Receiver<bool>,
}

/// The part of a line that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    Whole,
    /// Some of it, so that the server may have read it.
    Partly,
    Nothing,
}

/// The client takes no more output.
struct ClientGone;

impl<R, W, O> Upward<R, W, O>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
    O: AsyncWrite + Unpin,
{
    /// Goes on until one of the ends is gone. The server's input ends with this.
    pub(super) async fn run(mut self) -> UpwardEnd {
        loop {
            let next = tokio::select! {
                biased;
                _ = self.over.wait_for(|over| *over) => return UpwardEnd::Over,
                next = self.lines.next() => next,
            };
            // An input that cannot be read has ended.
            let Ok(Some(line)) = next else {
                return UpwardEnd::Input;
            };
            if let Err(ClientGone) = self.line(line).await {
                return UpwardEnd::ClientGone;
            }
        }
    }

    async fn line(&mut self, line: Line) -> Result<(), ClientGone> {
        let (line, fault) = match line {
            Line::TooLong(glance) => {
                let limit_bytes = self.lines.limit_bytes();
                return self.refuse(LineError::TooLong { limit_bytes }, &glance).await;
            }
            Line::Cut(line) => (line, Some(LineError::Cut)),
            Line::Whole(line) => {
                let has_return = memchr(b'\r', text(&line)).is_some();
                (line, has_return.then_some(LineError::CarriageReturn))
            }
        };
        // The judged line is one line for the server as well, whichever characters end a line there.
        let line = LineBreaks::default().escape(&line);
        let message = text(&line);
        if message.trim_ascii().is_empty() {
            // Nothing stands in it, so that nobody waits for anything.
            return Ok(());
        }
        let glance = Glance::of(message);
        let id = glance.known_id().filter(|_| glance.has_method());
        let fault = fault.or_else(|| match glance.id() {
            Id::Long => Some(LineError::LongId),
            // Its reply would come under an id that nobody waits for.
            Id::Unclear if glance.has_method() => Some(LineError::UnclearId),
            _ => id.and_then(|id| self.shared.open().admits(id).err()),
        });
        if let Some(fault) = fault {
            return self.refuse(fault, &glance).await;
        }
        match self.shared.judge.judge(message, looks(&glance)) {
            Judged::Forward(forward) => self.forward(&line, id, forward).await,
            Judged::Reply(reply) => self.say(&reply).await,
            Judged::Drop => Ok(()),
        }
    }

    async fn forward(
        &mut self,
        line: &[u8],
        id: Option<&RequestId>,
        forward: Forward,
    ) -> Result<(), ClientGone> {
        if let Some(id) = id {
            // Before the server can answer.
            let listing = forward.lists.then(|| Listing::of_request(text(line)));
            self.shared.open().insert(id.clone(), listing);
        }
        let delivered = self.deliver(line).await;
        if let Some(reservation) = forward.reservation {
            self.shared
                .judge
                .settle(reservation, delivered != Delivered::Nothing);
        }
        if delivered != Delivered::Whole {
            self.server = None;
        }
        if delivered == Delivered::Nothing {
            if let Some(id) = id {
                self.shared.open().close(id);
                return self.say(&failed(Some(id), UPSTREAM_FAILED, UNREACHED)).await;
            }
        } else if let Some(id) = cancelled(text(line)) {
            self.shared.open().cancel(&id);
        }
        Ok(())
    }

    /// Writes a line to the server, as long as it is there.
    async fn deliver(&mut self, line: &[u8]) -> Delivered {
        let Some(server) = &mut self.server else {
            return Delivered::Nothing;
        };
        let mut rest = line;
        while !rest.is_empty() {
            let written = tokio::select! {
                biased;
                written = server.write(rest) => written,
                _ = self.over.wait_for(|over| *over) => Ok(0),
            };
            match written {
                Ok(written_bytes) if written_bytes > 0 => {
                    rest = rest.get(written_bytes..).unwrap_or_default();
                }
                _ if rest.len() == line.len() => return Delivered::Nothing,
                _ => return Delivered::Partly,
            }
        }
        match server.flush().await {
            Ok(()) => Delivered::Whole,
            Err(_) => Delivered::Partly,
        }
    }

    async fn refuse(&self, fault: LineError, glance: &Glance) -> Result<(), ClientGone> {
        let reply = self.shared.judge.refuse(fault, glance.known_id());
        self.say(&reply).await
    }

    async fn say(&self, reply: &str) -> Result<(), ClientGone> {
        self.shared.say(reply).await.map_err(|_| ClientGone)
    }
}

fn looks(glance: &Glance) -> Looks {
    match (glance.id(), glance.has_method()) {
        (Id::Known(_), true) => Looks::Request,
        (Id::Absent, true) => Looks::Notification,
        _ if glance.is_reply() => Looks::Response,
        _ => Looks::Unclear,
    }
}

/// Returns the request that this message cancels, if any.
fn cancelled(message: &[u8]) -> Option<RequestId> {
    // Its own reading is needed for hardly any message.
    memmem::find(message, b"cancelled")?;
    let mut tape = Tape::new();
    let message = tape
        .parse(message, callgate_mcp::message::MAX_MESSAGE_DEPTH)
        .ok()?;
    (message.get("method")?.as_str()? == CANCELLED).then_some(())?;
    RequestId::of_json(message.get("params")?.get("requestId")?.raw())
}
