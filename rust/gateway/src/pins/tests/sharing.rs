//! More than one process at one folder: whose word is the last one.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;

/// Every file that was written in place of another one is another one.
fn written(place: &Place) -> (u64, i64, i64) {
    let found = fs::metadata(place.file()).expect("it is there");
    (found.ino(), found.ctime(), found.ctime_nsec())
}

/// Syncs both in turns; how often one of them has written.
fn writes(place: &Place, other: &Place, turns: usize) -> usize {
    let mut last = written(place);
    let mut count = 0;
    for _ in 0..turns {
        for one in [place, other] {
            one.sync();
            let now = written(place);
            count += usize::from(now != last);
            last = now;
        }
    }
    count
}

/// Two gateways that have accepted `a` as `one`, and agree on it.
fn two() -> (Place, Place) {
    let place = Place::new();
    list(&place.server(), &[tool("a", "one"), tool("b", "two")]);
    place.sync();
    let other = place.opened_again();
    other.server();
    (place, other)
}

#[test]
fn what_the_command_line_records_is_followed_by_a_gateway_that_has_seen_something_else() {
    let (place, other) = two();
    let server = place.server();
    list(&server, &[tool("a", "one"), tool("b", "two")]);
    place.sync();
    // As `callgate pin record` does, and it is gone then.
    let record = |tools: &[String]| {
        let command = place.opened_again();
        list(&command.server(), tools);
        command.sync();
    };
    record(&[tool("a", "evil"), tool("b", "two"), tool("c", "three")]);
    for _ in 0..4 {
        place.sync();
        other.sync();
        assert_eq!(
            states(&server, ["a", "b", "c"]),
            [State::Changed, State::Pinned, State::New]
        );
        assert_eq!(place.reviewed()[0], ("a".to_owned(), State::Changed));
    }
    assert_eq!(other.server().state("a"), State::Changed);
    record(&[tool("a", "one"), tool("b", "two")]);
    place.sync();
    other.sync();
    assert_eq!(server.state("a"), State::Pinned);
    assert_eq!(other.server().state("a"), State::Pinned);
    record(&[tool("a", "evil")]);
    assert_eq!(place.accept(&Accept::default()), ["a", "c"]);
    place.sync();
    assert_eq!(
        server.state("a"),
        State::Pinned,
        "what was accepted was listed last"
    );
}

#[test]
fn the_last_list_wins_everywhere_and_nobody_writes_for_ever() {
    let (place, other) = two();
    let (here, there) = (place.server(), other.server());
    list(&here, &[tool("a", "one"), tool("b", "two")]);
    list(&there, &[tool("a", "evil"), tool("b", "two")]);
    assert_eq!(writes(&place, &other, 10), 1);
    assert_eq!(
        (here.state("a"), there.state("a")),
        (State::Changed, State::Changed)
    );
    // The clean one is seen later, and is the last one then.
    list(&here, &[tool("a", "one"), tool("b", "two")]);
    assert_eq!(writes(&place, &other, 10), 1);
    assert_eq!(
        (here.state("a"), there.state("a")),
        (State::Pinned, State::Pinned)
    );
    list(&there, &[tool("a", "evil"), tool("b", "two")]);
    assert_eq!(writes(&place, &other, 10), 1);
    assert_eq!(
        (here.state("a"), there.state("a")),
        (State::Changed, State::Changed)
    );
    assert_eq!(place.reviewed()[0], ("a".to_owned(), State::Changed));
}

#[test]
fn of_two_that_were_told_different_things_the_stricter_one_wins() {
    for clean_writes_first in [true, false] {
        let (place, other) = two();
        let (here, there) = (place.server(), other.server());
        for server in [&here, &there] {
            list(server, &[tool("a", "evil"), tool("b", "evil")]);
        }
        writes(&place, &other, 2);
        list(&here, &[tool("a", "one"), tool("b", "two")]);
        list(
            &there,
            &[tool("a", "eviler"), tool("b", "evil"), tool("c", "three")],
        );
        if clean_writes_first {
            place.sync();
        } else {
            other.sync();
        }
        assert!(writes(&place, &other, 10) <= 2, "{clean_writes_first}");
        for server in [&here, &there] {
            assert_eq!(
                states(server, ["a", "c"]),
                [State::Changed, State::New],
                "{clean_writes_first}"
            );
            // Whoever sees the same as before writes nothing; who comes after it is the last one.
            assert_eq!(
                server.state("b") == State::Changed,
                clean_writes_first,
                "{clean_writes_first}"
            );
        }
    }
}

#[test]
fn a_change_that_is_seen_again_is_news() {
    let (place, other) = two();
    let (here, there) = (place.server(), other.server());
    list(&there, &[tool("a", "evil")]);
    writes(&place, &other, 2);
    // It is listed as before, at the time when the other one sees the clean one.
    list(&there, &[tool("a", "evil")]);
    list(&here, &[tool("a", "one")]);
    place.sync();
    assert!(writes(&place, &other, 10) <= 2);
    assert_eq!(
        (here.state("a"), there.state("a")),
        (State::Changed, State::Changed)
    );
    // It is no news for ever.
    list(&there, &[tool("a", "evil")]);
    assert_eq!(writes(&place, &other, 1), 0);
    list(&here, &[tool("a", "one")]);
    assert_eq!(writes(&place, &other, 10), 1);
    assert_eq!(
        (here.state("a"), there.state("a")),
        (State::Pinned, State::Pinned)
    );
}

#[test]
fn what_is_listed_while_files_are_merged_is_not_lost() {
    let (place, other) = two();
    let server = place.server();
    let lister = {
        let server = server.clone();
        std::thread::spawn(move || {
            for n in 0..400 {
                list(&server, &[tool("a", &format!("evil {n}"))]);
            }
        })
    };
    let there = other.server();
    let mut n = 0;
    loop {
        n += 1;
        list(&there, &[tool("b", &format!("evil {n}"))]);
        other.sync();
        place.sync();
        if lister.is_finished() {
            break;
        }
    }
    lister.join().expect("no assertion failed");
    writes(&place, &other, 4);
    for server in [&server, &there] {
        assert_eq!(states(server, ["a", "b"]), [State::Changed; 2]);
    }
    let seen = list(&there, &[tool("a", "evil 399")]);
    assert_eq!(changes(&seen), [], "the last one is known everywhere");
}
