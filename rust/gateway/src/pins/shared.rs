//! One server's pins in memory, and their file.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use callgate_core::bindings::Bindings;

use super::book::{Book, Showing};
use super::clock::WallClock;
use super::digest::Digest;
use super::entry::Listed;
use super::error::PinsError;
use super::folder::{Folder, Stamp};
use super::notice::Notice;
use super::numbers::Changes;
use super::observation::{Observation, PageRef, ToolChange};
use super::variant::Variant;
use super::view::View;

/// Cursors that are remembered while no whole list was seen.
const MAX_CURSORS: usize = 1024;

/// The state that all servers of a folder share.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) clock: WallClock,
    /// The time after a server's first whole list in which those of further variants are accepted.
    pub(super) first_lists_s: Arc<AtomicU64>,
}

impl Common {
    pub(super) fn first_lists_s(&self) -> u64 {
        // Relaxed: a setting that publishes nothing else.
        self.first_lists_s.load(Ordering::Relaxed)
    }
}

/// A list that was shown: which page of it, to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'s> {
    pub(super) asked: PageRef<'s>,
    pub(super) variant: &'s Variant,
    /// True if the page is from a reviewed file.
    pub(super) is_reviewed: bool,
    pub(super) next_cursor: Option<&'s str>,
}

/// The state that all [`super::Server`]s of one name share.
#[derive(Debug)]
pub(super) struct Shared {
    name: String,
    common: Common,
    inner: Mutex<Inner>,
    /// The view that calls are checked against; swapped whenever the book changes.
    view: ArcSwap<View>,
    /// The counts of changes that lists have shown.
    pub(super) changes: Changes,
}

#[derive(Debug)]
struct Inner {
    book: Book,
    /// The book as the file had it when it was read or written last: what differs was seen since, by this process.
    base: Book,
    /// Counts the calls of [`Shared::sync`], from 1.
    round: u64,
    /// The round from which on lists are news against `base`.
    news_since: u64,
    /// The file as it was when it was read or written last; `None` where there was none.
    stamp: Option<Stamp>,
    /// The book has changes that the file has not.
    is_dirty: bool,
    /// The notice that the first list does not end was given.
    is_unfinished_told: bool,
    /// Digests of the cursors under which pages of each variant's first list stand.
    cursors: HashSet<(Variant, Digest)>,
}

impl Shared {
    pub(super) fn empty(name: &str, common: Common) -> Self {
        Self::with(name, common, Inner::new(Book::default(), None))
    }

    pub(super) fn read(folder: &Folder, name: &str, common: Common) -> Result<Self, PinsError> {
        // Stamped first: what is written in between is read again.
        let stamp = folder.stamp(name)?;
        let book = folder.read(name)?.unwrap_or_default();
        Ok(Self::with(name, common, Inner::new(book, stamp)))
    }

    fn with(name: &str, common: Common, inner: Inner) -> Self {
        Self {
            name: name.to_owned(),
            common,
            view: ArcSwap::from_pointee(View::of(&inner.book)),
            inner: Mutex::new(inner),
            changes: Changes::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn now_unix_s(&self) -> u64 {
        self.common.clock.now_unix_s()
    }

    pub(super) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    pub(super) fn bindings(&self, tool: &str) -> Option<Arc<Bindings>> {
        self.view.load().bindings(tool)
    }

    /// Takes over a page of the server's list.
    pub(super) fn list(
        &self,
        page: &BTreeMap<&str, Listed>,
        shown: Shown<'_>,
    ) -> Result<Observation, PinsError> {
        let mut inner = self.lock();
        let mut changes = Vec::new();
        let now_unix_s = self.now_unix_s();
        inner
            .book
            .first_lists
            .go_on(now_unix_s, self.common.first_lists_s());
        let is_of_list = inner.book.awaits_first_list(shown.variant) && inner.leads_to(shown);
        let showing = Showing {
            page,
            variant: shown.variant,
            is_of_list,
            is_last: shown.next_cursor.is_none(),
            is_reviewed: shown.is_reviewed,
            round: inner.round,
            now_unix_s,
        };
        if inner.book.knows(&showing) {
            inner.book.list_again(&showing);
        } else {
            let mut book = inner.book.clone();
            book.list(&showing);
            book.hold_bounds(&self.name, page)?;
            changes = news(&inner.book, &book, page);
            self.changes.add(&changes);
            inner.is_dirty = !book.is_written_like(&inner.base);
            self.put(&mut inner, book);
        }
        if is_of_list {
            inner.goes_on_at(shown);
        }
        Ok(Observation {
            withheld: inner.book.withheld(page),
            changes,
        })
    }

    /// Writes and reads the file where one of the two has changed. One thread at a time.
    ///
    /// A file that was there and is gone is no order to forget, which is a file that says nothing
    /// ([`super::review::reset`]): it is written again.
    pub(super) fn sync(&self, folder: &Folder) -> Result<Option<Notice>, PinsError> {
        let now = folder.stamp(&self.name)?;
        let (before, is_dirty, base, book, since, round) = {
            let mut inner = self.lock();
            inner.round += 1;
            self.pass_time(&mut inner);
            if !inner.is_dirty && now == inner.stamp {
                inner.news_since = inner.round;
                return Ok(None);
            }
            let Inner { base, book, .. } = &*inner;
            let (base, book) = (base.clone(), book.clone());
            (
                inner.stamp,
                inner.is_dirty,
                base,
                book,
                inner.news_since,
                inner.round,
            )
        };
        // The book is not locked while a disk is waited for.
        let is_gone = |stamp: Option<Stamp>| stamp.is_none() && before.is_some();
        if is_gone(now) {
            Folder::create(folder.path())?;
        }
        let lock = if is_dirty || is_gone(now) {
            Some(folder.lock()?)
        } else {
            None
        };
        let mut stamp = folder.stamp(&self.name)?;
        let is_gone = is_gone(stamp);
        let is_foreign = !is_gone && stamp != before;
        let (mut in_file, merged) = if is_foreign {
            // What goes in between is gone at the next look.
            let Some(file) = folder.read(&self.name)? else {
                return Ok(None);
            };
            let merged = Book::merged(file.clone(), &base, &book, since);
            (file, merged)
        } else {
            (base, book.clone())
        };
        if is_gone && lock.is_none() {
            return Ok(None);
        }
        if let (Some(lock), true) = (&lock, is_gone || !merged.is_written_like(&in_file)) {
            stamp = Some(folder.write(lock, &self.name, &merged)?);
            in_file = merged.clone();
        }
        drop(lock);
        let mut inner = self.lock();
        if is_foreign {
            let forgets = merged.forgets(&inner.book);
            // What was listed meanwhile is news against both.
            let merged = Book::merged(merged, &book, &inner.book, round);
            // The first lists that they lead through may be over.
            let is_of_list = |variant: &Variant| !forgets && merged.awaits_first_list(variant);
            inner.cursors.retain(|(variant, _)| is_of_list(variant));
            self.put(&mut inner, merged);
        }
        inner.stamp = stamp;
        inner.news_since = round;
        inner.is_dirty = !inner.book.is_written_like(&in_file);
        inner.base = in_file;
        Ok(is_gone.then(|| Notice::WrittenAgain {
            server: self.name.clone(),
        }))
    }

    /// Tells once that the first list does not come to its end.
    pub(super) fn unfinished(&self) -> Option<Notice> {
        let mut inner = self.lock();
        if inner.is_unfinished_told || inner.book.unfinished_since(self.now_unix_s()).is_none() {
            return None;
        }
        inner.is_unfinished_told = true;
        Some(Notice::Unfinished {
            server: self.name.clone(),
        })
    }

    /// Keeps note of how far the time of first lists has come, so that no clock can bring it back.
    fn pass_time(&self, inner: &mut Inner) {
        let length_s = self.common.first_lists_s();
        inner.book.first_lists.go_on(self.now_unix_s(), length_s);
        // Also where a list has found that it is over.
        let is_written = inner.base.first_lists.is_written_like(inner.book.first_lists);
        inner.is_dirty |= !is_written;
    }

    fn put(&self, inner: &mut Inner, book: Book) {
        inner.book = book;
        self.view.store(View::of(&inner.book).into());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panics while holding it has not begun to change the book: it is put in place whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The contents of a file. Nothing in it is news.
    fn new(book: Book, stamp: Option<Stamp>) -> Self {
        Self {
            base: book.clone(),
            book,
            round: 1,
            news_since: 1,
            stamp,
            is_dirty: false,
            is_unfinished_told: false,
            cursors: HashSet::new(),
        }
    }

    /// Returns true if a page belongs to a list that was followed from its beginning.
    fn leads_to(&self, shown: Shown<'_>) -> bool {
        match shown.asked {
            PageRef::FromStart => true,
            PageRef::At(cursor) => {
                let cursor = (shown.variant.clone(), Digest::of(cursor));
                self.cursors.contains(&cursor)
            }
            PageRef::Unknown => false,
        }
    }

    fn goes_on_at(&mut self, shown: Shown<'_>) {
        let Some(cursor) = shown.next_cursor else {
            self.cursors.retain(|(variant, _)| variant != shown.variant);
            return;
        };
        // Clients that stop halfway leave theirs behind. Whoever is still on the way begins again some time.
        if self.cursors.len() >= MAX_CURSORS {
            self.cursors.clear();
        }
        self.cursors.insert((shown.variant.clone(), Digest::of(cursor)));
    }
}

/// The tools that a page has made changed or new.
fn news(before: &Book, after: &Book, page: &BTreeMap<&str, Listed>) -> Vec<ToolChange> {
    let withheld = page.iter().filter_map(|(&name, tool)| {
        let entry = after.tools.get(name).filter(|entry| !entry.accepts(tool))?;
        let state = entry.state();
        let told = before.tools.get(name).is_some_and(|before| {
            before.state() == state
                && before
                    .withheld
                    .iter()
                    .any(|form| form.record.digest == tool.record.digest)
        });
        (!told).then(|| ToolChange {
            tool: name.to_owned(),
            state,
            digest: tool.record.digest,
        })
    });
    withheld.collect()
}
