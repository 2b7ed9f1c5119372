//! The generator's threads: each drives its share of the connections.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::connect::connect;
use crate::connection::{Connection, End};
use crate::error::{LoadError, reason};
use crate::http2::Failure;
use crate::pace::{Pace, Schedule};
use crate::plan::{Plan, Seat};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before a lost connection is opened again: at first, and at most.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const LAST_BACKOFF: Duration = Duration::from_millis(500);

/// What a connection says once it is open: how many requests it can have in flight, or why it is not.
pub(crate) type Opened = Result<usize, String>;

/// Starts a thread for these connections. `opened` hears once of each; `begin` tells them that the load begins.
pub(crate) fn start(
    plan: &Arc<Plan>,
    seat: &Arc<Seat>,
    connections: Vec<usize>,
    opened: Sender<Opened>,
    begin: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, LoadError> {
    let (plan, seat) = (Arc::clone(plan), Arc::clone(seat));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LoadError::Machine(reason(&error)))?;
    let work = move || {
        let tasks = LocalSet::new();
        for number in connections {
            let (plan, seat) = (Arc::clone(&plan), Arc::clone(&seat));
            let (opened, begin) = (opened.clone(), begin.clone());
            tasks.spawn_local(async move { run(&plan, &seat, number, opened, begin).await });
        }
        // Only the tasks hold on to it now: when all of them are gone, whoever waits for news hears so.
        drop(opened);
        runtime.block_on(tasks);
    };
    Builder::new()
        .name("callgate-load".to_owned())
        .spawn(work)
        .map_err(|error| LoadError::Machine(reason(&error)))
}

async fn run(
    plan: &Plan,
    seat: &Seat,
    number: usize,
    opened: Sender<Opened>,
    mut begin: watch::Receiver<bool>,
) {
    let connection = open(plan, seat).await;
    let mut connection = match connection {
        Ok(connection) => {
            let _ = opened.send(Ok(connection.room()));
            connection
        }
        Err(why) => {
            let _ = opened.send(Err(why));
            return;
        }
    };
    drop(opened);
    if begin.wait_for(|begins| *begins).await.is_err() {
        return;
    }
    let Some(timeline) = plan.timeline() else { return };
    let mut pace = plan.options.rate.map_or(Pace::Closed, |rate| {
        let (number, connections) = (number as u64, plan.options.connections as u64);
        let schedule = Schedule::new(rate, connections, number, timeline.start_ns, timeline.end_ns);
        Pace::Open(schedule)
    });
    // Connections begin at different calls, so that together they meet all of them soon.
    let mut next_call = number * plan.requests.len() / plan.options.connections.max(1);
    loop {
        match connection.drive(&mut pace, &mut next_call).await {
            End::Finished => break,
            End::Replaced => plan.lost("the target closed the connection".to_owned()),
            End::Lost(why) => plan.lost(why),
        }
        match reopen(plan, seat, &mut pace).await {
            Some(again) => connection = again,
            None => break,
        }
    }
    let mut stats = seat.stats();
    pace.missed(plan.end_ns(), |due_ns| {
        if plan.is_measured(due_ns) {
            stats.unsent += 1;
        }
    });
}

async fn open<'r>(plan: &'r Plan, seat: &'r Seat) -> Result<Connection<'r>, String> {
    let opening = async {
        let wire = connect(&plan.options.target, plan.tls.as_ref())
            .await
            .map_err(|error| reason(&error))?;
        let mut connection = Connection::new(wire, plan, seat).map_err(|error| reason(&error))?;
        connection.open().await?;
        Ok(connection)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

/// Tries until it is open again; `None` when the run is over first.
async fn reopen<'r>(plan: &'r Plan, seat: &'r Seat, pace: &mut Pace) -> Option<Connection<'r>> {
    let mut backoff = Duration::ZERO;
    loop {
        if plan.is_over(plan.now_ns()) {
            return None;
        }
        let opened = open(plan, seat).await;
        let now_ns = plan.now_ns();
        // Callers would have failed meanwhile, not waited in line.
        pace.missed(now_ns, |due_ns| not_sent(plan, seat, due_ns));
        match opened {
            Ok(connection) => {
                plan.found();
                seat.stats().reconnects += 1;
                return Some(connection);
            }
            Err(why) => {
                plan.still_lost(why);
                if matches!(pace, Pace::Closed) {
                    not_sent(plan, seat, now_ns);
                }
            }
        }
        backoff = (backoff * 2).clamp(FIRST_BACKOFF, LAST_BACKOFF);
        tokio::time::sleep(backoff).await;
    }
}

fn not_sent(plan: &Plan, seat: &Seat, due_ns: u64) {
    plan.failed(&Failure::NotConnected);
    if plan.is_measured(due_ns) {
        seat.stats().error(&Failure::NotConnected);
    }
}
