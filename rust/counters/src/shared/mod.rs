//! Counters in a file that several processes share.
//!
//! One process, the *holder*, has the file and its lock. The others, the *followers*, ask it over a Unix socket beside the
//! file: a take is one question, and the holder takes the units of all its counts or of none, as for a call of its own. So
//! there is one store at any time, and the limits hold for all processes together.
//!
//! When the holder ends, a follower finds the connection closed at its next question, and the file unlocked. The first to
//! lock it takes it over, with everything that was taken: a kill loses nothing. The others find its socket. A holder that is
//! stopped keeps its lock, so nobody takes over, and its followers refuse calls until it goes on.

mod clocks;
mod follower;
mod holder;
mod reach;
mod socket;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use callgate_mapped::Owner;

use crate::file::{ClockReading, Sizes, StoreError};
use crate::reset_names::Resets;
use crate::resets::ResetTable;
use crate::store::{Store, window_us};
use crate::{Demand, Micros, Now, Refusal, View};

pub use clocks::ReadClocks;
use follower::LinkPlace;
use holder::Service;
use reach::Reached;
use socket::{Deadline, LinkError};
use wire::{Answer, Identity, Request, Stamp, Wanted};

/// The longest wait for an answer, and for a successor of a holder that has ended.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest wait for a disk.
const DISK_PATIENCE: Duration = Duration::from_secs(30);
/// The longest time by which another process's times may lie ahead. They are of the same clocks, so it is for clocks that are set meanwhile.
const AHEAD_US: u64 = 1_000_000;
/// Times that a take is sent. Each time but the last its holder has ended before it answered, and may have taken units.
const MOST_SENT: usize = 2;

/// The part of this process in the sharing of a file.
#[derive(Debug)]
pub(crate) struct Shared {
    path: PathBuf,
    sizes: Sizes,
    clocks: ReadClocks,
    owner: Owner,
    identity: Identity,
    resets: ResetTable,
    /// The file, from the moment at which this process has it.
    held: OnceLock<Held>,
    link: LinkPlace,
    closed: AtomicBool,
    fault: Mutex<Option<String>>,
}

/// The file, and its service for others.
#[derive(Debug)]
struct Held {
    store: Arc<Store>,
    service: Option<Service>,
}

/// The result of a question.
enum QuestionResult<'s> {
    /// This process has the file.
    Here(&'s Store),
    Answered(Answer),
    Failed,
}

impl Shared {
    /// Opens the file at `path` or finds the process that has it; makes a new file with `hash_key` if there is none.
    pub(crate) fn open(
        path: &Path,
        sizes: Sizes,
        hash_key: &[u8; 16],
        clocks: ReadClocks,
    ) -> Result<Self, StoreError> {
        // A process may change its folder before it takes the file over.
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let reached = reach::reach(path, sizes, Some(hash_key), &clocks, Deadline::after(PATIENCE))?;
        let identity = match &reached {
            Reached::Held(store) => identity_of(store),
            Reached::Link(_, identity) => identity.clone(),
        };
        let shared = Self {
            path: path.to_owned(),
            sizes,
            clocks,
            owner: Owner::new(),
            resets: ResetTable::with_lines(&identity.hash_key, &identity.resets()),
            identity,
            held: OnceLock::new(),
            link: LinkPlace::default(),
            closed: AtomicBool::new(false),
            fault: Mutex::default(),
        };
        match reached {
            Reached::Held(store) => {
                shared.hold(*store);
            }
            Reached::Link(link, _) => {
                if let Some(mut turn) = shared.link.wait(Deadline::after(PATIENCE)) {
                    turn.link = Some(link);
                }
            }
        }
        Ok(shared)
    }

    pub(crate) fn is_follower(&self) -> bool {
        self.held.get().is_none()
    }

    /// The reason why the last question failed, or why others cannot ask this process.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_inherited(&self) -> bool {
        !self.owner.is_here()
    }

    pub(crate) fn check_ours(&self) -> Result<(), StoreError> {
        if !self.is_inherited() {
            return Ok(());
        }
        Err(StoreError::Forked {
            path: self.path.clone(),
            pid: self.owner.pid(),
        })
    }

    /// Looks at the counts; if nobody answers, every count looks used up.
    pub(crate) fn look(&self, demands: &mut [Demand], now: Now) -> bool {
        if demands.is_empty() {
            return true;
        }
        let asked = self.ask(MOST_SENT, |_| Request::Look {
            now,
            wanted: wanted(demands),
        });
        match asked {
            QuestionResult::Here(store) => store.look(demands, store.since_opening(now)),
            QuestionResult::Answered(Answer::Views(views)) if views.len() == demands.len() => {
                fill(demands, views);
                true
            }
            QuestionResult::Answered(_) | QuestionResult::Failed => {
                look_used_up(demands, now);
                false
            }
        }
    }

    pub(crate) fn peek(&self, demands: &mut [Demand], owner: &str, now: Now) -> Result<(), Refusal> {
        let asked = self.ask(MOST_SENT, |_| Request::Peek {
            now,
            owner: owner.to_owned(),
            wanted: wanted(demands),
        });
        match asked {
            QuestionResult::Here(store) => store.peek(demands, owner, store.since_opening(now)),
            QuestionResult::Answered(Answer::Views(views)) if views.len() == demands.len() => {
                fill(demands, views);
                Ok(())
            }
            asked => Err(refusal(asked, demands)),
        }
    }

    /// Takes units. If the holder ends before it has answered, its successor is asked: so a call may be charged twice, and is
    /// never admitted without units.
    pub(crate) fn take(&self, demands: &mut [Demand], owner: &str, now: Now) -> Result<u64, Refusal> {
        let asked = self.ask(MOST_SENT, |until_us| Request::Take {
            now,
            owner: owner.to_owned(),
            wanted: wanted(demands),
            until_us,
        });
        match asked {
            QuestionResult::Here(store) => store.take(demands, owner, store.since_opening(now)),
            QuestionResult::Answered(Answer::Taken { stamp_us, counts }) if counts.len() == demands.len() => {
                for (demand, (view, stamp)) in demands.iter_mut().zip(counts) {
                    demand.view = view;
                    demand.hold = Stamp::hold(stamp);
                }
                Ok(stamp_us)
            }
            asked => Err(refusal(asked, demands)),
        }
    }

    /// Gives units back. It is asked once at most: units that were given back twice would admit another call.
    pub(crate) fn give_back(&self, demand: &Demand, now: Now) {
        let Some(stamp) = Stamp::of(demand) else { return };
        let asked = self.ask(1, |_| Request::GiveBack {
            now,
            wanted: Wanted::of(demand),
            stamp,
        });
        if let QuestionResult::Here(store) = asked {
            store.give_back(demand, now);
        }
    }

    pub(crate) fn sweep(&self, now: Now, budget: usize) {
        if let Some(store) = self.store() {
            store.sweep(now, budget);
        }
    }

    pub(crate) fn turn(&self, blocks: usize) -> bool {
        self.store().is_some_and(|store| store.turn(blocks))
    }

    pub(crate) fn blocks(&self) -> usize {
        self.store().map_or(0, Store::blocks)
    }

    pub(crate) fn growth_failures(&self) -> (u64, String) {
        self.store().map_or((0, String::new()), Store::growth_failures)
    }

    pub(crate) fn len(&self) -> usize {
        match self.ask(MOST_SENT, |_| Request::Count) {
            QuestionResult::Here(store) => store.len(),
            asked => count(&asked),
        }
    }

    pub(crate) fn len_of(&self, grant: &str) -> usize {
        let request = |_| Request::CountOf {
            grant: grant.to_owned(),
        };
        match self.ask(MOST_SENT, request) {
            QuestionResult::Here(store) => store.len_of(grant),
            asked => count(&asked),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.store().map_or(self.sizes.capacity, Store::capacity)
    }

    pub(crate) fn hash_key(&self) -> &[u8; 16] {
        &self.identity.hash_key
    }

    pub(crate) fn clock_shift_us(&self) -> i64 {
        self.identity.shift_us
    }

    /// The resets in force. They are the same for all processes that share the file, as none of them resets.
    #[inline]
    pub(crate) fn resets(&self) -> Option<Arc<Resets>> {
        self.resets.current()
    }

    pub(crate) fn resets_len(&self) -> usize {
        self.resets.len()
    }

    /// Flushes the file, wherever it is.
    pub(crate) fn flush(&self, reading: &ClockReading) -> Result<(), StoreError> {
        self.check_ours()?;
        // Over a link of its own, so that calls need not wait for the disk.
        let place = LinkPlace::default();
        match self.ask_over(&place, DISK_PATIENCE, MOST_SENT, |_| Request::Flush) {
            QuestionResult::Here(store) => store.flush(reading),
            QuestionResult::Answered(Answer::Done) => Ok(()),
            QuestionResult::Answered(Answer::Failed(error)) => Err(self.unflushed(error)),
            // After `close` there is nothing to flush.
            _ if self.closed.load(Ordering::SeqCst) => Ok(()),
            _ => Err(self.unflushed(self.fault().unwrap_or_default())),
        }
    }

    fn unflushed(&self, error: String) -> StoreError {
        StoreError::Io {
            path: self.path.clone(),
            doing: "flush",
            source: std::io::Error::other(error),
        }
    }

    /// Ends the part of this process: it closes the file if it has it, and the others go on.
    pub(crate) fn close(&self, reading: Option<&ClockReading>) -> Result<(), StoreError> {
        self.check_ours()?;
        // SeqCst: a thread that takes the file over looks at this afterwards, see `hold`.
        self.closed.store(true, Ordering::SeqCst);
        self.link.close();
        self.held.get().map_or(Ok(()), |held| held.close(reading))
    }

    fn store(&self) -> Option<&Store> {
        let held = self.held.get()?;
        (!self.is_inherited()).then_some(&*held.store)
    }

    /// Asks the holder, or finds that this process is it. Takes the file over if the holder has ended. `request` gets the
    /// boot microseconds at which the question is given up, and the question is sent `most_sent` times at most.
    fn ask(&self, most_sent: usize, request: impl Fn(u64) -> Request) -> QuestionResult<'_> {
        self.ask_over(&self.link, PATIENCE, most_sent, request)
    }

    /// Asks over the link of this place.
    fn ask_over(
        &self,
        place: &LinkPlace,
        patience: Duration,
        most_sent: usize,
        request: impl Fn(u64) -> Request,
    ) -> QuestionResult<'_> {
        if self.is_inherited() {
            return QuestionResult::Failed;
        }
        if let Some(held) = self.held.get() {
            return QuestionResult::Here(&held.store);
        }
        let asked = self.ask_other(place, patience, most_sent, || {
            let patience_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
            let until_us = self.clocks.read().ok()?.boot_us.saturating_add(patience_us);
            wire::frame_one(&request(until_us)).ok()
        });
        match asked {
            Ok(asked) => {
                if self.held.get().is_none() {
                    self.note(None);
                }
                asked
            }
            Err(error) => {
                self.note(Some(error.to_string()));
                QuestionResult::Failed
            }
        }
    }

    fn ask_other(
        &self,
        place: &LinkPlace,
        patience: Duration,
        most_sent: usize,
        framed: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<QuestionResult<'_>, StoreError> {
        let (deadline, answer_by) = (Deadline::after(PATIENCE), Deadline::after(patience));
        let Some(framed) = framed() else {
            return Ok(QuestionResult::Failed);
        };
        let mut turn = place.wait(deadline).ok_or_else(|| reach::silent(&self.path))?;
        let mut sent = 0;
        while sent < most_sent {
            if self.closed.load(Ordering::SeqCst) {
                return Ok(QuestionResult::Failed);
            }
            if let Some(held) = self.held.get() {
                // Another thread has taken the file over meanwhile.
                return Ok(QuestionResult::Here(&held.store));
            }
            let mut link = match turn.link.take() {
                Some(link) => link,
                None => match reach::reach(&self.path, self.sizes, None, &self.clocks, deadline)? {
                    Reached::Held(store) if identity_of(&store) == self.identity => {
                        return Ok(self.hold(*store));
                    }
                    Reached::Link(link, identity) if identity == self.identity => link,
                    Reached::Held(_) | Reached::Link(..) => {
                        return Err(StoreError::Replaced {
                            path: self.path.clone(),
                        });
                    }
                },
            };
            match link.send(&framed, deadline) {
                Ok(()) => sent += 1,
                Err(LinkError::Lost) if deadline.left().is_some() => continue,
                Err(_) => break,
            }
            match link.answer(answer_by) {
                Ok(Answer::Gone) | Err(LinkError::Lost) => {}
                Ok(answer) => {
                    turn.link = Some(link);
                    return Ok(QuestionResult::Answered(answer));
                }
                Err(_) => break,
            }
        }
        Err(reach::silent(&self.path))
    }

    /// Keeps the file from now on, and serves the others.
    fn hold(&self, store: Store) -> QuestionResult<'_> {
        let store = Arc::new(store);
        let service = Service::start(
            &self.path,
            Arc::clone(&store),
            self.identity.clone(),
            self.clocks.clone(),
        );
        self.note(service.as_ref().err().map(|error| {
            format!(
                "other processes cannot share the counters `{}`: no socket can be made beside them: {error}",
                self.path.display()
            )
        }));
        let service = service.ok();
        if let Err(second) = self.held.set(Held { store, service }) {
            // Another thread of this process had the file, and has closed it. There is no caller for an error, here and below.
            let _ = second.close(None);
        }
        let Some(held) = self.held.get() else {
            return QuestionResult::Failed;
        };
        // SeqCst: either this thread sees that the counters are closed, or `close` sees the file.
        if self.closed.load(Ordering::SeqCst) {
            let _ = held.close(None);
        }
        QuestionResult::Here(&held.store)
    }

    fn note(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

impl Held {
    fn close(&self, reading: Option<&ClockReading>) -> Result<(), StoreError> {
        if let Some(service) = &self.service {
            service.end();
        }
        self.store.close(reading)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // As for a store that is dropped.
        let _ = self.close(None);
    }
}

fn identity_of(store: &Store) -> Identity {
    let hash_key = store.hash_key().copied().unwrap_or_default();
    Identity::new(&hash_key, store.clock_shift_us(), &store.reset_lines())
}

fn wanted(demands: &[Demand]) -> Vec<Wanted> {
    demands.iter().map(Wanted::of).collect()
}

fn fill(demands: &mut [Demand], views: Vec<View>) {
    for (demand, view) in demands.iter_mut().zip(views) {
        demand.view = view;
    }
}

fn look_used_up(demands: &mut [Demand], now: Now) {
    let patience_us = u64::try_from(PATIENCE.as_micros()).unwrap_or(u64::MAX);
    for demand in demands {
        demand.view = View {
            wait_us: patience_us,
            remaining: Micros(0),
            over: Micros(0),
            reset_after_us: patience_us,
            window_us: window_us(demand.shape.window, now),
        };
    }
}

/// The refusal of a question, with the views of the counts.
fn refusal(asked: QuestionResult<'_>, demands: &mut [Demand]) -> Refusal {
    match asked {
        QuestionResult::Answered(Answer::Refused { refusal, views }) if views.len() == demands.len() => {
            fill(demands, views);
            refusal
        }
        _ => Refusal::Unavailable,
    }
}

fn count(asked: &QuestionResult<'_>) -> usize {
    match asked {
        QuestionResult::Answered(Answer::Count(count)) => usize::try_from(*count).unwrap_or(usize::MAX),
        _ => 0,
    }
}
