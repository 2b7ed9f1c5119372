//! Processes that end: the next one takes the file over, and no unit is lost or admitted twice.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use callgate_counters::{
    ClockReading, Counters, Now, PepId, ReadClocks, Refusal, ReservationId, ReservationLimits, Reservations,
};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{Machine, WINDOW_US, calendar, ledger, slots};

#[test]
fn several_stores_meet_one_limit() {
    let machine = Machine::new();
    let stores: Vec<Counters> = (0..5).map(|_| machine.share()).collect();
    assert!(!stores[0].is_follower());
    assert!(stores[1..].iter().all(Counters::is_follower));
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for store in stores.iter().flat_map(|store| [store, store]) {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut wanted = [slots(1, 100), ledger(2, 90), calendar(3, 300)];
                    match store.take(&mut wanted, "g", machine.now()) {
                        Ok(_) => admitted.fetch_add(1, Ordering::SeqCst),
                        Err(refusal) => {
                            assert_eq!(refusal, Refusal::RateLimited);
                            continue;
                        }
                    };
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 90);
    for store in &stores {
        assert_eq!(machine.remaining(store, &slots(1, 100)), 10);
        assert_eq!(machine.remaining(store, &calendar(3, 300)), 210);
        assert_eq!(store.sharing_fault(), None);
    }
    machine.pass(2 * WINDOW_US);
    assert_eq!(machine.remaining(&stores[4], &slots(1, 100)), 100);
}

#[test]
fn the_next_one_takes_over() {
    let machine = Machine::new();
    let stores: Vec<Counters> = (0..4).map(|_| machine.share()).collect();
    let demand = slots(1, 4);
    let socket = fs::symlink_metadata(machine.socket()).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    for (number, store) in stores.iter().enumerate() {
        machine.take(store, &demand).unwrap();
        assert!(!store.is_follower(), "store {number} has the file");
        if let Some(next) = stores.get(number + 1) {
            assert!(next.is_follower());
            assert_eq!(machine.remaining(next, &demand), 3 - number as u64);
        }
        machine.close(store);
        assert_eq!(machine.take(store, &demand), Err(Refusal::Unavailable));
    }
    assert!(!machine.socket().exists(), "removed at a clean end");
    let later = machine.share();
    assert_eq!(machine.take(&later, &demand), Err(Refusal::RateLimited));
}

#[test]
fn a_call_that_began_before_the_take_over_gets_its_units() {
    let machine = Machine::new();
    let (first, second, third) = (machine.share(), machine.share(), machine.share());
    let now = machine.now();
    machine.pass(1_000);
    machine.close(&first);
    for (key, store) in [(1, &second), (2, &third), (3, &second)] {
        // Counts that are new.
        let mut wanted = [slots(key, 2), ledger(10 + key, 2), calendar(20 + key, 2)];
        assert_eq!(store.peek(&mut wanted, "g", now), Ok(()));
        assert!(store.take(&mut wanted, "g", now).is_ok(), "{wanted:?}");
        for demand in &wanted {
            assert_eq!(demand.view.remaining.0, 1_000_000);
        }
    }
}

#[test]
fn units_are_given_back_after_a_take_over() {
    let machine = Machine::new();
    let reservations = Reservations::new(30_000, ReservationLimits::in_all(10), &[1; 16]);
    let (first, second) = (machine.share(), machine.share());
    let id = ReservationId::new(1);
    let mut wanted = [slots(1, 2), ledger(2, 2), calendar(3, 2)];
    second.take(&mut wanted, "g", machine.now()).unwrap();
    reservations.open(id, PepId(0), "g", &wanted, machine.now());
    machine.close(&first);
    assert!(reservations.roll_back(id, PepId(0), &second, machine.now()));
    for demand in &wanted {
        assert_eq!(machine.remaining(&second, demand), 2);
    }
    assert!(!second.is_follower());
}

#[test]
fn those_who_race_for_the_file_go_on_as_one() {
    for _ in 0..10 {
        let machine = Machine::new();
        let holder = machine.share();
        let followers: Vec<Counters> = (0..4).map(|_| machine.share()).collect();
        let demand = slots(1, 100);
        let admitted = AtomicU64::new(0);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            for store in &followers {
                scope.spawn(|| {
                    while !ended.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                    for _ in 0..10 {
                        machine.take(store, &demand).unwrap();
                        admitted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            machine.take(&holder, &demand).unwrap();
            ended.store(true, Ordering::SeqCst);
            machine.close(&holder);
        });
        let holders = followers.iter().filter(|store| !store.is_follower()).count();
        assert_eq!(holders, 1);
        let taken = 100 - machine.remaining(&followers[0], &demand);
        // A take whose holder ended before it answered may be charged twice, once for each thread.
        assert!((41..=45).contains(&taken), "{taken}");
        assert_eq!(admitted.into_inner(), 40);
    }
}

#[test]
fn a_file_is_found_by_another_name() {
    let machine = Machine::new();
    let holder = machine.share();
    let other = tempfile::tempdir().unwrap();
    // Longer than the system takes for a socket.
    let deep = other.path().join("a".repeat(120));
    fs::create_dir(&deep).unwrap();
    let link = deep.join("linked");
    std::os::unix::fs::symlink(machine.path(), &link).unwrap();
    let reading = machine.reading();
    let clocks = ReadClocks::new(move || Ok(reading));
    let follower = Counters::open_shared(&link, 10, 10, &[9; 16], clocks).unwrap();
    assert_eq!(follower.hash_key(), Some(&[7; 16]), "the file's own key");
    machine.take(&follower, &slots(1, 2)).unwrap();
    assert_eq!(machine.remaining(&holder, &slots(1, 2)), 1);
}

#[test]
fn a_long_path_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a".repeat(150));
    fs::create_dir(&deep).unwrap();
    let machine = Machine::new();
    let reading = machine.reading();
    let share = || {
        let clocks = ReadClocks::new(move || Ok(reading));
        Counters::open_shared(&deep.join("counters"), 10, 10, &[9; 16], clocks).unwrap()
    };
    let (holder, follower) = (share(), share());
    machine.take(&follower, &slots(1, 2)).unwrap();
    assert_eq!(machine.remaining(&holder, &slots(1, 2)), 1);
    assert_eq!(holder.sharing_fault(), None);
}

const HELD_FILE: &str = "CALLGATE_TEST_HELD_FILE";

fn real_clocks() -> ReadClocks {
    ReadClocks::new(|| Ok(real_reading()))
}

fn real_reading() -> ClockReading {
    let us = |clock| {
        let time = clock_gettime(clock);
        u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1_000).unwrap()
    };
    ClockReading {
        boot_id: [3; 16],
        boot_us: us(ClockId::Boottime),
        unix_us: us(ClockId::Realtime),
    }
}

fn real_now() -> Now {
    let reading = real_reading();
    Now {
        boot_ns: reading.boot_us * 1_000,
        unix_offset_us: reading.unix_us.cast_signed() - reading.boot_us.cast_signed(),
    }
}

fn share_really(path: &Path) -> Counters {
    Counters::open_shared(path, 100, 100, &[5; 16], real_clocks()).unwrap()
}

/// The other process of the test below. Without the variable it is a test that does nothing.
#[test]
fn a_process_that_holds_the_file() {
    let Some(path) = std::env::var_os(HELD_FILE) else {
        return;
    };
    let counters = share_really(Path::new(&path));
    for _ in 0..3 {
        counters.take(&mut [slots(1, 10)], "g", real_now()).unwrap();
    }
    let mut output = std::io::stdout();
    writeln!(output, "held {}", !counters.is_follower()).unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

fn hold_elsewhere(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "ends::a_process_that_holds_the_file"])
        .env(HELD_FILE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    let mut lines = output.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("held true")));
    child
}

#[test]
fn a_kill_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters");
    let mut child = hold_elsewhere(&path);
    let followers = [share_really(&path), share_really(&path)];
    let take = |store: &Counters| store.take(&mut [slots(1, 10)], "g", real_now());
    for store in &followers {
        assert!(store.is_follower());
        take(store).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(folder.path().join("counters.sock").exists(), "left behind");
    let admitted = (0..20)
        .filter(|number| take(&followers[number % 2]).is_ok())
        .count();
    assert_eq!(
        admitted, 5,
        "three of the killed process and two of the followers are kept"
    );
    assert_eq!(followers.iter().filter(|store| store.is_follower()).count(), 1);
}
