//! Files of pins, and more than one process at them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn what_was_accepted_survives() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one"), tool("b", "two")]);
    list(
        &server,
        &[tool("a", "evil"), tool("b", "two"), tool("c", "three")],
    );
    place.sync();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&place.path()), mode(&place.file())), (0o700, 0o600));

    let again = place.opened_again();
    let server = again.server();
    assert_eq!(
        states(&server, ["a", "b", "c", "d"]),
        [State::Changed, State::Pinned, State::New, State::New]
    );
    let text = read(&place.file());
    list(
        &server,
        &[tool("a", "evil"), tool("b", "two"), tool("c", "three")],
    );
    again.sync();
    assert_eq!(read(&place.file()), text, "nothing was told that was not known");
}

#[test]
fn nothing_is_written_where_nothing_changed() {
    let place = Place::new();
    let server = place.server();
    place.sync();
    assert!(!place.file().exists());
    list(&server, &[tool("a", "one")]);
    place.sync();
    let stamp = || {
        fs::metadata(place.file())
            .and_then(|found| found.modified())
            .expect("it is there")
    };
    let before = stamp();
    for _ in 0..3 {
        list(&server, &[tool("a", "one")]);
        place.sync();
    }
    assert_eq!(stamp(), before);
}

#[test]
fn damage_is_an_error_and_nothing_is_reset() {
    let place = Place::new();
    list(&place.server(), &[tool("a", "one")]);
    place.sync();
    let whole = read(&place.file());
    let cut = &whole[..whole.len() / 2];
    let other_words = whole.replacen("one", "two", 1);
    let other_server = whole.replacen("\"srv\"", "\"other\"", 1);
    let later = whole.replacen("\"version\": 2", "\"version\": 3", 1);
    for (text, expected) in [
        ("", "line 1, column 1: expected"),
        (cut, "are damaged (line 2, column "),
        ("[]", "expected an object with `version`"),
        (&other_words, "expected the digest of the definition beside it"),
        (
            &other_server,
            "expected the pins of the server `srv`, found those of `other`",
        ),
        (&later, "were written by a later version of callgate"),
        (
            r#"{"version": 1, "server": "srv"}"#,
            "expected an object with `complete`",
        ),
    ] {
        fs::write(place.file(), text).expect("writable");
        let pins = Pins::open(&place.path()).expect("a folder");
        let error = pins
            .server("srv", Endpoint::url(URL), Mode::Enforce)
            .expect_err(text)
            .to_string();
        assert!(error.contains(expected) && error.contains("srv.json"), "{error}");
        assert_eq!(read(&place.file()), text);
    }
    // Who has it open goes on with what it knows, says so, and writes nothing.
    let errors = place.errors();
    assert!(
        matches!(&errors[..], [error] if error.contains("srv.json")),
        "{errors:?}"
    );
    let server = place.server();
    list(&server, &[tool("a", "evil")]);
    assert_eq!(server.state("a"), State::Changed);
    assert_eq!(place.errors().len(), 1);
    assert!(read(&place.file()).starts_with(r#"{"version": 1, "server": "srv"}"#));
    fs::write(place.file(), &whole).expect("writable");
    place.sync();
    assert_eq!(server.state("a"), State::Changed);
    fs::write(place.file(), "{").expect("writable");
    review::reset(&place.path(), "srv").expect("damage does not keep it from going");
}

#[test]
fn a_file_that_is_no_file() {
    let place = Place::new();
    fs::create_dir(place.file()).expect("a folder");
    let error = place
        .pins
        .server("srv", Endpoint::url(URL), Mode::Enforce)
        .expect_err("no file");
    assert!(matches!(error, PinsError::Unreadable { .. }), "{error}");
    fs::remove_dir(place.file()).expect("it is empty");
    let huge = fs::File::create(place.file()).expect("a file");
    huge.set_len(1 << 40).expect("a hole");
    let error = place
        .pins
        .server("srv", Endpoint::url(URL), Mode::Enforce)
        .expect_err("too long");
    assert!(matches!(error, PinsError::TooLong { .. }), "{error}");
}

#[test]
fn a_kill_between_write_and_rename_leaves_the_old_file() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    place.sync();
    let half = place.path().join(".srv.new");
    fs::write(&half, "{\"version\": 1, \"serv").expect("writable");
    fs::set_permissions(&half, fs::Permissions::from_mode(0o400)).expect("ours");
    let again = place.opened_again();
    let server = again.server();
    assert_eq!(server.state("a"), State::Pinned);
    assert_eq!(review::read(&place.path(), None).expect("readable").len(), 1);
    list(&server, &[tool("a", "evil")]);
    again.sync();
    assert!(!half.exists());
    assert_eq!(place.reviewed(), [("a".to_owned(), State::Changed)]);
}

#[test]
fn what_cannot_be_written_is_written_later() {
    let place = Place::new();
    let server = place.server();
    let half = place.path().join(".srv.new");
    fs::create_dir(&half).expect("a folder in the way");
    fs::write(half.join("x"), "").expect("writable");
    list(&server, &[tool("a", "one")]);
    let errors = place.errors();
    assert!(
        matches!(&errors[..], [error] if error.starts_with("cannot write")),
        "{errors:?}"
    );
    assert_eq!(server.state("a"), State::Pinned);
    fs::remove_dir_all(&half).expect("ours");
    place.sync();
    assert_eq!(place.opened_again().server().state("a"), State::Pinned);
}

#[test]
fn a_keeper_does_it_by_itself() {
    let place = Place::new();
    let server = place.server();
    let (teller, told) = mpsc::channel();
    let tell = move |notice: &Notice| teller.send(notice.clone()).expect("the test goes on");
    let keeper = Keeper::start(Arc::clone(&place.pins), |error| panic!("{error}"), tell).expect("a thread");
    list(&server, &[tool("a", "one")]);
    list(&server, &[tool("a", "two")]);
    until(|| place.file().exists());
    fs::remove_file(place.file()).expect("it is there");
    until(|| place.file().exists());
    let server_name = "srv".to_owned();
    assert_eq!(
        told.recv_timeout(Duration::from_secs(20)),
        Ok(Notice::WrittenAgain { server: server_name })
    );
    assert_eq!(place.accept(&Accept::default()), ["a"]);
    until(|| server.state("a") == State::Pinned);
    list(&server, &[tool("a", "three")]);
    drop(keeper);
    assert_eq!(
        place.reviewed(),
        [("a".to_owned(), State::Changed)],
        "written at the end"
    );
}

fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it takes too long");
        thread::sleep(Duration::from_millis(20));
    }
}
