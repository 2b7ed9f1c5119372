//! One client, one server, and this process between them.

use std::future::pending;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::child::{ServerCommand, ServerProcess, SpawnError, exit_code, reason};
use super::downward::{Downward, DownwardEnd};
use super::ending::{Ending, Next};
use super::judging::Judging;
use super::shared::Shared;
use super::upward::{Upward, UpwardEnd};
use crate::client;
use crate::lines::Lines;
use crate::signals::Signals;

/// The number of bytes that are read from the client at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The time to wait for the last output of a server that has ended: a process that it started may hold its output open,
/// and a client may not read.
const DRAINING: Duration = Duration::from_secs(2);

/// The settings of a wrapped server.
#[derive(Clone, Debug)]
pub struct WrapSettings {
    /// The server.
    pub command: ServerCommand,
    /// The time that the server may take to end after its input has, and again after SIGTERM.
    pub grace: Duration,
    /// The longest line of the client that is read.
    pub line_limit_bytes: usize,
    /// The longest reply that is held because it may be a list of tools.
    pub held_limit_bytes: usize,
}

/// An error at the start of a wrapped server.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// The server cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The operating system refuses something.
    #[error("cannot watch for signals and the server's end: {0}")]
    System(#[from] io::Error),
}

/// Stands between the client at standard input and output and the server, until the server has ended; gives the exit code
/// of a shell that had run it.
///
/// Needs a runtime with several threads. Standard input is read on a thread that may outlive this.
pub async fn wrap(settings: WrapSettings, judge: Arc<dyn Judging>) -> Result<i32, WrapError> {
    let input = BufReader::with_capacity(PIECE_BYTES, tokio::io::stdin());
    between(settings, judge, input, tokio::io::stdout(), client::gone()).await
}

/// Wraps a server like [`wrap`], with this input and output of the client.
pub(super) async fn between<R, O>(
    settings: WrapSettings,
    judge: Arc<dyn Judging>,
    input: R,
    output: O,
    gone: oneshot::Receiver<()>,
) -> Result<i32, WrapError>
where
    R: AsyncBufRead + Send + Sync + Unpin + 'static,
    O: AsyncWrite + Send + Unpin + 'static,
{
    // Before the server can be in anybody's way.
    let signals = Signals::listen()?;
    let (server, stdin, stdout) = ServerProcess::start(&settings.command)?;
    let shared = Arc::new(Shared::new(judge, output));
    let (over, watching) = watch::channel(false);
    let upward = Upward {
        lines: Lines::new(input, settings.line_limit_bytes),
        server: Some(stdin),
        shared: Arc::clone(&shared),
        over: watching,
    };
    let downward = Downward {
        server: stdout,
        shared: Arc::clone(&shared),
        held_limit_bytes: settings.held_limit_bytes,
    };
    let mut wrapped = Wrapped {
        server,
        signals,
        upward: Some(tokio::spawn(upward.run())),
        downward: Some(tokio::spawn(downward.run())),
        gone: Some(gone),
        over,
        ending: Ending::new(settings.grace),
        shared,
    };
    let status = wrapped.tend().await?;
    wrapped.finish(status).await;
    Ok(exit_code(status))
}

struct Wrapped<O> {
    server: ServerProcess,
    signals: Signals,
    upward: Option<JoinHandle<UpwardEnd>>,
    downward: Option<JoinHandle<DownwardEnd>>,
    gone: Option<oneshot::Receiver<()>>,
    over: watch::Sender<bool>,
    ending: Ending,
    shared: Arc<Shared<O>>,
}

impl<O: AsyncWrite + Unpin> Wrapped<O> {
    /// Waits for the server's end, and sees to it that it comes once nobody needs the server any more.
    async fn tend(&mut self) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = self.server.wait() => return status,
                signal = self.signals.next() => {
                    self.server.send(signal);
                    if signal == Signal::TERM {
                        self.ending.terminated(Instant::now());
                    }
                }
                end = finished(&mut self.upward) => match end {
                    Some(UpwardEnd::Input) => {
                        let is_waited_for = self.shared.open().waiting() > 0;
                        self.ending.close(Instant::now(), is_waited_for);
                    }
                    _ => self.leave(),
                },
                // Without output it answers nobody, and without a client there is nobody to be answered.
                _ = finished(&mut self.downward) => self.leave(),
                () = told(&mut self.gone) => self.leave(),
                () = self.shared.answered.notified() => self.ending.hurry(Instant::now()),
                () = until(self.ending.due()) => match self.ending.escalate(Instant::now()) {
                    Some(Next::Terminate) => self.server.send(Signal::TERM),
                    Some(Next::Kill) => self.server.send(Signal::KILL),
                    None => {}
                },
            }
        }
    }

    /// Ends the server's input, because nothing more can be sent to the client.
    fn leave(&mut self) {
        self.over.send_replace(true);
        let now = Instant::now();
        self.ending.close(now, false);
        self.ending.hurry(now);
    }

    /// Finishes after the server's end: forwards its last output, and answers the requests that are still open.
    async fn finish(mut self, status: ExitStatus) {
        self.over.send_replace(true);
        // Processes that the server has left behind would go on without an owner.
        self.server.send(Signal::TERM);
        if let Some(mut downward) = self.downward.take()
            && timeout(DRAINING, &mut downward).await.is_err()
        {
            downward.abort();
            // Its locks are free once it has ended.
            let _ = downward.await;
        }
        if let Some(mut upward) = self.upward.take()
            && timeout(DRAINING, &mut upward).await.is_err()
        {
            upward.abort();
        }
        // A client that does not read cannot be told.
        let _ = timeout(DRAINING, self.shared.fail_all(&reason(status))).await;
    }
}

/// Waits for the result of a task, once; `None` if it panicked.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    let Some(running) = task else {
        return pending().await;
    };
    let end = running.await.ok();
    *task = None;
    end
}

async fn told(gone: &mut Option<oneshot::Receiver<()>>) {
    let Some(waiting) = gone else {
        return pending().await;
    };
    let is_gone = waiting.await.is_ok();
    *gone = None;
    if !is_gone {
        pending::<()>().await;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
