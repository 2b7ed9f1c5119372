//! First lists that do not come to their end.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

/// Makes everything in the file as old as this.
fn age(place: &Place, seconds: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let text = read(&place.file());
    let (before, from) = text.split_once("\"listed_at_unix_s\": ").expect("a record");
    let digits = from.find(',').expect("more members");
    let then = now.as_secs() - seconds;
    let aged = format!("{before}\"listed_at_unix_s\": {then}{}", &from[digits..]);
    fs::write(place.file(), aged).expect("writable");
}

fn notices(place: &Place) -> Vec<Notice> {
    let (errors, notices) = place.pins.sync_and_tell();
    assert!(errors.is_empty(), "{errors:?}");
    notices
}

fn since(place: &Place) -> Option<u64> {
    let servers = review::read(&place.path(), Some("srv")).expect("readable");
    servers[0].unfinished_since_unix_s
}

/// A server that has sent pages, the last of which has a `nextCursor`.
fn paging() -> Place {
    let place = Place::new();
    let server = place.server();
    observe(
        &server,
        PageRef::FromStart,
        &answer(&[tool("a", "one")], Some("2")),
    );
    observe(&server, PageRef::At("2"), &answer(&[tool("b", "two")], Some("3")));
    assert_eq!(notices(&place), []);
    place
}

#[test]
fn a_list_without_end_is_told_once() {
    let place = paging();
    let server = place.server();
    age(&place, 23 * 3600);
    assert_eq!(
        (notices(&place), since(&place)),
        (vec![], None),
        "it may take a day"
    );
    age(&place, 25 * 3600);
    let unfinished = Notice::Unfinished {
        server: "srv".to_owned(),
    };
    assert_eq!(notices(&place), std::slice::from_ref(&unfinished));
    assert!(since(&place).is_some());
    // It goes on for ever, tool by tool.
    observe(
        &server,
        PageRef::FromStart,
        &answer(&[tool("a", "one")], Some("9")),
    );
    observe(
        &server,
        PageRef::At("9"),
        &answer(&[tool("c", "three")], Some("10")),
    );
    assert_eq!(server.state("c"), State::Pinned);
    assert_eq!(notices(&place), [], "once");
    assert_eq!(
        notices(&place.opened_again()),
        [],
        "nobody has asked for the server"
    );
    let restarted = place.opened_again();
    restarted.server();
    assert_eq!(notices(&restarted), [unfinished], "and once by the next process");
}

#[test]
fn a_whole_list_ends_it() {
    let place = paging();
    age(&place, 25 * 3600);
    assert!(since(&place).is_some());
    // As `callgate pin record` does with a list that was reviewed.
    let command = place.opened_again();
    list(&command.server(), &[tool("a", "one"), tool("b", "two")]);
    command.sync();
    assert_eq!(since(&place), None);
    assert_eq!(notices(&place), []);
    let server = place.server();
    observe(
        &server,
        PageRef::FromStart,
        &answer(&[tool("a", "one")], Some("9")),
    );
    observe(
        &server,
        PageRef::At("9"),
        &answer(&[tool("c", "three")], Some("10")),
    );
    assert_eq!(
        states(&server, ["a", "b", "c"]),
        [State::Pinned, State::Pinned, State::New]
    );
}
