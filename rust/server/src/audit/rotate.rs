//! Rotated files: `PATH.1` is the newest, `PATH.<keep>` the oldest.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::lock::lock;

/// Moves `PATH` to `PATH.1`, after `PATH.1` to `PATH.2` and so on up to a number that is free; where none is, what was
/// `PATH.<keep>` is gone. Gives an empty file under `PATH`, locked before it had that name, so that at no time another
/// process could take the name for itself.
///
/// Each step is one rename, the oldest first: after a crash or a failure between two of them a number is free, and no line
/// is lost. The next try only fills that number, so a move that fails again and again costs no file more.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<File> {
    std::fs::symlink_metadata(path)?;
    let (next, file) = create_next(path)?;
    move_all(path, &next, keep)
        .inspect_err(|_| {
            // It is empty. That it cannot be removed is no reason to say something else.
            let _ = std::fs::remove_file(&next);
        })
        .map(|()| file)
}

fn create_next(path: &Path) -> io::Result<(PathBuf, File)> {
    let next = with_suffix(path, "next");
    match std::fs::remove_file(&next) {
        // A file that a crash has left.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create_new(true).mode(0o600);
    let file = options.open(&next)?;
    lock(&file)?;
    Ok((next, file))
}

fn move_all(path: &Path, next: &Path, keep: u32) -> io::Result<()> {
    let is_free = |number: &u32| {
        std::fs::symlink_metadata(numbered(path, *number))
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let last = (1..keep.max(1)).find(is_free).unwrap_or(keep.max(1));
    for number in (1..last).rev() {
        std::fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    let first = numbered(path, 1);
    match std::fs::remove_file(&first) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Under both names for a moment, so that there is a file under `PATH` all the time; where the file system has no
    // such links there is none for a moment.
    if std::fs::hard_link(path, &first).is_err() {
        std::fs::rename(path, &first)?;
        return std::fs::rename(next, path);
    }
    std::fs::rename(next, path).inspect_err(|_| {
        // It is still under `PATH`.
        let _ = std::fs::remove_file(&first);
    })
}

pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    with_suffix(path, &number.to_string())
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::Folder;

    #[test]
    fn the_newest_is_number_one() {
        let folder = Folder::new();
        let path = folder.file("log.jsonl");
        for round in 0..5 {
            std::fs::write(&path, round.to_string()).unwrap();
            rotate(&path, 3).unwrap();
        }
        let read = |number| std::fs::read_to_string(numbered(&path, number)).ok();
        let expected = [Some("4"), Some("3"), Some("2"), None].map(|text| text.map(str::to_owned));
        assert_eq!([read(1), read(2), read(3), read(4)], expected);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert!(!with_suffix(&path, "next").exists());
    }

    #[test]
    fn a_gap_is_no_fault() {
        let folder = Folder::new();
        let path = folder.file("log.jsonl");
        std::fs::write(&path, "new").unwrap();
        std::fs::write(numbered(&path, 2), "old").unwrap();
        rotate(&path, 4).unwrap();
        assert_eq!(std::fs::read_to_string(numbered(&path, 1)).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(numbered(&path, 2)).unwrap(), "old");
    }

    #[test]
    fn a_move_that_keeps_failing_loses_no_file() {
        let folder = Folder::new();
        let path = folder.file("log.jsonl");
        for number in 1..=3 {
            std::fs::write(numbered(&path, number), number.to_string()).unwrap();
        }
        for _ in 0..5 {
            assert!(rotate(&path, 4).is_err(), "there is nothing to move");
        }
        std::fs::write(&path, "new").unwrap();
        rotate(&path, 4).unwrap();
        let read = |number| std::fs::read_to_string(numbered(&path, number)).unwrap();
        assert_eq!([1, 2, 3, 4].map(read), ["new", "1", "2", "3"]);
    }
}
