//! Processes that do not answer, and processes that ask nonsense.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use callgate_counters::{Counters, ReadClocks, Refusal, ResetError, ResetTarget, StoreError};

use crate::support::{Machine, slots};

#[test]
fn a_process_that_keeps_the_file_to_itself_is_named() {
    let machine = Machine::new();
    let _alone = machine.open();
    match machine.try_share() {
        Err(error @ StoreError::InUse { pid, .. }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert!(error.to_string().contains("are in use by process"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_that_shares_the_file_is_not_joined_by_one_that_does_not() {
    let machine = Machine::new();
    let _holder = machine.share();
    let alone = Counters::open(&machine.path(), 10, 10, &[1; 16], || Ok(machine.reading()));
    assert!(matches!(alone, Err(StoreError::InUse { .. })));
}

#[test]
fn a_process_that_does_not_answer_is_named() {
    let machine = Machine::new();
    let _alone = machine.open();
    let listener = UnixListener::bind(machine.socket()).unwrap();
    match machine.try_share() {
        Err(error @ StoreError::Silent { .. }) => {
            assert!(error.to_string().contains("which does not answer"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    drop(listener);
}

#[test]
fn a_call_is_refused_while_nobody_answers() {
    let machine = Machine::new();
    let (holder, follower) = (machine.share(), machine.share());
    let demand = slots(1, 2);
    machine.take(&follower, &demand).unwrap();
    machine.close(&holder);
    // Somebody else has the file, and a socket that he does not serve.
    let alone = machine.open();
    let listener = UnixListener::bind(machine.socket()).unwrap();
    assert_eq!(machine.take(&follower, &demand), Err(Refusal::Unavailable));
    let mut looked = [demand.clone()];
    assert!(!follower.look(&mut looked, machine.now()));
    assert_eq!(looked[0].view.remaining.0, 0);
    let fault = follower.sharing_fault().unwrap();
    assert!(fault.contains("does not answer"), "{fault}");
    drop(listener);
    fs::remove_file(machine.socket()).unwrap();
    assert_eq!(machine.take(&follower, &demand), Err(Refusal::Unavailable));
    let fault = follower.sharing_fault().unwrap();
    assert!(fault.contains("in use"), "{fault}");
    machine.close(&alone);
    machine.take(&follower, &demand).unwrap();
    assert_eq!(follower.sharing_fault(), None);
    assert_eq!(machine.take(&follower, &demand), Err(Refusal::RateLimited));
}

#[test]
fn a_file_that_is_gone_is_not_begun_anew() {
    let machine = Machine::new();
    let (holder, follower) = (machine.share(), machine.share());
    machine.take(&follower, &slots(1, 2)).unwrap();
    machine.close(&holder);
    fs::remove_file(machine.path()).unwrap();
    assert_eq!(machine.take(&follower, &slots(1, 2)), Err(Refusal::Unavailable));
    assert!(!machine.path().exists());
    // Another file is not the one whose key the follower knows.
    let other = Counters::open(&machine.path(), 10, 10, &[8; 16], || Ok(machine.reading())).unwrap();
    machine.close(&other);
    assert_eq!(machine.take(&follower, &slots(1, 2)), Err(Refusal::Unavailable));
    let fault = follower.sharing_fault().unwrap();
    assert!(fault.contains("removed or replaced"), "{fault}");
}

#[test]
fn another_clock_is_not_mixed_in() {
    let machine = Machine::new();
    let _holder = machine.share();
    let mut reading = machine.reading();
    reading.boot_id = [2; 16];
    let clocks = ReadClocks::new(move || Ok(reading));
    let other = Counters::open_shared(&machine.path(), 10, 10, &[7; 16], clocks);
    assert!(matches!(other, Err(StoreError::Unshared { .. })), "{other:?}");
}

#[test]
fn a_time_that_is_ahead_frees_nothing() {
    let machine = Machine::new();
    let (_holder, follower) = (machine.share(), machine.share());
    let demand = slots(1, 1);
    machine.take(&follower, &demand).unwrap();
    let mut later = machine.now();
    later.boot_ns += 3_600_000_000_000;
    let taken = follower.take(&mut [demand.clone()], "g", later);
    assert_eq!(taken, Err(Refusal::Unavailable));
    assert_eq!(machine.take(&follower, &demand), Err(Refusal::RateLimited));
}

#[test]
fn shared_counters_are_not_reset() {
    let machine = Machine::new();
    let (holder, follower) = (machine.share(), machine.share());
    let target = ResetTarget {
        spec: None,
        grant: Some("g"),
        tool: None,
    };
    for store in [&holder, &follower] {
        let reset = store.reset(&[target], machine.now());
        assert!(matches!(reset, Err(ResetError::Shared)));
    }
}

#[test]
fn resets_of_before_are_known_to_all() {
    let machine = Machine::new();
    let alone = machine.open();
    let spec = [3; 16];
    let target = ResetTarget {
        spec: Some(&spec),
        grant: Some("g"),
        tool: None,
    };
    alone.reset(&[target], machine.now()).unwrap();
    let number = alone.resets().unwrap().number(&spec, Some("g"), None);
    assert!(number > 0);
    machine.close(&alone);
    let (holder, follower) = (machine.share(), machine.share());
    let known = |store: &Counters| store.resets().unwrap().number(&spec, Some("g"), None);
    assert_eq!((known(&holder), known(&follower)), (number, number));
    // Though the grant has no counters.
    machine.close(&holder);
    machine.take(&follower, &slots(1, 2)).unwrap();
    assert!(!follower.is_follower());
    assert_eq!(known(&follower), number);
    assert_eq!(known(&machine.share()), number);
}

#[test]
fn a_flush_reaches_the_disk() {
    let machine = Machine::new();
    let (_holder, follower) = (machine.share(), machine.share());
    machine.take(&follower, &slots(1, 2)).unwrap();
    follower.flush(&machine.reading()).unwrap();
    machine.close(&follower);
    follower.flush(&machine.reading()).unwrap();
}

#[test]
fn a_folder_without_sockets_is_used_by_one() {
    let machine = Machine::new();
    // Something that is no socket has its place, and is left alone.
    fs::write(machine.socket(), "precious").unwrap();
    let holder = machine.share();
    machine.take(&holder, &slots(1, 2)).unwrap();
    let fault = holder.sharing_fault().unwrap();
    assert!(fault.contains("no socket can be made"), "{fault}");
    assert!(matches!(machine.try_share(), Err(StoreError::InUse { .. })));
    machine.close(&holder);
    assert_eq!(fs::read_to_string(machine.socket()).unwrap(), "precious");
}

#[test]
fn nonsense_disturbs_nobody() {
    let machine = Machine::new();
    let (holder, follower) = (machine.share(), machine.share());
    let demand = slots(1, 10);
    let messages: [&[u8]; 6] = [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        &[4, 0, 0, 0, 1, 2, 3, 4],
        &[200, 0, 0, 0, 1, 2],
    ];
    let mut open = Vec::new();
    for message in messages {
        let mut stream = UnixStream::connect(machine.socket()).unwrap();
        stream.write_all(message).unwrap();
        machine.take(&follower, &demand).unwrap();
        open.push(stream);
    }
    for mut stream in open {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // Each is closed in time, at the latest when its message does not go on.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    assert_eq!(machine.remaining(&holder, &demand), 4);
}

#[test]
fn there_is_a_greatest_number_of_connections() {
    let machine = Machine::new();
    let (holder, follower) = (machine.share(), machine.share());
    let streams: Vec<UnixStream> = (0..100)
        .map(|_| {
            // The queue is short, so some have to wait for the holder's thread.
            loop {
                match UnixStream::connect(machine.socket()) {
                    Ok(stream) => return stream,
                    Err(_) => thread::yield_now(),
                }
            }
        })
        .collect();
    machine.take(&follower, &slots(1, 2)).unwrap();
    drop(streams);
    let another = machine.share();
    machine.take(&another, &slots(1, 2)).unwrap();
    assert_eq!(machine.remaining(&holder, &slots(1, 2)), 0);
}
