//! Opening the TCP port and the Unix socket.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::error::StartError;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;

/// Longest path of a Unix socket, in bytes: `sun_path` of Linux holds 108 with the final NUL.
const LONGEST_PATH: usize = 107;

/// Longest wait for another process that is binding in the same folder: it needs some microseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// Listens on `listen`. Must run inside a runtime.
pub(crate) fn bind_tcp(listen: &str) -> Result<(TcpListener, SocketAddr), StartError> {
    let fault = |source: io::Error| {
        let listen = listen.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => StartError::AddressInUse { listen },
            io::ErrorKind::AddrNotAvailable => StartError::AddressNotAvailable { listen },
            io::ErrorKind::PermissionDenied => StartError::AddressNotPermitted { listen },
            _ => StartError::Listen { listen, source },
        }
    };
    let address = parse_address(listen).ok_or_else(|| StartError::Address {
        listen: listen.to_owned(),
    })?;
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
    .map_err(fault)?;
    // So that a restart does not wait for connections of the process before to be forgotten.
    socket.set_reuseaddr(true).map_err(fault)?;
    socket.bind(address).map_err(fault)?;
    let listener = socket.listen(BACKLOG).map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    Ok((listener, address))
}

/// An IP address and a port, or `localhost` and a port. Other names are not looked up: what they mean may change.
fn parse_address(listen: &str) -> Option<SocketAddr> {
    match listen.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => listen.parse().ok(),
    }
}

/// A Unix socket that this process has made, by its place in the file system.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl BoundSocket {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file to other users, or closes it to them. Those who are not known are still turned away.
    pub(crate) fn open_for_others(&self, for_others: bool) -> io::Result<()> {
        if self.is_ours() {
            set_mode(&self.path, for_others)
        } else {
            Ok(())
        }
    }

    /// Removes the socket file, if it is still the one of this listener.
    pub(crate) fn remove(&self) {
        if self.is_ours() {
            // Gone already, or the folder is read-only by now: nothing is left to be done about it.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

/// Creates a socket for this user alone, or for everybody where others are told apart by their credentials. Replaces the
/// socket of a process that was killed, and nothing else: what is there may be another process's live socket.
/// Must run inside a runtime.
pub(crate) fn bind_socket(path: &Path, for_others: bool) -> Result<(UnixListener, BoundSocket), StartError> {
    let fault = |source: io::Error| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::AlreadyExists => StartError::SocketExists { path },
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StartError::SocketFolder { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StartError::SocketNotPermitted { path }
            }
            _ => StartError::Socket { path, source },
        }
    };
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(StartError::SocketPathTooLong {
            path: path.to_owned(),
            length,
            longest: LONGEST_PATH,
        });
    }
    // Held until the socket listens, so that nobody takes one that does not listen yet for one that nobody uses.
    let lock = FolderLock::of(path).map_err(fault)?;
    let socket = UnixSocket::new_stream().map_err(fault)?;
    if lock.is_some() {
        match user_of(path) {
            User::Somebody => {
                let path = path.to_owned();
                return Err(StartError::SocketInUse { path });
            }
            // Where it cannot be removed, binding says that it exists.
            User::Nobody => drop(std::fs::remove_file(path)),
            User::Unknown => {}
        }
    }
    socket.bind(path).map_err(fault)?;
    let made = set_mode(path, for_others)
        .and_then(|()| std::fs::symlink_metadata(path))
        .and_then(|made| {
            // Only now can anybody connect, so nobody gets in before the mode is set.
            Ok((socket.listen(BACKLOG)?, made))
        });
    match made {
        Ok((listener, made)) => Ok((
            listener,
            BoundSocket {
                path: path.to_owned(),
                device: made.dev(),
                inode: made.ino(),
            },
        )),
        Err(source) => {
            let _ = std::fs::remove_file(path);
            Err(fault(source))
        }
    }
}

/// Keeps other servers from binding in a folder.
struct FolderLock(File);

impl FolderLock {
    /// Locks the folder of `path`; `None` where it cannot be locked by anybody of this user, so that nobody relies on it.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let Ok(folder) = File::open(folder) else {
            return Ok(None);
        };
        let started = Instant::now();
        loop {
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self(folder))),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if started.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_RETRY),
                Err(Errno::WOULDBLOCK) => {
                    let message =
                        "another process has locked its folder; try again, or choose another with --socket";
                    return Err(io::Error::other(message));
                }
                Err(_) => return Ok(None),
            }
        }
    }
}

impl Drop for FolderLock {
    /// By a call of its own: a child that was forked meanwhile would keep the folder locked.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// The present use of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    /// A process listens.
    Somebody,
    /// A socket whose process is gone.
    Nobody,
    /// There is nothing, or no socket, or it does not say.
    Unknown,
}

fn user_of(path: &Path) -> User {
    if !std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return User::Unknown;
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let asked = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .and_then(|socket| connect(&socket, &SocketAddrUnix::new(path)?));
    match asked {
        // Also where as many wait as may, or it is a socket of another type.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => User::Somebody,
        Err(Errno::CONNREFUSED) => User::Nobody,
        Err(_) => User::Unknown,
    }
}

fn set_mode(path: &Path, for_others: bool) -> io::Result<()> {
    let mode = if for_others { 0o666 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(
            parse_address("127.0.0.1:9191"),
            Some(SocketAddr::from(([127, 0, 0, 1], 9191)))
        );
        assert_eq!(
            parse_address("localhost:0"),
            Some(SocketAddr::from(([127, 0, 0, 1], 0)))
        );
        assert!(parse_address("[::1]:80").is_some_and(|address| address.is_ipv6()));
        for wrong in [
            "",
            "127.0.0.1",
            ":9191",
            "localhost:",
            "localhost:70000",
            "example.com:80",
            "::1:80:",
        ] {
            assert_eq!(parse_address(wrong), None, "{wrong}");
        }
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("callgate-listen-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("s")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Leaves a socket file behind, as a killed process does.
    fn leave_behind(path: &Path) {
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_replaced() {
        let folder = Folder::new("killed");
        let path = folder.socket();
        leave_behind(&path);
        let (_listener, made) = bind_socket(&path, false).unwrap();
        assert!(made.is_ours());
        std::os::unix::net::UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn what_may_be_used_is_left_alone() {
        let folder = Folder::new("used");
        let path = folder.socket();
        let refusal = || bind_socket(&path, false).unwrap_err();
        let exists = |error| matches!(error, StartError::SocketExists { .. });

        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(refusal(), StartError::SocketInUse { .. }));
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(listener);

        // Neither a name that stands for such a socket, nor one of another kind that is in use, nor a file.
        let moved = folder.0.join("moved");
        std::fs::rename(&path, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &path).unwrap();
        assert!(exists(refusal()));
        std::fs::remove_file(&path).unwrap();

        let datagrams = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        assert!(matches!(refusal(), StartError::SocketInUse { .. }));
        drop(datagrams);
        std::fs::remove_file(&path).unwrap();

        std::fs::write(&path, "precious").unwrap();
        assert!(exists(refusal()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_full_queue_of_connections_is_a_user() {
        let folder = Folder::new("full");
        let path = folder.socket();
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let _listener = socket.listen(0).unwrap();
        let connect = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            connect(&socket, &SocketAddrUnix::new(&path).unwrap()).map(|()| socket)
        };
        let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).take(10).collect();
        assert!(waiting.len() < 10);
        assert_eq!(user_of(&path), User::Somebody);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn of_many_that_start_at_once_one_listens() {
        let folder = Folder::new("many");
        let path = folder.socket();
        let runtime = tokio::runtime::Handle::current();
        for _ in 0..50 {
            leave_behind(&path);
            let started: Vec<_> = std::thread::scope(|scope| {
                let starting: Vec<_> = (0..4)
                    .map(|_| {
                        scope.spawn(|| {
                            let _entered = runtime.enter();
                            bind_socket(&path, false).ok()
                        })
                    })
                    .collect();
                starting
                    .into_iter()
                    .filter_map(|thread| thread.join().unwrap())
                    .collect()
            });
            let [(_, made)] = started.as_slice() else {
                panic!("{} listen", started.len())
            };
            assert!(made.is_ours());
            made.remove();
        }
    }
}
