//! The requests of one HTTP/2 connection, in the task of the connection.
//!
//! Most calls are decided at the first poll. A task for each would cost more than that, and a wake-up between the reply and
//! the connection that sends it. So new requests are polled right after the connection has read them; one that waits for
//! something is polled again when it is woken. The replies of one turn are sent together.

use std::future::Future;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream as _};
use hyper::rt::Executor;

/// The most new requests of one turn: others of the same thread wait meanwhile.
const TURN: usize = 128;

/// A request on the way to its reply.
type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the new requests of one connection.
#[derive(Clone, Default)]
pub(super) struct NewRequests(Arc<Mutex<Vec<Answering>>>);

impl NewRequests {
    fn list(&self) -> MutexGuard<'_, Vec<Answering>> {
        // Whole after each step; nobody else holds it while the connection is polled.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for NewRequests {
    fn execute(&self, request: F) {
        self.list().push(Box::pin(request));
    }
}

/// The requests of one connection.
#[derive(Default)]
pub(super) struct Requests {
    new: NewRequests,
    /// Memory for the new ones of a turn.
    turn: Vec<Answering>,
    /// Those that wait.
    waiting: FuturesUnordered<Guarded>,
}

impl Requests {
    /// The executor of the connection.
    pub(super) fn executor(&self) -> NewRequests {
        self.new.clone()
    }

    /// Polls the requests that are new or were woken. Those that wait wake the task again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        self.turn = std::mem::replace(&mut *self.new.list(), take(&mut self.turn));
        if self.turn.len() > TURN {
            self.new.list().extend(self.turn.drain(TURN..));
            cx.waker().wake_by_ref();
        }
        for request in self.turn.drain(..) {
            let mut request = Guarded(request);
            // With the task's own waker: one of its own is made for a request that waits.
            if Pin::new(&mut request).poll(cx).is_pending() {
                self.waiting.push(request);
            }
        }
        while let Poll::Ready(Some(())) = Pin::new(&mut self.waiting).poll_next(cx) {}
    }
}

/// A request whose panic ends it alone.
struct Guarded(Answering);

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Dropped after a panic, it resets its stream. The panic itself was told by its hook.
        catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))).unwrap_or(Poll::Ready(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn requests_are_polled_in_their_order_and_a_panic_is_one_ones_own() {
        let (mut requests, seen) = (Requests::default(), Arc::new(Mutex::new(Vec::new())));
        let executor = requests.executor();
        let see = |number| {
            let seen = Arc::clone(&seen);
            async move { seen.lock().unwrap().push(number) }
        };
        executor.execute(see(1));
        executor.execute(async { panic!("on purpose") });
        executor.execute(see(2));
        requests.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(*seen.lock().unwrap(), [1, 2]);
        assert!(requests.waiting.is_empty());
        // No more than one turn's at once.
        (0..=TURN).for_each(|number| executor.execute(see(number)));
        seen.lock().unwrap().clear();
        requests.poll(&mut Context::from_waker(Waker::noop()));
        assert!(seen.lock().unwrap().iter().copied().eq(0..TURN));
        requests.poll(&mut Context::from_waker(Waker::noop()));
        assert!(seen.lock().unwrap().iter().copied().eq(0..=TURN));
    }

    #[tokio::test]
    async fn one_that_waits_wakes_the_task() {
        let mut requests = Requests::default();
        let executor = requests.executor();
        let (sender, receiver) = oneshot::channel();
        let ended = Arc::new(AtomicUsize::new(0));
        let ending = Arc::clone(&ended);
        executor.execute(async move {
            receiver.await.unwrap();
            ending.store(1, Ordering::Release);
        });
        let task = tokio::spawn(std::future::poll_fn(move |cx| {
            requests.poll(cx);
            if requests.waiting.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        tokio::task::yield_now().await;
        assert_eq!(ended.load(Ordering::Acquire), 0);
        sender.send(()).unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(20), task)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ended.load(Ordering::Acquire), 1);
    }
}
