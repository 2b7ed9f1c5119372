//! Batches on their way from the threads that decide to the one that writes: lock-free, and bounded in all.
//!
//! Each thread that decides has a shard, with the batch it is filling. It takes the batch out before it decides, so that
//! there is room for the record whatever is decided, and puts it back afterwards. A full batch goes to the writer, who also
//! collects what is in the shards. A thread that finds its shard empty, because another one shares it or the writer was
//! there, makes do with another batch: nobody waits for anybody.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;

use super::batch::{Batch, BoxedBatch};

/// Empty batches that are kept for their memory; after a burst the rest is given back.
const SPARE: usize = 16;

thread_local! {
    /// Tells threads apart.
    static THREAD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: only the number is wanted.
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

type Shard = CachePadded<AtomicCell<Option<BoxedBatch>>>;

/// The batches of one log.
pub(super) struct Queue {
    shards: Box<[Shard]>,
    full: ArrayQueue<BoxedBatch>,
    spare: ArrayQueue<BoxedBatch>,
    /// Batches that exist, wherever they are.
    alive: AtomicUsize,
    most: usize,
    closed: AtomicBool,
}

impl Queue {
    /// `shards` for about as many threads, and at most `most` batches at once.
    pub(super) fn new(shards: usize, most: usize) -> Self {
        Self {
            shards: (0..shards.max(1)).map(|_| Shard::default()).collect(),
            // INVARIANT: `full` has room for every batch that exists, so a hand-over cannot fail.
            full: ArrayQueue::new(most.max(1)),
            spare: ArrayQueue::new(SPARE),
            alive: AtomicUsize::new(0),
            most: most.max(1),
            closed: AtomicBool::new(false),
        }
    }

    /// A batch with room for one record; `None` when every batch is full, or the queue is closed.
    pub(super) fn take(&self) -> Option<BoxedBatch> {
        let batch = self
            .shard()
            .take()
            .or_else(|| self.spare.pop())
            .or_else(|| self.make())?;
        // Looked at only now that the batch counts as alive and is in nobody's reach: either this load sees the closing,
        // or the writer sees a batch that it has to wait for. SeqCst, there too, because that is store-then-load on both
        // sides.
        if self.closed.load(Ordering::SeqCst) {
            self.give(batch);
            return None;
        }
        Some(batch)
    }

    /// Gives back what [`Queue::take`] gave.
    pub(super) fn give(&self, batch: BoxedBatch) {
        let over = if batch.is_full() {
            Some(batch)
        } else {
            self.shard().swap(Some(batch))
        };
        if let Some(batch) = over {
            self.hand_over(batch);
        }
    }

    /// Takes out everything that is there now, for the writer; the batches come back by [`Queue::recycle`].
    pub(super) fn collect(&self, batches: &mut Vec<BoxedBatch>) {
        // No more than there are now: those that fill batches meanwhile must not keep the writer here.
        for _ in 0..self.full.len() {
            batches.extend(self.full.pop());
        }
        batches.extend(self.shards.iter().filter_map(|shard| shard.take()));
        if self.is_closed() {
            while let Some(spare) = self.spare.pop() {
                self.drop_batch(spare);
            }
        }
    }

    /// Takes back a batch whose records are done with.
    pub(super) fn recycle(&self, mut batch: BoxedBatch) {
        batch.clear();
        if self.is_closed() {
            self.drop_batch(batch);
        } else if let Err(batch) = self.spare.push(batch) {
            self.drop_batch(batch);
        }
    }

    /// From now on nothing is taken.
    pub(super) fn close(&self) {
        // SeqCst: see `take`.
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        // SeqCst: see `take`.
        self.closed.load(Ordering::SeqCst)
    }

    /// After [`Queue::close`]: no record is on its way any more.
    pub(super) fn is_empty(&self) -> bool {
        // SeqCst: see `take`.
        self.alive.load(Ordering::SeqCst) == 0
    }

    fn make(&self) -> Option<BoxedBatch> {
        // SeqCst: see `take`.
        self.alive
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |alive| {
                (alive < self.most).then_some(alive + 1)
            })
            .ok()
            .map(|_| Box::new(Batch::new()))
    }

    fn drop_batch(&self, batch: BoxedBatch) {
        drop(batch);
        // SeqCst: see `take`.
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }

    fn hand_over(&self, batch: BoxedBatch) {
        if let Err(batch) = self.full.push(batch) {
            self.drop_batch(batch);
        }
    }

    fn shard(&self) -> &Shard {
        let index = THREAD.with(|thread| *thread) % self.shards.len();
        &self.shards[index]
    }
}

// A cell can only be shown by copying what is in it.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("shards", &self.shards.len())
            .field("alive", &self.alive)
            .field("most", &self.most)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn collected(queue: &Queue) -> Vec<BoxedBatch> {
        let mut batches = Vec::new();
        queue.collect(&mut batches);
        batches
    }

    fn recycle(queue: &Queue, batches: Vec<BoxedBatch>) {
        for batch in batches {
            queue.recycle(batch);
        }
    }

    fn put(queue: &Queue, number: u32) -> bool {
        let Some(mut batch) = queue.take() else {
            return false;
        };
        batch.put(number);
        batch.finish_record();
        queue.give(batch);
        true
    }

    #[test]
    fn cells_need_no_lock() {
        assert!(AtomicCell::<Option<BoxedBatch>>::is_lock_free());
    }

    #[test]
    fn a_full_queue_takes_nothing_until_it_is_drained() {
        let queue = Queue::new(2, 3);
        let mut taken = 0;
        while put(&queue, taken) {
            taken += 1;
        }
        assert!(!put(&queue, 0));
        let batches = collected(&queue);
        assert_eq!(batches.len(), 3);
        assert_eq!(
            batches.iter().map(|batch| batch.records()).sum::<u64>(),
            u64::from(taken)
        );
        assert!(!put(&queue, 0), "what the writer holds is still alive");
        recycle(&queue, batches);
        assert!(put(&queue, 0));
    }

    #[test]
    fn a_batch_that_is_held_leaves_its_shard_usable() {
        let queue = Queue::new(1, 2);
        let held = queue.take().unwrap();
        assert!(put(&queue, 1));
        queue.give(held);
        assert_eq!(collected(&queue).len(), 2);
    }

    #[test]
    fn closed_it_takes_nothing_and_empties() {
        let queue = Queue::new(1, 4);
        assert!(put(&queue, 1));
        let mut held = queue.take().unwrap();
        queue.close();
        assert!(!put(&queue, 2));
        recycle(&queue, collected(&queue));
        assert!(!queue.is_empty(), "a decision is under way");
        held.put(3);
        held.finish_record();
        queue.give(held);
        let batches = collected(&queue);
        assert_eq!(batches.iter().map(|batch| batch.records()).sum::<u64>(), 2);
        recycle(&queue, batches);
        assert!(queue.is_empty());
    }

    #[test]
    fn threads_lose_nothing() {
        const EACH: u32 = 20_000;
        let queue = Queue::new(2, 64);
        let refused = AtomicU64::new(0);
        let (mut seen, mut sum) = (0_u64, 0_u64);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for number in 0..EACH {
                            while !put(&queue, number) {
                                // Relaxed: a count.
                                refused.fetch_add(1, Ordering::Relaxed);
                                std::thread::yield_now();
                            }
                        }
                    })
                })
                .collect();
            let mut done = false;
            while !done {
                done = threads.iter().all(std::thread::ScopedJoinHandle::is_finished);
                if done {
                    queue.close();
                }
                for batch in collected(&queue) {
                    let mut reader = batch.reader();
                    seen += batch.records();
                    sum += (0..batch.records())
                        .map(|_| u64::from(reader.number()))
                        .sum::<u64>();
                    queue.recycle(batch);
                }
            }
        });
        assert!(queue.is_empty());
        assert_eq!(seen, 4 * u64::from(EACH));
        assert_eq!(sum, 4 * (0..u64::from(EACH)).sum::<u64>());
    }
}
