//! Finding the counters: in the file, or at the process that has it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::clocks::ReadClocks;
use super::follower::{FollowError, Link};
use super::socket::{Deadline, LinkError, beside};
use super::wire::Identity;
use crate::file::{Sizes, StoreError, holder_of};
use crate::store::Store;

/// Wait between two tries, while a file is locked and nobody listens beside it: a process has just locked it, or closes it.
const PAUSE: Duration = Duration::from_millis(5);

/// The counters of a file.
pub(super) enum Reached {
    /// This process has the file now.
    Held(Box<Store>),
    /// Another one has it, and answers.
    Link(Link, Identity),
}

/// Opens the file at `path`, or connects to the process that has it. Of several processes that do this at once, one gets the
/// lock and the others find its socket. Without a `hash_key` a missing file is an error.
pub(super) fn reach(
    path: &Path,
    sizes: Sizes,
    hash_key: Option<&[u8; 16]>,
    clocks: &ReadClocks,
    deadline: Deadline,
) -> Result<Reached, StoreError> {
    loop {
        let in_use = match Store::open_to_share(path, sizes, hash_key, &|| clocks.read()) {
            Ok(store) => return Ok(Reached::Held(Box::new(store))),
            Err(error @ StoreError::InUse { .. }) => error,
            Err(error) => return Err(error),
        };
        let reading = clocks.read().map_err(|source| StoreError::Io {
            path: path.to_owned(),
            doing: "read the clocks for",
            source,
        })?;
        let refused = match Link::open(&beside(path), reading.boot_id, deadline) {
            Ok((link, identity)) => return Ok(Reached::Link(link, identity)),
            Err(error) => error,
        };
        let unshared = |reason| StoreError::Unshared {
            path: path.to_owned(),
            pid: holder_of(path),
            reason,
        };
        let last = match refused {
            FollowError::Link(LinkError::Absent | LinkError::Lost) => in_use,
            FollowError::Link(LinkError::Silent) => silent(path),
            FollowError::Full => unshared("serves as many others as it can"),
            FollowError::OtherVersion | FollowError::Link(LinkError::Malformed) => {
                return Err(unshared("is of another version of callgate"));
            }
            FollowError::OtherClock => return Err(unshared("has another clock, as in another container")),
            FollowError::Link(LinkError::OtherUser) => return Err(unshared("belongs to another user")),
        };
        if deadline.left().is_none_or(|left| left <= PAUSE) {
            return Err(last);
        }
        thread::sleep(PAUSE);
    }
}

/// The error for a holder that does not answer in time.
pub(super) fn silent(path: &Path) -> StoreError {
    StoreError::Silent {
        path: path.to_owned(),
        pid: holder_of(path),
    }
}
