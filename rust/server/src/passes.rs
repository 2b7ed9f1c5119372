//! The passes of a door over a request: a second one where its call has to wait for a person's approval, or for the store of
//! shared counts.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use arc_swap::Guard;

use crate::apart::apart;
use crate::approvals::{Asking, Reply, WaitingCall};
use crate::deadline::Deadline;
use crate::gate::Gate;
use crate::in_force::Configuration;

/// Asks the question of a call at once, and waits for the answer, at most until this moment; then asks the store of shared counts,
/// and waits for its budget. Then the second pass can begin.
pub(crate) fn answered(
    waiting: WaitingCall,
    gate: &Gate,
    until: Instant,
) -> impl Future<Output = Asking> + Send + use<> {
    let (question, store, protocol, unsettled) = waiting.into_parts();
    let reply = question.map(|question| gate.ask(question, protocol, until));
    let shared = gate.shared.clone();
    async move {
        let reply = match reply {
            Some(reply) => Some(reply.await),
            None => None,
        };
        let is_wanted = reply.as_ref().is_none_or(Reply::is_approval);
        // Units are taken for a call alone that people let through.
        let store = match (store.filter(|_| is_wanted), shared) {
            (Some(asked), Some(shared)) => Some(shared.ask(asked).await),
            _ => None,
        };
        unsettled.answered(reply, store)
    }
}

/// Calls `work` with the configuration in force; if its call has to wait for an answer, calls it once more with the answer and
/// with the same configuration. Where the second pass does not settle the call, what was consumed for it is given back.
///
/// The request is kept over the wait, so `keep` counts its bytes first; where there is no room for them, nobody is asked and
/// its error is the result. `bytes` is the size of its message: both passes are made where one of that size may be worked on.
pub(crate) async fn settled<R, K>(
    gate: &Gate,
    deadline: Option<Deadline>,
    bytes: usize,
    keep: impl FnOnce() -> Result<K, Box<R>>,
    mut work: impl FnMut(&Configuration, &Asking) -> R,
) -> R {
    apart(bytes).await;
    let asking = Asking::default();
    let configuration = gate.configuration();
    let first = work(&configuration, &asking);
    let Some(waiting) = asking.take_question() else {
        return first;
    };
    drop(first);
    let _kept = match keep() {
        Ok(kept) => kept,
        Err(refusal) => return *refusal,
    };
    let configuration = Guard::into_inner(configuration);
    let asking = answered(waiting, gate, gate.wait_until(deadline)).await;
    apart(bytes).await;
    work(&configuration, &asking)
}

/// The same on a thread that may block, for a request whose bytes are counted already.
pub(crate) fn settled_in_place<R>(gate: &Gate, work: impl FnMut(&Configuration, &Asking) -> R) -> R {
    // Only a call that waits blocks; every other is decided at the first poll.
    let mut passes = pin!(settled(gate, None, 0, || Ok(()), work));
    let mut context = Context::from_waker(Waker::noop());
    match passes.as_mut().poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            let handle = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| handle.block_on(passes))
        }
    }
}
