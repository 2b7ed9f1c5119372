//! One connection under load: sends requests that are due and counts answers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::MutexGuard;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::connect::Wire;
use crate::error::reason;
use crate::http2::{Event, Failure, Http2};
use crate::message::{Requests, Tally, batch_checked, checked, stream_checked, wrap};
use crate::options::Method;
use crate::pace::Pace;
use crate::plan::{Plan, SharedStats};
use crate::stats::Stats;
use crate::timer::Timer;

/// Interval of the checks for the end of the run and for timeouts, in nanoseconds.
const TICK_NS: u64 = 20_000_000;

/// A request in flight.
pub(crate) enum InFlight {
    Whole {
        due_ns: u64,
        sent_ns: u64,
        asked: u32,
        tally: Option<Tally>,
    },
    /// Calls of a stream that wait for their answers, in order.
    Streamed(VecDeque<Waiting>),
}

/// A call of a stream.
pub(crate) struct Waiting {
    id: u64,
    due_ns: u64,
    sent_ns: u64,
}

/// The end of a connection.
pub(crate) enum End {
    /// The run is over.
    Finished,
    /// The peer accepts no more requests on it; nothing was lost.
    Replaced,
    /// The connection broke, with the reason.
    Lost(String),
}

/// One open connection.
pub(crate) struct Connection<'r> {
    http2: Http2<InFlight>,
    timer: Timer,
    plan: &'r Plan,
    shared_stats: &'r SharedStats,
    /// The place of `CheckStream`'s stream.
    stream: Option<usize>,
    next_stream_call: u64,
    wrapped: Vec<u8>,
    in_flight: usize,
    /// The time since which there is room for another request.
    room_since_ns: u64,
    ticked_ns: u64,
}

impl<'r> Connection<'r> {
    pub(crate) async fn open(
        wire: Wire,
        plan: &'r Plan,
        shared_stats: &'r SharedStats,
    ) -> Result<Self, String> {
        Ok(Self {
            http2: Http2::open(wire, &plan.head).await?,
            timer: Timer::new().map_err(|error| reason(&error))?,
            plan,
            shared_stats,
            stream: None,
            next_stream_call: 0,
            wrapped: Vec::new(),
            in_flight: 0,
            room_since_ns: plan.now_ns(),
            ticked_ns: 0,
        })
    }

    /// The number of requests that may be in flight at once.
    pub(crate) fn room(&self) -> usize {
        match self.plan.options.method {
            Method::Stream => self.plan.options.streams,
            Method::Check | Method::Batch => self.plan.options.streams.min(self.http2.peer_max_streams()),
        }
    }

    /// Sends load until the run is over or the connection ends.
    pub(crate) async fn drive(&mut self, pace: &mut Pace, next_call: &mut usize) -> End {
        self.room_since_ns = self.plan.now_ns();
        loop {
            let now_ns = self.plan.now_ns();
            let is_over = self.plan.is_over(now_ns);
            if is_over {
                if let Some(id) = self.stream.take() {
                    self.http2.finish(id);
                }
                if self.in_flight == 0 || now_ns >= self.plan.drain_ends_ns() {
                    self.give_up(&Failure::Unanswered);
                    return End::Finished;
                }
            } else if self.http2.is_closing() {
                if self.in_flight == 0 {
                    return End::Replaced;
                }
            } else {
                self.send_due(now_ns, pace, next_call);
            }
            let tick_ns = self.ticked_ns + TICK_NS;
            // Where nothing can be sent, a request that is due is no reason to wake up: answers make room.
            let can_send = !is_over && self.in_flight < self.room() && self.can_send();
            let due_ns = if can_send { pace.next_ns() } else { None };
            let wake_ns = due_ns.map_or(tick_ns, |due_ns| due_ns.min(tick_ns));
            if let Err(why) = self.turn(wake_ns).await {
                if self.plan.is_over(self.plan.now_ns()) {
                    self.give_up(&Failure::Unanswered);
                    return End::Finished;
                }
                if self.in_flight == 0 && self.http2.is_closing() {
                    return End::Replaced;
                }
                self.give_up(&Failure::Lost);
                return End::Lost(why);
            }
            self.tick();
        }
    }

    /// Sends the requests that are due, while there is room.
    fn send_due(&mut self, now_ns: u64, pace: &mut Pace, next_call: &mut usize) {
        let is_open_loop = matches!(pace, Pace::Open(_));
        let room = self.room();
        let mut stats = None;
        let mut lost = Vec::new();
        while self.in_flight < room && self.can_send() {
            let Some(due_ns) = pace.take(now_ns) else { break };
            let index = *next_call % self.plan.requests.len().max(1);
            *next_call += 1;
            self.in_flight += 1;
            lost.extend(self.send(index, due_ns, now_ns).err());
            if is_open_loop && self.plan.is_measured(due_ns) {
                let possible_ns = due_ns.max(self.room_since_ns);
                stats
                    .get_or_insert_with(|| self.shared_stats.lock())
                    .delayed(now_ns.saturating_sub(possible_ns));
            }
        }
        drop(stats);
        self.failed(&lost, &Failure::Lost);
    }

    fn can_send(&mut self) -> bool {
        // A call of a stream that is open needs no new one.
        self.open_stream().is_some() || self.http2.can_open()
    }

    /// The place of the stream, unless the peer has ended it.
    fn open_stream(&mut self) -> Option<usize> {
        let place = self.stream?;
        matches!(self.http2.own(place), Some(InFlight::Streamed(_))).then_some(place)
    }

    /// Sends a request; gives back what the connection does not take.
    fn send(&mut self, index: usize, due_ns: u64, sent_ns: u64) -> Result<(), InFlight> {
        let plan = self.plan;
        match &plan.requests {
            Requests::Whole(requests) => {
                // INVARIANT: the index is that of a request.
                let (frame, asked) = requests.get(index).map_or_else(Default::default, Clone::clone);
                let own = InFlight::Whole {
                    due_ns,
                    sent_ns,
                    asked,
                    tally: None,
                };
                self.http2.send(frame, true, own)?;
            }
            Requests::Streamed(calls) => {
                let id = self.next_stream_call;
                self.next_stream_call += 1;
                wrap(
                    &mut self.wrapped,
                    id,
                    calls.get(index).map_or(&[][..], |call| call),
                );
                let waiting = Waiting { id, due_ns, sent_ns };
                if let Some(stream) = self.open_stream() {
                    if let Some(InFlight::Streamed(calls)) = self.http2.own(stream) {
                        calls.push_back(waiting);
                    }
                    self.http2.push(stream, &self.wrapped);
                    return Ok(());
                }
                let own = InFlight::Streamed(VecDeque::from([waiting]));
                let first = Bytes::copy_from_slice(&self.wrapped);
                self.stream = Some(self.http2.send(first, false, own)?);
            }
        }
        Ok(())
    }

    /// Writes and reads as much as possible, or waits until `wake_ns`.
    async fn turn(&mut self, wake_ns: u64) -> Result<(), String> {
        poll_fn(|cx| self.poll_turn(cx, wake_ns)).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, wake_ns: u64) -> Poll<Result<(), String>> {
        let ended = self.http2.poll(cx);
        let has_answers = self.take_answers();
        if let Poll::Ready(why) = ended {
            return Poll::Ready(Err(why));
        }
        if has_answers {
            return Poll::Ready(Ok(()));
        }
        let timer = self.timer.poll(cx, self.plan.now_ns(), wake_ns);
        timer.map_err(|error| reason(&error))
    }

    /// Counts the bytes that went through, and the answers in them; true if there were any bytes of the peer.
    fn take_answers(&mut self) -> bool {
        let (sent, received) = self.http2.take_traffic();
        // One reading of the clock for all bytes that arrived together.
        let now_ns = if received > 0 { self.plan.now_ns() } else { 0 };
        let was_full = received > 0 && self.in_flight >= self.room();
        let mut counting = Counting {
            plan: self.plan,
            stats: self.shared_stats.lock(),
            now_ns,
            ended: 0,
        };
        counting.stats.bytes_sent += sent;
        counting.stats.bytes_received += received;
        self.http2.events(|event| counting.event(event));
        let ended = counting.ended;
        drop(counting);
        self.in_flight = self.in_flight.saturating_sub(ended);
        if was_full && ended > 0 {
            self.room_since_ns = now_ns;
        }
        received > 0
    }

    /// Fails requests whose answers take too long.
    fn tick(&mut self) {
        let now_ns = self.plan.now_ns();
        if now_ns < self.ticked_ns + TICK_NS {
            return;
        }
        self.ticked_ns = now_ns;
        let Some(latest_ns) = now_ns.checked_sub(self.plan.timeout_ns()) else {
            return;
        };
        let is_over = |own: &InFlight| match own {
            InFlight::Whole { sent_ns, .. } => *sent_ns < latest_ns,
            InFlight::Streamed(calls) => calls.front().is_some_and(|call| call.sent_ns < latest_ns),
        };
        self.fail(is_over, &Failure::Timeout);
    }

    /// Counts every request in flight as failed.
    fn give_up(&mut self, failure: &Failure) {
        self.fail(|_| true, failure);
    }

    fn fail(&mut self, is_over: impl Fn(&InFlight) -> bool, failure: &Failure) {
        let mut gone = Vec::new();
        self.http2.cancel(is_over, |own| gone.push(own));
        self.failed(&gone, failure);
    }

    /// Counts requests that are no longer in flight.
    fn failed(&mut self, requests: &[InFlight], failure: &Failure) {
        if requests.is_empty() {
            return;
        }
        let mut counting = Counting {
            plan: self.plan,
            stats: self.shared_stats.lock(),
            now_ns: 0,
            ended: 0,
        };
        for request in requests {
            counting.failed(request, failure);
        }
        let ended = counting.ended;
        drop(counting);
        self.in_flight = self.in_flight.saturating_sub(ended);
    }
}

/// Counts events while holding one lock.
struct Counting<'r> {
    plan: &'r Plan,
    stats: MutexGuard<'r, Stats>,
    now_ns: u64,
    /// Requests that are no longer in flight.
    ended: usize,
}

impl Counting<'_> {
    fn event(&mut self, event: Event<'_, InFlight>) {
        match event {
            Event::Message(InFlight::Whole { asked, tally, .. }, message) => {
                *tally = if *asked == 1 && self.plan.options.method == Method::Check {
                    checked(message)
                } else {
                    batch_checked(message).filter(|tally| tally.iter().sum::<u32>() == *asked)
                };
            }
            Event::Message(InFlight::Streamed(calls), message) => self.streamed(calls, message),
            Event::Closed(own, Ok(())) => match own {
                InFlight::Whole {
                    due_ns,
                    tally: Some(tally),
                    ..
                } => {
                    self.ended += 1;
                    self.answered(due_ns, &tally);
                }
                own @ InFlight::Whole { .. } => {
                    let failure = Failure::BadAnswer("it holds no decision, or not one for each call");
                    self.failed(&own, &failure);
                }
                own @ InFlight::Streamed(_) => {
                    self.failed(
                        &own,
                        &Failure::BadAnswer("the stream ended before all calls were answered"),
                    );
                }
            },
            Event::Closed(own, Err(failure)) => self.failed(&own, &failure),
        }
    }

    fn streamed(&mut self, calls: &mut VecDeque<Waiting>, message: &[u8]) {
        let Some(call) = calls.pop_front() else {
            self.error(
                self.now_ns,
                &Failure::BadAnswer("it answers a call that nobody made"),
            );
            return;
        };
        self.ended += 1;
        match stream_checked(message) {
            Some((id, tally)) if id == call.id => self.answered(call.due_ns, &tally),
            Some(_) => self.error(
                call.due_ns,
                &Failure::BadAnswer("answers come in another order than calls"),
            ),
            None => self.error(call.due_ns, &Failure::BadAnswer("it holds no decision")),
        }
    }

    fn answered(&mut self, due_ns: u64, tally: &Tally) {
        let latency_ns = self
            .plan
            .is_measured(due_ns)
            .then(|| self.now_ns.saturating_sub(due_ns));
        self.plan.answered();
        self.stats.answer(tally, latency_ns);
    }

    fn failed(&mut self, own: &InFlight, failure: &Failure) {
        match own {
            InFlight::Whole { due_ns, .. } => {
                self.ended += 1;
                self.error(*due_ns, failure);
            }
            InFlight::Streamed(calls) => {
                self.ended += calls.len();
                for call in calls {
                    self.error(call.due_ns, failure);
                }
            }
        }
    }

    fn error(&mut self, due_ns: u64, failure: &Failure) {
        self.plan.failed(failure);
        if self.plan.is_measured(due_ns) {
            self.stats.error(failure);
        }
    }
}
