//! File descriptors that connections leave to others: reloads, the admin port, the files of counters, pins and logs.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// How many are left free, and of a limit that is low an eighth.
const RESERVED: u64 = 128;
const PART_OF_LIMIT: u64 = 8;

/// The most file descriptors that this process may have open, and how many of them connections leave to others; `None`
/// without a limit.
///
/// Asked for each time: a limit may change while the process runs.
pub fn descriptor_limit() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile).current?;
    Some((limit, RESERVED.min(limit / PART_OF_LIMIT)))
}

/// Whether a descriptor is one of those that are left to others. The system gives the lowest number that is free, so all
/// below it were in use when it was given.
pub(super) fn is_reserved(descriptor: impl AsFd) -> bool {
    let number = u64::try_from(descriptor.as_fd().as_raw_fd()).unwrap_or_default();
    descriptor_limit().is_some_and(|(limit, reserved)| number >= limit - reserved)
}

/// Whether the next connection would get a descriptor that is not left to others; `open` is any that is open.
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
