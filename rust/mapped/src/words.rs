//! Words: a slice of atomics together with its memory.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file::{Mapping, ask_for_huge_pages, release_pages};

/// A run of atomic words, on the heap initially zero. Clones and parts share the same words.
#[derive(Clone)]
pub struct Words {
    start: NonNull<AtomicU64>,
    len: usize,
    // Keeps the memory behind `start` alive.
    memory: Arc<Memory>,
}

/// The memory of words; held for its drop.
#[expect(dead_code, reason = "nobody looks into it")]
enum Memory {
    Heap(Heap),
    Mapped(Arc<Mapping>),
}

struct Heap {
    start: NonNull<AtomicU64>,
    layout: Layout,
}

/// The alignment of words: a cache line.
const ALIGN: usize = 64;
/// The size of huge pages on most machines, 2 MiB.
const HUGE_PAGE: usize = 2 * 1024 * 1024;
/// Words per page on machines with the smallest pages.
const LEAST_PAGE_WORDS: usize = 512;

impl Words {
    /// Zeroed words on the heap, aligned to a cache line. The system provides pages only when they are used.
    ///
    /// # Panics
    ///
    /// If the words exceed the address space.
    pub fn zeroed(len: usize) -> Self {
        Self::on_heap(len, ALIGN)
    }

    /// The same for many words that are read at random: the system is asked for huge pages, of which fewer addresses have
    /// to be looked up. It gives them, and so 2 MiB at a time, if it has some.
    ///
    /// # Panics
    ///
    /// If the words exceed the address space.
    pub fn zeroed_in_huge_pages(len: usize) -> Self {
        let words = Self::on_heap(len, HUGE_PAGE);
        ask_for_huge_pages(&words);
        words
    }

    fn on_heap(len: usize, align: usize) -> Self {
        let heap = Heap::zeroed(len, align);
        Self {
            start: heap.start,
            len,
            memory: Arc::new(Memory::Heap(heap)),
        }
    }

    /// All words of a mapping.
    pub(crate) fn mapped(mapping: Arc<Mapping>) -> Self {
        Self {
            start: mapping.start().cast(),
            len: mapping.len() / size_of::<AtomicU64>(),
            memory: Arc::new(Memory::Mapped(mapping)),
        }
    }

    /// Marks every page of the words as dirty, so that the next sync writes it, whatever the system believes to be on
    /// disk.
    pub fn touch(&self) {
        for page in self.chunks(LEAST_PAGE_WORDS) {
            let Some(word) = page.first() else { continue };
            // Not an addition of 0, which compilers may turn into a load. Relaxed: the value stays. If another thread
            // is faster, it has made the page dirty.
            let seen = word.load(Ordering::Relaxed);
            let _ = word.compare_exchange(seen, seen, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Zeroes the words.
    ///
    /// Writes of other threads meanwhile may be lost or stay.
    pub fn clear(&self) {
        for word in self.iter() {
            // Relaxed: whoever uses the words again learns of them in another way. Where nothing is, no page is touched.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Zeroes the words as [`Self::clear`] does, and gives the pages of words on the heap back to the system until they are
    /// used again.
    pub fn release_pages(&self) {
        self.clear();
        if matches!(*self.memory, Memory::Heap(_)) {
            release_pages(self);
        }
    }

    /// `len` words from `first` on, which live as long as they are used; `None` if there are not so many.
    pub fn part(&self, first: usize, len: usize) -> Option<Self> {
        let start = NonNull::from(self.get(first..first.checked_add(len)?)?).cast();
        Some(Self {
            start,
            len,
            memory: Arc::clone(&self.memory),
        })
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        #[expect(unsafe_code, reason = "a slice from its parts")]
        // SAFETY: `start` points at `len` words, aligned and initialised (zeroed heap, or pages of a mapping that is a
        // multiple of 8 bytes long and page-aligned). `memory`, of which `self` owns a share, frees or unmaps them only
        // when it is dropped. There is no `&mut` to them; the file's lock keeps other processes out, and every access
        // of this one goes through the atomics.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.len)
        }
    }
}

#[expect(unsafe_code, reason = "the pointer is no more than a shared slice of atomics")]
// SAFETY: `Words` hands out only `&[AtomicU64]`, which threads may share and send. `Memory` is freed with the last
// share, which is allowed on any thread.
unsafe impl Send for Words {}
#[expect(unsafe_code, reason = "as for `Send`")]
// SAFETY: as for `Send`.
unsafe impl Sync for Words {}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({})", self.len)
    }
}

#[expect(unsafe_code, reason = "the pointer is owned")]
// SAFETY: the allocation belongs to the `Heap` alone, and is read and written as atomics only.
unsafe impl Send for Heap {}
#[expect(unsafe_code, reason = "as for `Send`")]
// SAFETY: as for `Send`.
unsafe impl Sync for Heap {}

impl Heap {
    fn zeroed(len: usize, align: usize) -> Self {
        // At least one word, because an empty allocation is not allowed.
        let layout = Layout::array::<AtomicU64>(len.max(1)).and_then(|layout| layout.align_to(align));
        let Ok(layout) = layout else {
            capacity_overflow(len)
        };
        #[expect(unsafe_code, reason = "zeroed pages that are not touched yet")]
        // SAFETY: the size of `layout` is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Self {
            start: start.cast(),
            layout,
        }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "frees what `zeroed` allocated")]
        // SAFETY: `start` came from `alloc_zeroed` with this layout, and is freed only here.
        unsafe {
            dealloc(self.start.as_ptr().cast(), self.layout);
        }
    }
}

#[cold]
#[expect(clippy::panic, reason = "as the standard collections do")]
fn capacity_overflow(len: usize) -> ! {
    panic!("{len} words are more than the address space")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn words_are_zero_aligned_and_shared() {
        let words = Words::zeroed(1_000);
        assert_eq!(words.len(), 1_000);
        assert!(words.iter().all(|word| word.load(Relaxed) == 0));
        assert_eq!(words.as_ptr() as usize % ALIGN, 0);
        let other = words.clone();
        other[7].store(5, Relaxed);
        assert_eq!(words[7].load(Relaxed), 5);
    }

    #[test]
    fn words_in_huge_pages_are_like_others() {
        let words = Words::zeroed_in_huge_pages(2 * HUGE_PAGE / size_of::<AtomicU64>());
        assert_eq!(words.as_ptr() as usize % HUGE_PAGE, 0);
        assert!(words.iter().all(|word| word.load(Relaxed) == 0));
        let part = words.part(100_000, 8_192).unwrap();
        part[0].store(5, Relaxed);
        words[0].store(6, Relaxed);
        part.release_pages();
        assert_eq!((words[100_000].load(Relaxed), words[0].load(Relaxed)), (0, 6));
        assert_eq!(Words::zeroed_in_huge_pages(3).len(), 3);
    }

    #[test]
    fn a_part_outlives_the_whole() {
        let part = {
            let words = Words::zeroed(100);
            words[50].store(9, Relaxed);
            words.part(50, 10).unwrap()
        };
        assert_eq!((part.len(), part[0].load(Relaxed)), (10, 9));
        assert_eq!(part.part(3, 7).unwrap().len(), 7);
        assert!(part.part(3, 8).is_none());
        assert!(part.part(usize::MAX, 2).is_none());
        assert_eq!(Words::zeroed(0).len(), 0);
    }

    #[test]
    fn threads_share_words() {
        let words = Words::zeroed(1);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let words = words.clone();
                scope.spawn(move || {
                    for _ in 0..100 {
                        words[0].fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(words[0].load(Relaxed), 200);
    }
}
