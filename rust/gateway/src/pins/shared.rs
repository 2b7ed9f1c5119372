//! One server's pins in memory, and their file.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use callgate_core::bindings::Bindings;

use super::book::{Book, Listed, View};
use super::digest::Digest;
use super::error::PinsError;
use super::folder::{Folder, Stamp};
use super::numbers::Changes;
use super::observation::{Asked, Observation, ToolChange};
use super::state::State;

/// Cursors that are remembered while no whole list was seen.
const MAX_CURSORS: usize = 1024;

/// What every [`super::Server`] of one name shares.
#[derive(Debug)]
pub(super) struct Shared {
    name: String,
    inner: Mutex<Inner>,
    /// What calls are held against; swapped whenever the book changes.
    view: ArcSwap<View>,
    /// What lists have told that was not known before.
    pub(super) changes: Changes,
}

#[derive(Debug, Default)]
struct Inner {
    book: Book,
    /// The file as it was when it was read or written last; `None` where there was none.
    stamp: Option<Stamp>,
    /// Whether the book says something that the file does not.
    is_dirty: bool,
    /// Counts the book's changes, so that a write knows whether it has written them all.
    version: u64,
    /// Digests of the cursors under which pages of the first list stand.
    cursors: HashSet<Digest>,
}

impl Shared {
    pub(super) fn empty(name: &str) -> Self {
        Self::with(name, Inner::default())
    }

    pub(super) fn read(folder: &Folder, name: &str) -> Result<Self, PinsError> {
        // Stamped first: what is written in between is read again.
        let stamp = folder.stamp(name)?;
        let book = folder.read(name)?.unwrap_or_default();
        Ok(Self::with(
            name,
            Inner {
                book,
                stamp,
                ..Inner::default()
            },
        ))
    }

    fn with(name: &str, inner: Inner) -> Self {
        Self {
            name: name.to_owned(),
            view: ArcSwap::from_pointee(inner.book.view()),
            inner: Mutex::new(inner),
            changes: Changes::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn state(&self, tool: &str, endpoint: Digest) -> State {
        self.view.load().state(tool, endpoint)
    }

    pub(super) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    pub(super) fn accepted(&self, tool: &str) -> Option<Digest> {
        self.view.load().accepted(tool)
    }

    pub(super) fn bindings(&self, tool: &str) -> Option<Arc<Bindings>> {
        self.view.load().bindings(tool)
    }

    /// Takes over a page of the server's list.
    pub(super) fn list(
        &self,
        page: &BTreeMap<&str, Listed>,
        asked: Asked<'_>,
        next_cursor: Option<&str>,
    ) -> Result<Observation, PinsError> {
        let mut inner = self.lock();
        let mut changes = Vec::new();
        let is_of_list = !inner.book.is_complete && inner.leads_to(asked);
        let is_last = is_of_list && next_cursor.is_none();
        if is_last || !inner.book.knows(page) {
            let mut book = inner.book.clone();
            book.list(page, is_of_list);
            book.is_complete |= is_last;
            book.hold_bounds(&self.name, page)?;
            changes = news(&inner.book, &book, page);
            self.changes.add(&changes);
            let is_written = book.is_written_like(&inner.book);
            self.put(&mut inner, book);
            inner.is_dirty |= !is_written;
        }
        if is_of_list {
            inner.goes_on_at(next_cursor);
        }
        let withheld = page.keys().filter(|&&name| {
            let state = inner
                .book
                .tools
                .get(name)
                .map_or(State::Unknown, super::book::Entry::state);
            !state.is_accepted()
        });
        Ok(Observation {
            withheld: withheld.map(|&name| name.to_owned()).collect(),
            changes,
        })
    }

    /// Writes and reads the file where one of the two has changed. One thread at a time.
    pub(super) fn sync(&self, folder: &Folder) -> Result<(), PinsError> {
        let now = folder.stamp(&self.name)?;
        let (before, is_dirty, version, book) = {
            let inner = self.lock();
            if !inner.is_dirty && now == inner.stamp {
                return Ok(());
            }
            (inner.stamp, inner.is_dirty, inner.version, inner.book.clone())
        };
        // The book is not locked while a disk is waited for.
        let lock = if is_dirty { Some(folder.lock()?) } else { None };
        let mut stamp = folder.stamp(&self.name)?;
        let is_foreign = stamp != before;
        let mut merged = book;
        let mut is_written = !is_dirty;
        if is_foreign {
            let file = folder.read(&self.name)?.unwrap_or_default();
            let both = Book::merged(file.clone(), &merged);
            is_written = both.is_written_like(&file);
            merged = both;
        }
        if let (Some(lock), false) = (&lock, is_written) {
            folder.write(lock, &self.name, &merged)?;
            stamp = folder.stamp(&self.name)?;
            is_written = true;
        }
        drop(lock);
        let mut inner = self.lock();
        let is_current = inner.version == version;
        if is_foreign {
            let book = if is_current {
                merged
            } else {
                Book::merged(merged, &inner.book)
            };
            self.put(&mut inner, book);
            // Another first list may have begun.
            inner.cursors.clear();
        }
        inner.stamp = stamp;
        inner.is_dirty = !is_written || !is_current;
        Ok(())
    }

    fn put(&self, inner: &mut Inner, book: Book) {
        inner.book = book;
        inner.version += 1;
        self.view.store(inner.book.view().into());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panics while holding it has not begun to change the book: it is put in place whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether a page is one of a list that was followed from its beginning.
    fn leads_to(&self, asked: Asked<'_>) -> bool {
        match asked {
            Asked::FromStart => true,
            Asked::At(cursor) => self.cursors.contains(&Digest::of(cursor)),
            Asked::Unknown => false,
        }
    }

    fn goes_on_at(&mut self, next_cursor: Option<&str>) {
        let Some(cursor) = next_cursor else {
            self.cursors.clear();
            return;
        };
        // Clients that stop halfway leave theirs behind. Whoever is still on the way begins again some time.
        if self.cursors.len() >= MAX_CURSORS {
            self.cursors.clear();
        }
        self.cursors.insert(Digest::of(cursor));
    }
}

/// What a page has made changed or new.
fn news(before: &Book, after: &Book, page: &BTreeMap<&str, Listed>) -> Vec<ToolChange> {
    page.iter()
        .filter_map(|(&name, tool)| {
            let entry = after.tools.get(name)?;
            let state = entry.state();
            let told = before.tools.get(name).is_some_and(|before| {
                before.state() == state
                    && before.differing().map(|record| record.digest)
                        == entry.differing().map(|record| record.digest)
            });
            (!state.is_accepted() && !told).then(|| ToolChange {
                tool: name.to_owned(),
                state,
                digest: tool.record.digest,
            })
        })
        .collect()
}
