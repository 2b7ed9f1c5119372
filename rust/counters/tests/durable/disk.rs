//! Disks that are full, and files that are something else.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use callgate_counters::{Facts, Refusal, Repaired, StoreError};

use crate::support::{Machine, ledger, slots};

#[test]
fn foreign_and_newer_files_are_refused_and_left_alone() {
    for content in [
        b"x".to_vec(),
        b"{\"version\": \"1\"}".to_vec(),
        vec![0; 100_000],
        vec![0xFF; 2 * 64 * 1024],
    ] {
        let machine = Machine::new();
        fs::write(machine.path(), &content).unwrap();
        let error = machine.try_open().unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert!(matches!(
            Facts::read(&machine.path()),
            Err(StoreError::Foreign { .. })
        ));
        let repair = Repaired::at(&machine.path(), &machine.reading());
        assert!(matches!(repair, Err(StoreError::Foreign { .. })), "{repair:?}");
        assert_eq!(fs::read(machine.path()).unwrap(), content);
    }
    let machine = Machine::new();
    drop(machine.open());
    let mut bytes = fs::read(machine.path()).unwrap();
    // As a later version would write it: with checksums of its own, of which this one knows nothing.
    for copy in [0, 64 * 1024 - 64] {
        bytes[copy + 16] = 9;
    }
    fs::write(machine.path(), &bytes).unwrap();
    let error = machine.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Newer { version: 9, .. }), "{error}");
    assert_eq!(fs::read(machine.path()).unwrap(), bytes);
}

#[test]
fn an_empty_file_is_not_taken_for_a_new_one() {
    let machine = Machine::new();
    fs::write(machine.path(), b"").unwrap();
    let error = machine.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let machine = Machine::new();
    let pipe = machine.path();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (device, folder) = (Path::new("/dev/zero"), pipe.parent().unwrap());
    for (path, reason) in [
        (pipe.as_path(), "this is a pipe or a device"),
        (device, "this is a pipe or a device"),
        (folder, "this is a folder"),
    ] {
        let errors = [
            Facts::read(path).unwrap_err(),
            Repaired::at(path, &machine.reading()).unwrap_err(),
            machine.open_at(path).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_the_path() {
    let machine = Machine::new();
    let path = machine.path().join("below");
    let error = machine.open_at(&path).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

/// A file system of a few MiB, where the machine lets us have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(folder: &Path, bytes: u64) -> Option<Self> {
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder)
            .stderr(std::process::Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[test]
fn a_full_disk_refuses_new_counts_alone_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::new(folder.path(), 6 << 20) else {
        // Only root may mount. `mapped` tests the same with a limit on file sizes, which anybody may set.
        return;
    };
    let machine = Machine::new();
    let path = folder.path().join("counters");
    let counters = machine.open_at(&path).unwrap();
    let ballast = folder.path().join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let mut made = 0;
    while machine.take(&counters, &ledger(made, 500)).is_ok() {
        made += 1;
        assert!(made < 10_000, "a disk of 6 MiB holds more than that");
    }
    assert!(made > 1_000, "{made}");
    assert!(matches!(
        machine.take(&counters, &ledger(made, 500)),
        Err(Refusal::Capacity { demand: 0 })
    ));
    let (failures, reason) = counters.growth_failures();
    assert!(
        failures > 0 && reason.contains(&path.display().to_string()),
        "{reason}"
    );
    for key in 0..made {
        machine.take(&counters, &ledger(key, 500)).unwrap();
    }
    fs::remove_file(&ballast).unwrap();
    assert!(
        machine.take(&counters, &ledger(made, 500)).is_err(),
        "not asked again before the next flush"
    );
    counters.flush(&machine.reading()).unwrap();
    machine.take(&counters, &ledger(made, 500)).unwrap();
    drop(counters);
    let counters = machine.open_at(&path).unwrap();
    assert_eq!(counters.len() as u128, made + 1);
    assert_eq!(machine.remaining(&counters, &ledger(0, 500)), 498);
}

/// Writes a file as a copy that leaves out zeros does.
fn write_sparse(path: &Path, bytes: &[u8]) {
    const PAGE: usize = 4_096;
    let file = File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, page) in bytes.chunks(PAGE).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            file.write_all_at(page, (number * PAGE) as u64).unwrap();
        }
    }
}

#[test]
fn holes_are_filled_before_they_are_used() {
    let machine = Machine::new();
    let counters = machine.open();
    machine.take(&counters, &slots(1, 5)).unwrap();
    drop(counters);
    let bytes = fs::read(machine.path()).unwrap();
    let copy = machine.path().with_extension("sparse");
    write_sparse(&copy, &bytes);
    let reserved = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    assert!(reserved(&copy) < bytes.len() as u64, "{copy:?} has no holes");
    let counters = machine.open_at(&copy).unwrap();
    assert_eq!(reserved(&copy), bytes.len() as u64);
    assert_eq!(machine.remaining(&counters, &slots(1, 5)), 4);

    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::new(folder.path(), 1 << 19) else {
        return;
    };
    let path = folder.path().join("counters");
    write_sparse(&path, &bytes);
    let error = machine.open_at(&path).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_hole_behind_the_last_block_takes_no_room_and_no_time() {
    const HUGE: u64 = 16 << 30;
    let machine = Machine::new();
    let counters = machine.open();
    machine.take(&counters, &slots(1, 5)).unwrap();
    let copy = machine.copy("killed");
    let bytes = fs::metadata(&copy).unwrap().len();
    File::options()
        .write(true)
        .open(&copy)
        .unwrap()
        .set_len(HUGE)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    // A disk that cannot hold it.
    let disk = SmallDisk::new(folder.path(), 4 << 20);
    let path = if disk.is_some() {
        let path = folder.path().join("counters");
        write_sparse(&path, &fs::read(machine.path()).unwrap());
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(HUGE)
            .unwrap();
        path
    } else {
        copy
    };
    let counters = machine.open_at(&path).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.len(), found.blocks() * 512), (bytes, bytes));
    assert_eq!(machine.remaining(&counters, &slots(1, 5)), 4);
}

#[test]
fn a_start_without_room_names_path_and_bytes_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::new(folder.path(), 1 << 19) else {
        return;
    };
    let machine = Machine::new();
    let path = folder.path().join("counters");
    let error = machine.open_at(&path).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }));
    let error = error.to_string();
    assert!(
        error.contains("1114112 bytes") && error.contains("counters"),
        "{error}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(
        machine.take(&machine.open(), &slots(1, 1)).is_ok(),
        "elsewhere there is room"
    );
}

#[test]
fn a_file_that_is_taken_away_while_in_use_is_told_at_each_flush() {
    let machine = Machine::new();
    let counters = machine.open();
    counters.flush(&machine.reading()).unwrap();
    let elsewhere = machine.path().with_extension("moved");
    fs::rename(machine.path(), &elsewhere).unwrap();
    for _ in 0..2 {
        let error = counters.flush(&machine.reading()).unwrap_err();
        assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    }
    fs::write(machine.path(), b"").unwrap();
    counters.flush(&machine.reading()).unwrap_err();
    fs::rename(&elsewhere, machine.path()).unwrap();
    counters.flush(&machine.reading()).unwrap();
}

#[test]
fn a_file_that_was_taken_away_is_told_when_it_is_closed() {
    let machine = Machine::new();
    let counters = machine.open();
    assert!(machine.take(&counters, &slots(1, 1)).is_ok());
    let elsewhere = machine.path().with_extension("moved");
    fs::rename(machine.path(), &elsewhere).unwrap();
    let error = counters.close(&machine.reading()).unwrap_err();
    assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    // It was closed all the same, and is whole where it is now.
    counters.close(&machine.reading()).unwrap();
    let counters = machine.open_at(&elsewhere).unwrap();
    assert!(machine.take(&counters, &slots(1, 1)).is_err());
}

#[test]
fn a_file_of_counters_that_others_could_read_is_its_owners_alone_once_it_is_open() {
    let machine = Machine::new();
    drop(machine.open());
    let mode = || fs::metadata(machine.path()).unwrap().mode() & 0o777;
    let let_others_in = || fs::set_permissions(machine.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let_others_in();
    drop(machine.open());
    assert_eq!(mode(), 0o600);
    fs::write(machine.path(), b"no counters").unwrap();
    let_others_in();
    machine.try_open().unwrap_err();
    assert_eq!(mode(), 0o644, "refused files are left alone");
}
