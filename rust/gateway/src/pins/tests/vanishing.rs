//! Files that are gone, and files that were emptied.

use std::fs;

use super::*;

/// The notices of a sync without errors.
fn notices(place: &Place) -> Vec<Notice> {
    let (errors, notices) = place.pins.sync_and_tell();
    assert!(errors.is_empty(), "{errors:?}");
    notices
}

fn again() -> Notice {
    Notice::WrittenAgain {
        server: "srv".to_owned(),
    }
}

#[test]
fn a_file_that_vanishes_is_written_again() {
    let place = Place::new();
    let server = place.server();
    assert_eq!(notices(&place), [], "there was none");
    list(&server, &[tool("a", "one"), tool("b", "two")]);
    assert_eq!(notices(&place), [], "there was none");
    let text = read(&place.file());
    fs::remove_file(place.file()).expect("it is there");
    assert_eq!(notices(&place), [again()]);
    assert_eq!(read(&place.file()), text);
    assert_eq!(notices(&place), [], "once");

    // A list that comes before anybody looks is no first one.
    fs::remove_file(place.file()).expect("it is there");
    let seen = list(
        &server,
        &[tool("a", "evil"), tool("b", "two"), tool("c", "three")],
    );
    assert_eq!(changes(&seen), [("a", State::Changed), ("c", State::New)]);
    assert_eq!(notices(&place), [again()]);
    let expected = [State::Changed, State::Pinned, State::New];
    assert_eq!(states(&server, ["a", "b", "c"]), expected);
    assert_eq!(states(&place.opened_again().server(), ["a", "b", "c"]), expected);
}

#[test]
fn the_folder_may_vanish_with_it() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    place.sync();
    fs::remove_dir_all(place.path()).expect("it is there");
    assert_eq!(notices(&place), [again()]);
    list(&server, &[tool("a", "evil")]);
    place.sync();
    assert_eq!(place.reviewed(), [("a".to_owned(), State::Changed)]);
}

#[test]
fn of_two_gateways_one_writes_it_again() {
    let place = Place::new();
    let other = place.opened_again();
    let (here, there) = (place.server(), other.server());
    list(&here, &[tool("a", "one")]);
    place.sync();
    other.sync();
    fs::remove_file(place.file()).expect("it is there");
    list(&there, &[tool("a", "evil")]);
    assert_eq!(notices(&place), [again()]);
    assert_eq!(notices(&other), []);
    place.sync();
    other.sync();
    place.sync();
    assert_eq!(
        (here.state("a"), there.state("a")),
        (State::Changed, State::Changed)
    );
    assert_eq!(place.reviewed(), [("a".to_owned(), State::Changed)]);
}

#[test]
fn what_is_reset_is_not_gone() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    list(&server, &[tool("a", "evil")]);
    place.sync();
    review::reset(&place.path(), "srv").expect("there is something");
    // What was seen before it was told is forgotten as well.
    list(&server, &[tool("a", "one"), tool("b", "two")]);
    assert_eq!(notices(&place), []);
    assert_eq!(states(&server, ["a", "b"]), [State::Unknown; 2]);
    assert!(review::read(&place.path(), None).expect("readable").is_empty());
    for error in [
        review::read(&place.path(), Some("srv")).map(drop),
        review::accept(&place.path(), "srv", &Accept::default()).map(drop),
        review::reset(&place.path(), "srv"),
    ] {
        assert!(matches!(error, Err(PinsError::UnknownServer { .. })), "{error:?}");
    }
    // A gateway that is started then knows as little.
    let other = place.opened_again();
    assert_eq!(other.server().state("a"), State::Unknown);
    list(&server, &[tool("a", "evil")]);
    assert_eq!(notices(&place), []);
    assert_eq!(states(&server, ["a", "b"]), [State::Pinned, State::New]);
    assert_eq!(place.reviewed(), [("a".to_owned(), State::Pinned)]);
}

#[test]
fn a_damaged_file_is_left_and_can_be_reset_while_a_gateway_runs() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    place.sync();
    fs::write(place.file(), "{").expect("writable");
    list(&server, &[tool("a", "evil")]);
    assert_eq!(place.errors().len(), 1);
    assert_eq!(read(&place.file()), "{");
    assert_eq!(server.state("a"), State::Changed);
    review::reset(&place.path(), "srv").expect("damage does not keep it from going");
    assert_eq!(notices(&place), []);
    assert_eq!(server.state("a"), State::Unknown);
}
