//! File descriptors that connections must leave to others: reloads, the admin port, the files of counters, pins and
//! logs.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// The number of descriptors that connections leave free; an eighth of the process's limit if that is less.
const RESERVED: u64 = 128;
const PART_OF_LIMIT: u64 = 8;

/// Returns the most file descriptors that this process may have open, and the number that connections leave to others;
/// `None` without a limit.
///
/// Read each time: the limit may change while the process runs.
pub fn descriptor_limit() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile).current?;
    Some((limit, RESERVED.min(limit / PART_OF_LIMIT)))
}

/// Returns true if a descriptor is one of those that are left to others. The system assigns the lowest free number, so
/// all lower ones were in use when it was assigned.
pub(super) fn is_reserved(descriptor: impl AsFd) -> bool {
    let number = u64::try_from(descriptor.as_fd().as_raw_fd()).unwrap_or_default();
    descriptor_limit().is_some_and(|(limit, reserved)| number >= limit - reserved)
}

/// Returns true if the next connection would get a descriptor that is not left to others; `open` is any open one.
pub(super) fn are_left(open: impl AsFd) -> bool {
    fcntl_dupfd_cloexec(open, 0).is_ok_and(|next| !is_reserved(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_reserved() {
        let (limit, reserved) = descriptor_limit().expect("tests run with a limit");
        assert!(reserved > 0 && reserved <= limit / PART_OF_LIMIT);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_reserved(&file));
        assert!(are_left(&file));
        // The same file under a number that only a process with few left would be given.
        let first = i32::try_from(limit - reserved).unwrap();
        let high = fcntl_dupfd_cloexec(&file, first).unwrap();
        assert!(is_reserved(&high));
        let below = fcntl_dupfd_cloexec(&file, first - 1).unwrap();
        assert_eq!(below.as_raw_fd(), first - 1);
        assert!(!is_reserved(&below));
    }
}
