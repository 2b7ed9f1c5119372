//! Files of words, as the counters use them.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that cannot go on fails its test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

use callgate_mapped::{LockError, MappedFile};
use tempfile::TempDir;

const PAGES: u64 = 64 * 1024;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words");
    (folder, path)
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

#[test]
fn what_is_written_to_the_words_is_in_the_file() {
    let (_folder, path) = place();
    assert!(MappedFile::open(&path).unwrap().is_none());
    let file = MappedFile::create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(file.is_empty().unwrap());
    file.grow(2 * PAGES).unwrap();
    let words = file.map(PAGES, usize_of(PAGES)).unwrap();
    words[1].store(0x0102_0304, Relaxed);
    file.sync().unwrap();
    drop(file);
    // The words outlive the file that they were mapped from.
    words[2].store(7, Relaxed);
    let bytes = fs::read(&path).unwrap();
    let at = usize_of(PAGES) + 8;
    assert_eq!(bytes[at..at + 8], 0x0102_0304_u64.to_ne_bytes());
    assert_eq!(bytes[at + 8..at + 16], 7_u64.to_ne_bytes());
}

/// KiB of this process's mapping of a file that are not on disk.
fn dirty_kib(path: &Path) -> u64 {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let name = path.to_str().unwrap();
    let mapping = maps.lines().skip_while(|line| !line.ends_with(name));
    let is_dirty = |line: &&str| line.starts_with("Shared_Dirty:") || line.starts_with("Private_Dirty:");
    let kib = |line: &str| -> u64 { line.split_whitespace().nth(1).unwrap().parse().unwrap() };
    mapping.filter(is_dirty).take(2).map(kib).sum()
}

#[test]
fn touched_words_are_written_again() {
    let (_folder, path) = place();
    let file = MappedFile::create(&path).unwrap();
    file.grow(PAGES).unwrap();
    let words = file.map(0, usize_of(PAGES)).unwrap();
    for word in words.iter() {
        word.store(1, Relaxed);
    }
    assert_eq!(dirty_kib(&path), 64);
    file.sync().unwrap();
    if dirty_kib(&path) > 0 {
        // In memory: there is no disk to write to.
        return;
    }
    words.touch();
    assert_eq!(dirty_kib(&path), 64);
    assert!(words.iter().all(|word| word.load(Relaxed) == 1));
}

#[test]
fn a_second_opening_is_refused_and_a_later_one_is_not() {
    let (_folder, path) = place();
    let first = MappedFile::create(&path).unwrap();
    assert!(matches!(MappedFile::open(&path), Err(LockError::InUse)));
    assert!(matches!(MappedFile::create(&path), Err(LockError::InUse)));
    drop(first);
    assert!(MappedFile::open(&path).unwrap().is_some());
}

#[test]
fn rights_of_others_are_taken_away() {
    let (_folder, path) = place();
    drop(MappedFile::create(&path).unwrap());
    for (before, after) in [(0o644, 0o600), (0o666, 0o600), (0o600, 0o600)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
        let file = MappedFile::open(&path).unwrap().unwrap();
        file.keep_others_out().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, after);
    }
}

#[test]
fn nothing_beyond_the_end_is_mapped() {
    let (_folder, path) = place();
    let file = MappedFile::create(&path).unwrap();
    file.grow(PAGES).unwrap();
    assert!(file.map(0, usize_of(2 * PAGES)).is_err());
    assert!(file.map(PAGES, usize_of(PAGES)).is_err());
    assert!(file.map(u64::MAX - 1, usize_of(PAGES)).is_err());
    assert!(file.map(0, usize_of(PAGES)).is_ok());
}

#[test]
fn detached_words_are_private_and_zero() {
    let (_folder, path) = place();
    let file = MappedFile::create(&path).unwrap();
    file.grow(2 * PAGES).unwrap();
    let words = file.map(0, usize_of(2 * PAGES)).unwrap();
    let part = words.part(8, 8).unwrap();
    words[9].store(5, Relaxed);
    file.detach().unwrap();
    assert_eq!(part[1].load(Relaxed), 0);
    part[1].store(6, Relaxed);
    let again = file.map(0, usize_of(PAGES)).unwrap();
    assert_eq!(again[9].load(Relaxed), 5, "the file keeps what was there");
}

#[test]
fn threads_may_use_words_while_they_are_detached() {
    let (_folder, path) = place();
    let file = MappedFile::create(&path).unwrap();
    file.grow(PAGES).unwrap();
    for _ in 0..50 {
        let words = file.map(0, usize_of(PAGES)).unwrap();
        words[0].store(0, Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut seen = 0;
                // Until a detached page shows that its words start again from zero.
                loop {
                    let now = words[0].fetch_add(1, Relaxed) + 1;
                    if now <= seen {
                        break;
                    }
                    seen = now;
                }
            });
            while words[0].load(Relaxed) < 100 {
                std::hint::spin_loop();
            }
            file.detach().unwrap();
        });
    }
}

#[test]
fn a_shrunk_file_leaves_its_words_usable() {
    let (_folder, path) = place();
    let file = MappedFile::create(&path).unwrap();
    file.grow(4 * PAGES).unwrap();
    let words = file.map(0, usize_of(4 * PAGES)).unwrap();
    words[0].store(3, Relaxed);
    file.shrink(PAGES).unwrap();
    assert_eq!(file.len().unwrap(), PAGES);
    let beyond = words.last().unwrap();
    beyond.store(9, Relaxed);
    assert_eq!((words[0].load(Relaxed), beyond.load(Relaxed)), (3, 9));
    file.grow(4 * PAGES).unwrap();
    let again = file.map(3 * PAGES, usize_of(PAGES)).unwrap();
    assert_eq!(again.last().unwrap().load(Relaxed), 0);
}

#[test]
fn more_than_the_disk_has_is_an_error() {
    let (_folder, path) = place();
    let file = MappedFile::create(&path).unwrap();
    file.grow(PAGES).unwrap();
    assert!(file.grow(1 << 60).is_err(), "an exbibyte");
    assert_eq!(file.len().unwrap(), PAGES, "and the file is as before");
}

/// The limit holds for a whole process, so the test starts itself again under one.
#[test]
fn a_limit_on_file_sizes_is_an_error_and_no_signal() {
    const CHILD: &str = "CALLGATE_TEST_LIMITED";
    if let Some(path) = std::env::var_os(CHILD) {
        let file = MappedFile::create(path.as_ref()).unwrap();
        file.grow(PAGES).unwrap();
        let error = file.grow(64 * PAGES).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
        file.grow(2 * PAGES).unwrap();
        return;
    }
    let (_folder, path) = place();
    let own = std::env::current_exe().unwrap();
    // 512-byte blocks in some shells, 1,024 in others: 4 or 8 MiB less than requested, more than needed.
    let script = "ulimit -f 1024 && exec \"$0\" --exact a_limit_on_file_sizes_is_an_error_and_no_signal";
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(own)
        .env(CHILD, &path)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}
