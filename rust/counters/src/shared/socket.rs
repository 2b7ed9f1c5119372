//! The socket beside a file of counters, and messages over it within bounded times.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;

use super::wire::{self, Malformed};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;
/// Bytes of a path that the system takes for a Unix socket.
const LONGEST_PATH: usize = 107;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The moment at which to give up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    /// The time that is left; `None` if it is over.
    pub(super) fn left(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

/// The reason why a message did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkError {
    /// No process listens on the socket.
    Absent,
    /// The other end has closed the connection.
    Lost,
    /// The other end does not answer, or does not read, in time.
    Silent,
    /// The other end does not speak this protocol.
    Malformed,
    /// The other end belongs to another user.
    OtherUser,
}

impl From<Malformed> for LinkError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// The path of the socket beside a file of counters.
pub(super) fn beside(file: &Path) -> PathBuf {
    // A file may have several names by symbolic links, and has one socket.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let mut name = file.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(".sock");
    file.with_file_name(name)
}

/// Calls `work` with a name of the socket that the system takes, also if its path is too long: by way of its folder's
/// descriptor.
fn with_name<R>(path: &Path, work: impl FnOnce(&SocketAddrUnix) -> Result<R, Errno>) -> io::Result<R> {
    if path.as_os_str().as_bytes().len() <= LONGEST_PATH {
        return Ok(work(&SocketAddrUnix::new(path)?)?);
    }
    let folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default();
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&folder);
    let near = Path::new("/proc/self/fd").join(descriptor.to_string()).join(name);
    Ok(work(&SocketAddrUnix::new(&near)?)?)
}

fn new_socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags | SocketFlags::CLOEXEC,
        None,
    )
}

/// A socket that listens beside a file.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of the socket file, which must not be mistaken for another one of its name.
    made: (u64, u64),
}

impl Listener {
    /// Listens under `path`, for this user alone. The caller holds the lock of the file, so a socket that is there was left
    /// behind by a process that was killed, and is replaced.
    pub(super) fn bind(path: PathBuf) -> io::Result<Self> {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&path)?,
            Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = new_socket(SocketFlags::empty())?;
        with_name(&path, |name| rustix::net::bind(&socket, name))?;
        // Nobody can connect before it listens, so nobody gets in before the mode is set.
        let made = std::fs::set_permissions(&path, Permissions::from_mode(0o600))
            .and_then(|()| std::fs::symlink_metadata(&path))
            .and_then(|made| {
                rustix::net::listen(&socket, BACKLOG)?;
                Ok((made.dev(), made.ino()))
            });
        match made {
            Ok(made) => Ok(Self { socket, path, made }),
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Returns the next connection; fails after [`Self::end`].
    pub(super) fn accept(&self) -> Result<UnixStream, Errno> {
        rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC).map(UnixStream::from)
    }

    /// Removes the socket file, and ends [`Self::accept`]. To be called while the file of the counters is still locked, so
    /// that no other process has made its socket there.
    pub(super) fn end(&self) {
        let is_ours = |found: std::fs::Metadata| (found.dev(), found.ino()) == self.made;
        if std::fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // One that stays is replaced by the next process.
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }
}

/// Connects to the socket at `path`. Does not wait: a full queue of connections is [`LinkError::Silent`].
pub(super) fn connect(path: &Path) -> Result<Channel, LinkError> {
    let socket = new_socket(SocketFlags::NONBLOCK).map_err(|_| LinkError::Absent)?;
    match with_name(path, |name| rustix::net::connect(&socket, name)) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(LinkError::Silent),
        Err(_) => return Err(LinkError::Absent),
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false).map_err(|_| LinkError::Absent)?;
    Channel::of(stream)
}

/// A connection to a process of this user.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    /// Bytes of the next message.
    received: Vec<u8>,
}

impl Channel {
    /// Fails if the other end is not of this user. The mode of the socket's file says the same, but is not heeded by every
    /// system.
    pub(super) fn of(stream: UnixStream) -> Result<Self, LinkError> {
        match socket_peercred(&stream) {
            Ok(peer) if peer.uid == geteuid() => Ok(Self {
                stream,
                received: Vec::new(),
            }),
            _ => Err(LinkError::OtherUser),
        }
    }

    /// Another handle of the connection, to end it.
    pub(super) fn handle(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, mut frame: &[u8], deadline: Deadline) -> Result<(), LinkError> {
        while !frame.is_empty() {
            let left = deadline.left().ok_or(LinkError::Silent)?;
            self.stream
                .set_write_timeout(Some(left))
                .map_err(|_| LinkError::Lost)?;
            // Without the signal that would end a process whose peer is gone.
            match rustix::net::send(&self.stream, frame, SendFlags::NOSIGNAL) {
                Ok(0) => return Err(LinkError::Lost),
                Ok(written) => frame = &frame[written..],
                Err(error) => passed(&error.into())?,
            }
        }
        Ok(())
    }

    /// Receives a message before the deadline.
    pub(super) fn receive(&mut self, deadline: Deadline) -> Result<Vec<u8>, LinkError> {
        loop {
            if let Some(message) = wire::take_frame(&mut self.received)? {
                return Ok(message);
            }
            let left = deadline.left().ok_or(LinkError::Silent)?;
            self.read(Some(left))?;
        }
    }

    /// Receives a message that may begin at any time, and must be complete within `patience` after that.
    pub(super) fn receive_next(&mut self, patience: Duration) -> Result<Vec<u8>, LinkError> {
        while self.received.is_empty() {
            self.read(None)?;
        }
        self.receive(Deadline::after(patience))
    }

    fn read(&mut self, timeout: Option<Duration>) -> Result<(), LinkError> {
        self.stream
            .set_read_timeout(timeout)
            .map_err(|_| LinkError::Lost)?;
        let mut chunk = [0; CHUNK_BYTES];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(LinkError::Lost),
            Ok(read) => {
                self.received.extend_from_slice(&chunk[..read]);
                Ok(())
            }
            Err(error) => passed(&error),
        }
    }
}

/// Sorts the errors of a connection: after an interruption it goes on.
fn passed(error: &io::Error) -> Result<(), LinkError> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(LinkError::Silent),
        _ => Err(LinkError::Lost),
    }
}
