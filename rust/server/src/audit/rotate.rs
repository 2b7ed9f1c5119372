//! Rotated files: `PATH.1` is the newest, `PATH.<keep>` the oldest.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Moves `PATH` to `PATH.1`, after `PATH.1` to `PATH.2` and so on; what was `PATH.<keep>` is gone.
///
/// Each step is one rename, the oldest first: after a crash between two of them a number may be missing, and no line is.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    for number in (1..keep.max(1)).rev() {
        match std::fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(path, numbered(path, 1))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
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
        assert!(!path.exists());
    }

    #[test]
    fn a_gap_is_no_fault() {
        let folder = Folder::new();
        let path = folder.file("log.jsonl");
        std::fs::write(&path, "new").unwrap();
        std::fs::write(numbered(&path, 2), "old").unwrap();
        rotate(&path, 4).unwrap();
        assert_eq!(std::fs::read_to_string(numbered(&path, 1)).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(numbered(&path, 3)).unwrap(), "old");
        assert!(rotate(&path, 4).is_err(), "there is nothing to move");
    }
}
