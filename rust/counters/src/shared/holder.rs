//! The process that keeps the file: answers the others.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::clocks::ReadClocks;
use super::socket::{Channel, Deadline, LinkError, Listener, beside};
use super::wire::{self, Answer, Greeting, Hello, Identity, Preamble, Request, Stamp};
use super::{AHEAD_US, PATIENCE};
use crate::store::Store;
use crate::{Demand, Now, Refusal, View};

/// Connections at once.
const MOST_PEERS: usize = 64;
/// Wait before the next try when the system has no descriptors or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The longest time by which those of a question may lie behind this process's.
const BEHIND_US: u64 = 60_000_000;

/// The service of one file for other processes.
#[derive(Debug)]
pub(super) struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    clocks: ReadClocks,
    identity: Identity,
    listener: Listener,
    peers: Mutex<Peers>,
    ended: AtomicBool,
}

/// The connections, so that they can be ended.
#[derive(Debug, Default)]
struct Peers {
    next: u64,
    streams: HashMap<u64, UnixStream>,
}

impl Service {
    /// Begins to answer beside the file at `path`, which the caller has locked.
    pub(super) fn start(
        path: &Path,
        store: Arc<Store>,
        identity: Identity,
        clocks: ReadClocks,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            clocks,
            identity,
            listener: Listener::bind(beside(path))?,
            peers: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let started = spawn(move || accepting.accept());
        if let Err(error) = started {
            shared.listener.end();
            return Err(error);
        }
        Ok(Self(shared))
    }

    /// Stops to answer. To be called before the file is unlocked. Answers that are under way are still given.
    pub(super) fn end(&self) {
        self.0.ended.store(true, Ordering::SeqCst);
        self.0.listener.end();
        for stream in self.0.lock().streams.values() {
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name("callgate-counts".to_owned());
    builder.spawn(work).map(drop)
}

impl Shared {
    fn accept(self: &Arc<Self>) {
        loop {
            let accepted = self.listener.accept();
            match accepted {
                // Those that still wait in the queue are closed one by one, so that their processes look elsewhere at once.
                Ok(_) if self.ended.load(Ordering::SeqCst) => {}
                Err(_) if self.ended.load(Ordering::SeqCst) => return,
                Ok(stream) => {
                    let shared = Arc::clone(self);
                    // Without a thread the connection is closed, and its process tries again.
                    let _ = Channel::of(stream).map(|channel| spawn(move || shared.serve(channel)));
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::INVAL | Errno::BADF | Errno::NOTSOCK) => return,
                Err(_) => thread::sleep(ACCEPT_PAUSE),
            }
        }
    }

    /// Answers one process until it goes, or breaks the protocol.
    fn serve(&self, mut channel: Channel) {
        let Ok(handle) = channel.handle() else { return };
        let number = {
            let mut peers = self.lock();
            peers.next += 1;
            let number = peers.next;
            if peers.streams.len() < MOST_PEERS {
                peers.streams.insert(number, handle);
            }
            number
        };
        // A stream that was added after the end was not ended with the others.
        if !self.ended.load(Ordering::SeqCst) {
            // Whatever went wrong, the other process sees that the connection is gone.
            let _ = self.talk(&mut channel, number);
        }
        self.lock().streams.remove(&number);
    }

    fn talk(&self, channel: &mut Channel, number: u64) -> Result<(), LinkError> {
        let deadline = Deadline::after(PATIENCE);
        let message = channel.receive(deadline)?;
        let (preamble, hello) = Preamble::of(&message).ok_or(LinkError::Malformed)?;
        if preamble.version != wire::VERSION {
            // It reads the preamble and knows.
            return channel.send(&wire::frame_one(&Preamble::OURS)?, deadline);
        }
        let greeting = self.greeting(&wire::read(hello)?, number);
        channel.send(&wire::frame(&Preamble::OURS, &greeting)?, deadline)?;
        if !matches!(greeting, Greeting::Welcome(_)) {
            return Ok(());
        }
        loop {
            let message = channel.receive_next(PATIENCE)?;
            let answer = self.answer(wire::read(&message)?);
            channel.send(&wire::frame_one(&answer)?, Deadline::after(PATIENCE))?;
        }
    }

    fn greeting(&self, hello: &Hello, number: u64) -> Greeting {
        if !self.lock().streams.contains_key(&number) {
            return Greeting::Full;
        }
        match self.clocks.read() {
            Ok(reading) if reading.boot_id == hello.boot_id => Greeting::Welcome(self.identity.clone()),
            _ => Greeting::OtherClock,
        }
    }

    fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Look { now, wanted } => self.counted(now, &wanted, None, |demands, now| {
                self.store.look(demands, now);
                // What is seen while the file is being closed may be empty.
                if self.store.is_closed() {
                    return Answer::Gone;
                }
                Answer::Views(views(demands))
            }),
            Request::Peek { now, owner, wanted } => {
                self.counted(now, &wanted, None, |demands, now| {
                    match self.store.peek(demands, &owner, now) {
                        Ok(()) => Answer::Views(views(demands)),
                        Err(refusal) => refused(refusal, demands),
                    }
                })
            }
            Request::Take {
                now,
                owner,
                wanted,
                until_us,
            } => self.counted(now, &wanted, Some(until_us), |demands, now| {
                match self.store.take(demands, &owner, now) {
                    Ok(stamp_us) => Answer::Taken {
                        stamp_us,
                        counts: demands
                            .iter()
                            .map(|demand| (demand.view, Stamp::of(demand)))
                            .collect(),
                    },
                    Err(refusal) => refused(refusal, demands),
                }
            }),
            Request::GiveBack { now, wanted, stamp } => {
                let Some(demand) = stamp.give_back(&wanted) else {
                    return Answer::Invalid;
                };
                match self.engine_us(now, None) {
                    // No units can have a later stamp.
                    Some(engine_us) if stamp.stamp_us <= engine_us.saturating_add(BEHIND_US) => {
                        self.store.give_back(&demand, now);
                        Answer::Done
                    }
                    _ => Answer::Late,
                }
            }
            Request::Count => Answer::Count(self.store.len() as u64),
            Request::CountOf { grant } => Answer::Count(self.store.len_of(&grant) as u64),
            Request::Flush => {
                let reading = self.clocks.read().map_err(|error| error.to_string());
                let flushed =
                    reading.and_then(|reading| self.store.flush(&reading).map_err(|error| error.to_string()));
                flushed.map_or_else(Answer::Failed, |()| Answer::Done)
            }
        }
    }

    /// Calls `work` with the demands of a question that makes sense and that somebody waits for, and with this moment: a
    /// while has passed since its own, in which this process may have freed room for new counts.
    fn counted(
        &self,
        now: Now,
        wanted: &[wire::Wanted],
        until_us: Option<u64>,
        work: impl FnOnce(&mut [Demand], Now) -> Answer,
    ) -> Answer {
        let Some(mut demands) = wire::demands(wanted) else {
            return Answer::Invalid;
        };
        match self.engine_us(now, until_us) {
            Some(engine_us) => work(&mut demands, now.not_before_us(engine_us)),
            None => Answer::Late,
        }
    }

    /// The time on the clock of the stamps, if a question's time is about the same, and nobody has given the question up. A
    /// time that is ahead would free units early.
    fn engine_us(&self, now: Now, until_us: Option<u64>) -> Option<u64> {
        let reading = self.clocks.read().ok()?;
        let engine_us = reading.boot_us.saturating_add_signed(self.identity.shift_us);
        let is_of_now = now.look_us() <= engine_us.saturating_add(AHEAD_US)
            && now.look_us() >= engine_us.saturating_sub(BEHIND_US)
            && now.not_before_us(engine_us).unix_us() <= reading.unix_us.saturating_add(AHEAD_US)
            && until_us.is_none_or(|until_us| reading.boot_us < until_us);
        is_of_now.then_some(engine_us)
    }

    fn lock(&self) -> MutexGuard<'_, Peers> {
        // A panic while it was held leaves at worst a connection that is not ended with the others.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn views(demands: &[Demand]) -> Vec<View> {
    demands.iter().map(|demand| demand.view).collect()
}

fn refused(refusal: Refusal, demands: &[Demand]) -> Answer {
    match refusal {
        Refusal::Unavailable => Answer::Gone,
        refusal => Answer::Refused {
            refusal,
            views: views(demands),
        },
    }
}
