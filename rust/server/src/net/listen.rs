//! Opening the TCP port and the Unix socket.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::StartError;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;

/// Longest path of a Unix socket, in bytes: `sun_path` of Linux holds 108 with the final NUL.
const LONGEST_PATH: usize = 107;

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

    /// Removes the file, if it is still the one that was made here.
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

/// Creates a socket for this user alone, or for everybody where others are told apart by their credentials. Never replaces a file: it may be another process's live socket.
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
    let socket = UnixSocket::new_stream().map_err(fault)?;
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
}
