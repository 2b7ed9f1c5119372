//! Tool pinning: a tool may be called only while its definition is the accepted one.
//!
//! A server describes its tools itself, and a model reads and believes that text. So the first list that a server shows
//! is recorded, and later ones are compared with it ([`Server::observe`]): a tool whose definition, or whose server's
//! endpoint, is another one is [`State::Changed`], one that was not in the first list is [`State::New`]. Neither is shown
//! or may be called where [`Mode::Enforce`] is in force, until a person has accepted it.
//!
//! - [`Pins`] is a folder with a file for each server. It is changed by more than one process: the gateway records what
//!   servers list, the command line records what people accept ([`review`]). Each writes under the folder's lock, and
//!   [`Pins::sync`], which a [`Keeper`] calls, takes over what others have written: what is accepted is the file's to say,
//!   what was listed last is whoever's that was told last.
//! - [`Server`] is one server in that folder as a gateway meets it: what to record and what to hold calls against.
//! - [`Digest`] says what counts as the same tool.
//! - A [`Variant`] is a kind of clients, to which a server may show lists of their own. What one variant has pinned is pinned
//!   for all; each has a first list, in the time that [`Pins::set_first_lists`] says.

mod book;
mod clock;
mod definition;
mod digest;
mod endpoint;
mod entry;
mod error;
mod file;
mod first_list;
mod folder;
mod keeper;
mod merge;
mod name;
mod notice;
mod numbers;
mod observation;
pub mod review;
mod server;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod time_of_first_lists;
mod variant;
mod view;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use definition::Definition;
pub use digest::Digest;
pub use endpoint::Endpoint;
pub use entry::Record;
pub use error::PinsError;
pub use keeper::Keeper;
pub use notice::Notice;
pub use numbers::Numbers;
pub use observation::{Listing, Observation, Page, PageRef, ToolChange};
pub use server::Server;
pub use state::{Mode, State};
pub use variant::Variant;

use clock::WallClock;
use folder::Folder;
use shared::{Common, Shared};

/// The default time for which first lists of further variants are accepted after the server's own.
pub const FIRST_LISTS: Duration = Duration::from_secs(24 * 3600);

/// The pins of every server, in a folder.
#[derive(Debug)]
pub struct Pins {
    folder: Folder,
    servers: Mutex<HashMap<String, Arc<Shared>>>,
    common: Common,
    /// Held while files are read and written, so that one thread at a time does it.
    syncing: Mutex<()>,
}

impl Pins {
    /// Opens the folder, and makes it for this user alone (mode 0700) where there is none. Files are read when their
    /// servers are asked for.
    pub fn open(folder: &Path) -> Result<Self, PinsError> {
        Self::open_at(folder, WallClock::system())
    }

    fn open_at(folder: &Path, clock: WallClock) -> Result<Self, PinsError> {
        let common = Common {
            clock,
            first_lists_s: Arc::new(AtomicU64::new(FIRST_LISTS.as_secs())),
        };
        Ok(Self {
            folder: Folder::create(folder)?,
            servers: Mutex::default(),
            common,
            syncing: Mutex::default(),
        })
    }

    /// Sets the time after a server's first whole list in which the first lists of further variants are accepted;
    /// [`FIRST_LISTS`] where nothing is said, and nothing at all for zero. A time that is over stays so.
    pub fn set_first_lists(&self, length: Duration) {
        // Relaxed: a setting that publishes nothing else.
        self.common
            .first_lists_s
            .store(length.as_secs(), Ordering::Relaxed);
    }

    /// A server, as it is configured now. Every [`Server`] of one name shares what is pinned; a reload that changes the
    /// endpoint or the mode asks for another one.
    ///
    /// A file that cannot be read, or is damaged, is an error: nothing is forgotten silently.
    pub fn server(&self, name: &str, endpoint: Endpoint, mode: Mode) -> Result<Server, PinsError> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = match servers.get(name) {
            Some(shared) => Arc::clone(shared),
            None if mode == Mode::Off => Arc::new(Shared::empty(name, self.common.clone())),
            None => {
                let shared = Arc::new(Shared::read(&self.folder, name, self.common.clone())?);
                servers.insert(name.to_owned(), Arc::clone(&shared));
                shared
            }
        };
        Ok(Server::new(shared, endpoint, mode))
    }

    /// Writes what was recorded since the last time, and takes over what another process has written. It waits for a
    /// disk: to be called about once a second where nobody waits for it, and once at the end.
    ///
    /// A failure is reported for its server alone. Its state stays in force, and the next call tries again.
    pub fn sync(&self) -> Vec<PinsError> {
        self.sync_and_tell().0
    }

    /// Writes changes like [`Self::sync`]; returns notices for the operator beside the errors.
    fn sync_and_tell(&self) -> (Vec<PinsError>, Vec<Notice>) {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let servers: Vec<_> = {
            let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.values().cloned().collect()
        };
        let mut errors = Vec::new();
        let mut notices = Vec::new();
        for shared in &servers {
            match shared.sync(&self.folder) {
                Ok(notice) => notices.extend(notice),
                Err(error) => errors.push(error),
            }
            notices.extend(shared.unfinished());
        }
        (errors, notices)
    }
}
