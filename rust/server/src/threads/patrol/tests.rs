//! Busy and stuck threads, with the time of their looks given.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::threads::Seat;

const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps the thread of a seat at work until it is dropped.
struct Work {
    go_on: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
}

impl Work {
    /// In many short pieces, or in one.
    fn on(seat: &Seat, is_short: bool) -> Self {
        let go_on = Arc::new(AtomicBool::new(true));
        let (sender, ended) = mpsc::channel();
        let (started, start) = mpsc::channel();
        let going_on = Arc::clone(&go_on);
        seat.spawn(async move {
            started.send(()).unwrap();
            while going_on.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
                if is_short {
                    tokio::task::yield_now().await;
                }
            }
            sender.send(()).unwrap();
        });
        start.recv_timeout(PATIENCE).unwrap();
        Self { go_on, ended }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.go_on.store(false, Ordering::Release);
        self.ended.recv_timeout(PATIENCE).unwrap();
    }
}

fn http2(seat: &Seat, is_http2: bool) {
    seat.set_http2(Arc::new(AtomicBool::new(is_http2)));
}

/// Returns true if the client of a connection was asked to leave, by now.
fn was_asked(seat: &Seat) -> bool {
    let mut leaving = std::pin::pin!(seat.leaving());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    leaving.as_mut().poll(&mut context).is_ready()
}

fn names(events: &Events) -> Vec<&'static str> {
    events.drain(100).iter().map(|event| event.event).collect()
}

#[test]
fn a_thread_that_is_stuck_is_told_and_replaced() {
    let (threads, events, mut patrol) = (Threads::start(2).unwrap(), Events::default(), Patrol::default());
    let seats = [threads.seat().unwrap(), threads.seat().unwrap()];
    let stuck = Work::on(&seats[0], false);
    let busy = Work::on(&seats[1], true);
    let begin = Instant::now();
    patrol.look(&threads, begin, &events);
    // Time for the busy one to be seen at work.
    thread::sleep(Duration::from_millis(50));
    patrol.look(&threads, begin + STUCK / 2, &events);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(names(&events), [] as [&str; 0]);
    patrol.look(&threads, begin + STUCK, &events);
    assert_eq!(names(&events), ["thread_stuck"]);
    // Its place serves new connections.
    let others = [threads.seat().unwrap(), threads.seat().unwrap()];
    drop(others.each_ref().map(|seat| Work::on(seat, true)));
    // It is kept while it has a connection.
    patrol.look(&threads, begin + STUCK, &events);
    assert_eq!(patrol.replaced.len(), 1);
    drop((stuck, busy, seats));
    patrol.look(&threads, begin + STUCK, &events);
    assert_eq!(patrol.replaced.len(), 0);
    assert_eq!(names(&events), [] as [&str; 0]);
}

#[test]
fn a_thread_without_work_is_not_stuck() {
    let (threads, events, mut patrol) = (Threads::start(1).unwrap(), Events::default(), Patrol::default());
    drop(Work::on(&threads.seat().unwrap(), true));
    // Time for its pause to begin.
    thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    patrol.look(&threads, begin, &events);
    patrol.look(&threads, begin + 100 * STUCK, &events);
    assert_eq!(names(&events), [] as [&str; 0]);
}

/// Looks at the threads for as long as a busy one is measured.
fn look_over_a_window(patrol: &mut Patrol, threads: &Threads, events: &Events) {
    let begin = Instant::now();
    while begin.elapsed() < 2 * patrol.window {
        patrol.look(threads, Instant::now(), events);
        thread::sleep(patrol.window / 10);
    }
}

fn patrol_of_short_windows() -> Patrol {
    Patrol::new(Duration::from_millis(200), PATIENCE)
}

#[test]
fn a_busy_thread_sheds_its_youngest_connection_over_http2() {
    let (threads, events) = (Threads::start(2).unwrap(), Events::default());
    let mut patrol = patrol_of_short_windows();
    let seats: Vec<_> = (0..6).map(|_| threads.seat().unwrap()).collect();
    for (number, seat) in seats.iter().enumerate() {
        http2(seat, number < 4);
    }
    // Of the thread with the seats 0, 2 and 4; the last of them cannot be asked.
    let work = Work::on(&seats[0], true);
    look_over_a_window(&mut patrol, &threads, &events);
    let asked: Vec<_> = seats.iter().map(was_asked).collect();
    // With enough time, of one after the other.
    assert!(
        asked[2] && !asked[1] && !asked[3] && !asked[4] && !asked[5],
        "{asked:?}"
    );
    // New connections go to the other thread, though it has as many.
    let other = threads.seat().unwrap();
    assert_eq!(
        threads
            .list()
            .iter()
            .map(|worker| worker.connections())
            .collect::<Vec<_>>(),
        [3, 4]
    );
    drop((work, other));
    // Until what the thread did before is no part of the window any more, the next one may be asked.
    look_over_a_window(&mut patrol, &threads, &events);
    for seat in &seats {
        was_asked(seat);
    }
    look_over_a_window(&mut patrol, &threads, &events);
    assert!(!seats.iter().any(was_asked));
}

#[test]
fn nothing_is_shed_where_it_would_not_help() {
    let (threads, events) = (Threads::start(2).unwrap(), Events::default());
    let mut patrol = patrol_of_short_windows();
    let seats: Vec<_> = (0..2).map(|_| threads.seat().unwrap()).collect();
    for seat in &seats {
        http2(seat, true);
    }
    // One connection keeps its thread.
    let work = Work::on(&seats[0], true);
    look_over_a_window(&mut patrol, &threads, &events);
    assert!(!seats.iter().any(was_asked));
    drop(work);
}
