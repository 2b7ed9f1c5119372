//! The file against a real file system.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::audit::AuditError;
use crate::audit::config::AuditTarget;
use crate::audit::sink::open;
use crate::audit::tests::Folder;
use crate::error::StartError;

fn config(path: &Path) -> AuditConfig {
    AuditConfig::new(AuditTarget::File(path.to_owned()))
}

fn log(config: &AuditConfig) -> Box<dyn Sink> {
    open(config).unwrap().sink
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn only_its_user_reads_it() {
    let folder = Folder::new();
    let path = folder.file("log");
    log(&config(&path));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_torn_line_is_ended() {
    let folder = Folder::new();
    let path = folder.file("log");
    std::fs::write(&path, "whole\nto").unwrap();
    log(&config(&path)).write(b"next\n").unwrap();
    log(&config(&path)).write(b"last\n").unwrap();
    assert_eq!(read(&path), "whole\nto\nnext\nlast\n");
}

#[test]
fn files_hold_whole_lines_and_no_more_than_they_may() {
    let folder = Folder::new();
    let path = folder.file("log");
    let mut log = log(&AuditConfig {
        max_bytes: 8,
        keep: 9,
        ..config(&path)
    });
    log.write(b"a\nbb\nccc\n").unwrap();
    log.write(b"longer than a file\nd\n").unwrap();
    let files: Vec<String> = (1..=3)
        .rev()
        .map(|number| read(&folder.file(&format!("log.{number}"))))
        .chain([read(&path)])
        .collect();
    assert_eq!(files, ["a\nbb\n", "ccc\n", "longer than a file\n", "d\n"]);
}

#[test]
fn an_old_file_is_rotated_even_if_nobody_writes() {
    let folder = Folder::new();
    let path = folder.file("log");
    let config = AuditConfig {
        max_age_s: 3_600,
        ..config(&path)
    };
    let mut log = LogFile::open(&path, &config).unwrap();
    log.begun = SystemTime::now() - Duration::from_secs(7_200);
    log.tend().unwrap();
    assert!(!folder.file("log.1").exists(), "it was empty");
    log.write(b"a\n").unwrap();
    log.begun = SystemTime::now() - Duration::from_secs(7_200);
    log.tend().unwrap();
    log.tend().unwrap();
    assert_eq!(
        (read(&folder.file("log.1")), read(&path)),
        ("a\n".to_owned(), String::new())
    );
    assert!(!folder.file("log.2").exists());
}

fn refusal(path: &Path) -> String {
    let error = open(&config(path)).err().expect("the log is refused");
    let error = AuditError::open(&AuditTarget::File(path.to_owned()), &error);
    StartError::from(error).to_string()
}

#[test]
fn a_log_has_one_writer_by_whatever_name() {
    let folder = Folder::new();
    let (path, link, hard) = (folder.file("log"), folder.file("link"), folder.file("hard"));
    let mut log = log(&AuditConfig {
        max_bytes: 8,
        ..config(&path)
    });
    std::os::unix::fs::symlink(&path, &link).unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    for other in [&path, &link, &hard] {
        let refusal = refusal(other);
        assert!(refusal.contains(&other.display().to_string()), "{refusal}");
        assert!(refusal.contains("another callgate writes to it"), "{refusal}");
    }
    // The lines are the first one's alone, and a rotation takes the lock along.
    log.write(b"aaaa\n").unwrap();
    for round in 0..5 {
        log.write(format!("bbb{round}\n").as_bytes()).unwrap();
        assert!(refusal(&path).contains("another callgate"));
        assert!(!folder.file("log.next").exists());
    }
    std::fs::rename(&path, folder.file("moved")).unwrap();
    log.tend().unwrap();
    log.write(b"cccc\n").unwrap();
    assert!(refusal(&path).contains("another callgate"));
    // A file that was rotated or moved is free again.
    open(&config(&folder.file("log.1"))).unwrap();
    open(&config(&folder.file("moved"))).unwrap();
    drop(log);
    open(&config(&path)).unwrap().sink.write(b"dddd\n").unwrap();
    assert_eq!(read(&path), "cccc\ndddd\n");
}

#[test]
fn a_link_to_nothing_is_said_to_be_one() {
    let folder = Folder::new();
    let (link, target) = (folder.file("link"), folder.file("target"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let refusal = refusal(&link);
    assert!(refusal.contains("symbolic link"), "{refusal}");
    assert!(refusal.contains(&target.display().to_string()), "{refusal}");
    assert!(!target.exists(), "nothing is made where it leads");
    std::fs::write(&target, "").unwrap();
    let mut log = log(&config(&link));
    // Its file moved away by another program while it runs.
    std::fs::rename(&target, folder.file("moved")).unwrap();
    log.tend().unwrap();
    log.write(b"a\n").unwrap();
    assert_eq!(read(&target), "a\n");
}

#[test]
fn the_name_is_followed() {
    let folder = Folder::new();
    let (path, moved) = (folder.file("log"), folder.file("moved"));
    let mut log = log(&config(&path));
    log.write(b"a\n").unwrap();
    std::fs::rename(&path, &moved).unwrap();
    log.write(b"b\n").unwrap();
    log.tend().unwrap();
    log.write(b"c\n").unwrap();
    assert_eq!(
        (read(&moved), read(&path)),
        ("a\nb\n".to_owned(), "c\n".to_owned())
    );

    std::fs::remove_file(&path).unwrap();
    log.tend().unwrap();
    log.write(b"d\n").unwrap();
    assert_eq!(read(&path), "d\n");
}

#[test]
fn a_file_emptied_by_another_program_is_written_from_its_beginning() {
    let folder = Folder::new();
    let path = folder.file("log");
    let mut log = log(&AuditConfig {
        max_bytes: 8,
        ..config(&path)
    });
    log.write(b"aaaaaa\n").unwrap();
    File::options().write(true).truncate(true).open(&path).unwrap();
    log.tend().unwrap();
    log.write(b"bbbbbb\n").unwrap();
    assert_eq!(read(&path), "bbbbbb\n");
    assert!(!folder.file("log.1").exists());
}

#[test]
fn a_full_device_takes_nothing() {
    let mut log = log(&config(Path::new("/dev/full")));
    let failed = log.write(b"a\nb\n").unwrap_err();
    assert_eq!(
        (failed.written, failed.error.kind()),
        (0, io::ErrorKind::StorageFull)
    );
    log.tend().unwrap();
}

#[test]
fn a_folder_that_is_gone_is_an_error_until_it_is_back() {
    let folder = Folder::new();
    let inner = folder.file("inner");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("log");
    let mut log = log(&config(&path));
    std::fs::remove_dir_all(&inner).unwrap();
    assert!(log.tend().is_err());
    std::fs::create_dir(&inner).unwrap();
    log.tend().unwrap();
    log.write(b"a\n").unwrap();
    assert_eq!(read(&path), "a\n");
}

#[test]
fn a_rotation_that_fails_keeps_no_line_from_being_written() {
    let folder = Folder::new();
    let path = folder.file("log");
    // A folder that is not empty cannot be replaced by a file.
    std::fs::create_dir_all(folder.file("log.1/inner")).unwrap();
    let mut log = log(&AuditConfig {
        max_bytes: 4,
        keep: 1,
        ..config(&path)
    });
    log.write(b"aaa\nbbb\n").unwrap();
    log.write(b"ccc\n").unwrap();
    assert_eq!(read(&path), "aaa\nbbb\nccc\n");
    assert!(log.complaint().unwrap().error.contains("cannot rotate"));
    assert!(log.complaint().is_none());
}

#[test]
fn only_files_and_devices_are_opened() {
    let folder = Folder::new();
    assert!(open(&config(&folder.file("."))).is_err());
    assert!(open(&config(&folder.file("missing/log"))).is_err());
}
