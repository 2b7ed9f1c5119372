//! Long work, apart from the threads that serve connections.
//!
//! Such a thread serves many connections, so none of them may keep it for long. The future of a connection that is about to
//! work on a large message asks for it with [`poll_apart`]. It is polled the next time on a thread of the runtime's pool for
//! what blocks, and comes back to its own thread after that.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Work on more bytes than this is done apart, and with buffers that are freed after it.
///
/// Reading this much takes some 50 us, about the cost of the two hand-overs.
pub(crate) const LARGE_BYTES: usize = 64 * 1024;

/// The kind of thread that polls a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Any thread that serves no other connections: a thread of the pool, of a test, of `callgate wrap`.
    Apart,
    /// A thread with other connections.
    Shared,
    /// The same, and the future has asked to be polled apart.
    Leaving,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Apart) };
}

/// Sets the place of this thread until it is dropped.
struct Placed(Place);

impl Placed {
    fn at(place: Place) -> Self {
        Self(PLACE.replace(place))
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        PLACE.set(self.0);
    }
}

/// Ready if this thread may work on so many bytes at once. Otherwise the task is woken, and is polled where it may.
pub(crate) fn poll_apart(cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
    if may_take(bytes) {
        return Poll::Ready(());
    }
    PLACE.set(Place::Leaving);
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Waits until the thread that polls may work on so many bytes at once.
pub(crate) async fn apart(bytes: usize) {
    poll_fn(|cx| poll_apart(cx, bytes)).await;
}

/// Returns true if this thread may work on so many bytes at once.
pub(crate) fn may_take(bytes: usize) -> bool {
    bytes <= LARGE_BYTES || PLACE.get() == Place::Apart
}

/// A future that is polled on a thread with other connections, and apart from it when it asks for that.
pub(crate) struct Sharing<F: Future>(State<F>);

enum State<F: Future> {
    Here(Pin<Box<F>>),
    Away(JoinHandle<Polled<F>>),
    Over,
}

/// A future after it was polled.
type Polled<F> = (Pin<Box<F>>, Poll<<F as Future>::Output>);

impl<F> Sharing<F>
where
    F: Future + Send + 'static,
    F::Output: Default + Send,
{
    pub(crate) fn new(future: F) -> Self {
        Self(State::Here(Box::pin(future)))
    }

    fn leave(&mut self, waker: Waker) {
        match std::mem::replace(&mut self.0, State::Over) {
            State::Here(future) => {
                self.0 = State::Away(tokio::task::spawn_blocking(move || polled(future, &waker)));
            }
            other => self.0 = other,
        }
    }
}

impl<F> Future for Sharing<F>
where
    F: Future + Send + 'static,
    F::Output: Default + Send,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            match &mut self.0 {
                State::Here(future) => {
                    let placed = Placed::at(Place::Shared);
                    let polled = future.as_mut().poll(cx);
                    let is_leaving = PLACE.get() == Place::Leaving;
                    drop(placed);
                    if polled.is_ready() {
                        self.0 = State::Over;
                        return polled;
                    }
                    if !is_leaving {
                        return Poll::Pending;
                    }
                    self.leave(cx.waker().clone());
                }
                State::Away(polling) => match ready!(Pin::new(polling).poll(cx)) {
                    Ok((_, Poll::Ready(output))) => {
                        self.0 = State::Over;
                        return Poll::Ready(output);
                    }
                    // Polled once more here: a wake-up meanwhile was spent on this future's absence.
                    Ok((future, Poll::Pending)) => self.0 = State::Here(future),
                    Err(fault) => {
                        self.0 = State::Over;
                        if let Ok(panic) = fault.try_into_panic() {
                            resume_unwind(panic);
                        }
                        // The runtime ends.
                        return Poll::Ready(F::Output::default());
                    }
                },
                State::Over => return Poll::Ready(F::Output::default()),
            }
        }
    }
}

/// Polls a future once on this thread of the pool. `waker` is that of its task.
fn polled<F: Future>(mut future: Pin<Box<F>>, waker: &Waker) -> Polled<F> {
    // Within `block_on`, because outside of it the budget of a task has no end, and one that never runs dry would stay here.
    let polled = Handle::current().block_on(poll_fn(|_| {
        Poll::Ready(future.as_mut().poll(&mut Context::from_waker(waker)))
    }));
    (future, polled)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;

    /// The threads on which a future runs before it works on so many bytes, meanwhile, and after it has waited again.
    async fn threads(bytes: usize) -> [ThreadId; 3] {
        let before = thread::current().id();
        apart(bytes).await;
        let meanwhile = thread::current().id();
        tokio::time::sleep(Duration::from_millis(1)).await;
        [before, meanwhile, thread::current().id()]
    }

    async fn shared(bytes: usize) -> [ThreadId; 3] {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(Sharing::new(async move {
            let _ = sender.send(threads(bytes).await);
        }));
        task.await.unwrap();
        receiver.await.unwrap()
    }

    #[tokio::test]
    async fn large_work_is_done_elsewhere_and_comes_back() {
        let here = thread::current().id();
        assert_eq!(shared(LARGE_BYTES).await, [here; 3]);
        let [before, meanwhile, after] = shared(LARGE_BYTES + 1).await;
        assert_ne!(meanwhile, here);
        assert_eq!([before, after], [here; 2]);
        // A thread that serves nobody else may take as long as it likes.
        assert_eq!(threads(LARGE_BYTES + 1).await, [here; 3]);
    }

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        let (started, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (starting, stopping) = (Arc::clone(&started), Arc::clone(&stop));
        let long = tokio::spawn(Sharing::new(async move {
            apart(LARGE_BYTES + 1).await;
            starting.store(1, Ordering::Release);
            while stopping.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
        }));
        // This task shares the one thread with that one.
        while started.load(Ordering::Acquire) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!long.is_finished());
        stop.store(1, Ordering::Release);
        long.await.unwrap();
    }

    #[tokio::test]
    async fn a_wake_up_while_it_is_away_is_not_lost() {
        for _ in 0..200 {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let task = tokio::spawn(Sharing::new(async move {
                let waits = async {
                    receiver.await.unwrap();
                };
                let works = async {
                    apart(LARGE_BYTES + 1).await;
                };
                tokio::join!(waits, works);
            }));
            tokio::task::yield_now().await;
            sender.send(()).unwrap();
            tokio::time::timeout(Duration::from_secs(20), task)
                .await
                .unwrap()
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_panic_is_the_tasks_own() {
        let panicking = async {
            apart(LARGE_BYTES + 1).await;
            assert!(!may_take(usize::MAX), "on purpose");
        };
        let task = tokio::spawn(Sharing::new(panicking));
        let panic = task.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        assert!(may_take(usize::MAX));
    }
}
