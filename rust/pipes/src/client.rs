//! Detects that the client has gone.

use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

/// Told when nobody can read what this process writes any more. A client that was killed may leave a full pipe behind,
/// so that the end of its input is never met.
pub(crate) fn gone() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    let watch = move || {
        let output = io::stdout();
        let mut watched = [PollFd::new(&output, PollFlags::empty())];
        // Errors and hang-ups come unasked, and nothing else does: a file or a terminal that is open is waited for in vain.
        while let Err(Errno::INTR | Errno::AGAIN) = poll(&mut watched, None) {}
        // Nobody waits where the server has ended first.
        let _ = tell.send(());
    };
    // Without the thread, a client that is gone is found out by the next write.
    let _ = std::thread::Builder::new()
        .name("callgate-client".to_owned())
        .spawn(watch);
    told
}
