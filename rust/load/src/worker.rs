//! The generator's threads, each with its share of the connections.

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
use crate::plan::{Plan, SharedStats};

/// The timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait before a lost connection is reopened: at first, and at most.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const LAST_BACKOFF: Duration = Duration::from_millis(500);

/// The result of opening a connection: the number of requests it allows in flight, or the reason for the failure.
pub(crate) type OpenResult = Result<usize, String>;

/// Starts a thread for these connections. It sends one result per connection to `opened`, and waits for `begin` before
/// it sends load.
pub(crate) fn start(
    plan: &Arc<Plan>,
    shared_stats: &Arc<SharedStats>,
    connections: Vec<usize>,
    opened: Sender<OpenResult>,
    begin: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, LoadError> {
    let (plan, shared_stats) = (Arc::clone(plan), Arc::clone(shared_stats));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LoadError::Machine(reason(&error)))?;
    let work = move || {
        let tasks = LocalSet::new();
        for number in connections {
            let (plan, shared_stats) = (Arc::clone(&plan), Arc::clone(&shared_stats));
            let (opened, begin) = (opened.clone(), begin.clone());
            tasks.spawn_local(async move { run(&plan, &shared_stats, number, opened, begin).await });
        }
        // Only the tasks hold it now: the channel closes when all of them have ended.
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
    shared_stats: &SharedStats,
    number: usize,
    opened: Sender<OpenResult>,
    mut begin: watch::Receiver<bool>,
) {
    let connection = open(plan, shared_stats).await;
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
        Pace::Open(Schedule::new(rate, connections, number, timeline))
    });
    // Connections begin at different calls, so that all calls are soon sent.
    let mut next_call = number * plan.requests.len() / plan.options.connections.max(1);
    loop {
        match connection.drive(&mut pace, &mut next_call).await {
            End::Finished => break,
            End::Replaced => plan.connection_lost("the target closed the connection".to_owned()),
            End::Lost(why) => plan.connection_lost(why),
        }
        match reopen(plan, shared_stats, &mut pace).await {
            Some(again) => connection = again,
            None => break,
        }
    }
    shared_stats.lock().unsent += pace.drop_due(plan.end_ns());
}

async fn open<'r>(plan: &'r Plan, shared_stats: &'r SharedStats) -> Result<Connection<'r>, String> {
    let opening = async {
        let wire = connect(&plan.options.target, plan.tls.as_ref())
            .await
            .map_err(|error| reason(&error))?;
        Connection::open(wire, plan, shared_stats).await
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

/// Tries until the connection is open again; `None` if the run is over first.
async fn reopen<'r>(
    plan: &'r Plan,
    shared_stats: &'r SharedStats,
    pace: &mut Pace,
) -> Option<Connection<'r>> {
    let mut backoff = Duration::ZERO;
    loop {
        if plan.is_over(plan.now_ns()) {
            return None;
        }
        let opened = open(plan, shared_stats).await;
        let now_ns = plan.now_ns();
        // Callers would have failed meanwhile, not waited.
        not_sent(plan, shared_stats, pace.drop_due(now_ns));
        match opened {
            Ok(connection) => {
                plan.connection_reopened();
                shared_stats.lock().reconnects += 1;
                return Some(connection);
            }
            Err(why) => {
                plan.reopen_failed(why);
                if matches!(pace, Pace::Closed) {
                    not_sent(plan, shared_stats, u64::from(plan.is_measured(now_ns)));
                }
            }
        }
        backoff = (backoff * 2).clamp(FIRST_BACKOFF, LAST_BACKOFF);
        tokio::time::sleep(backoff).await;
    }
}

/// Counts measured requests that failed because the connection was not open.
fn not_sent(plan: &Plan, shared_stats: &SharedStats, requests: u64) {
    plan.failed(&Failure::NotConnected);
    shared_stats.lock().errors(&Failure::NotConnected, requests);
}
