//! First lists that several processes see at once.

use std::fs;

use super::*;

/// Two gateways at a folder without files.
fn two() -> (Place, Place) {
    let place = Place::new();
    let other = place.opened_again();
    place.server();
    other.server();
    (place, other)
}

fn reset(place: &Place) {
    review::reset(&place.path(), "srv").expect("there is something");
}

/// The first page of a list that goes on.
fn page(server: &Server, description: &str) {
    let first = answer(&[tool("a", description)], Some("2"));
    observe(server, PageRef::FromStart, &first);
}

fn whole(server: &Server) {
    list(server, &[tool("a", "one"), tool("b", "two")]);
}

const WHOLE: [State; 3] = [State::Pinned, State::Pinned, State::New];

#[test]
fn a_page_that_another_one_writes_undoes_no_whole_list() {
    for page_comes_first in [true, false] {
        let (place, other) = two();
        let (here, there) = (place.server(), other.server());
        page(&there, "one");
        whole(&here);
        if page_comes_first {
            other.sync();
        }
        place.sync();
        assert_eq!(states(&here, ["a", "b", "c"]), WHOLE, "{page_comes_first}");
        // Whoever sees something else now is told so.
        let evil = [tool("a", "one"), tool("b", "evil"), tool("c", "three")];
        let expected = [("b", State::Changed), ("c", State::New)];
        assert_eq!(changes(&list(&here, &evil)), expected, "{page_comes_first}");
        whole(&here);
        for _ in 0..3 {
            place.sync();
            other.sync();
        }
        for server in [&here, &there, &place.opened_again().server()] {
            assert_eq!(states(server, ["a", "b", "c"]), WHOLE, "{page_comes_first}");
        }
        let text = read(&place.file());
        place.sync();
        other.sync();
        assert_eq!(read(&place.file()), text, "nobody writes for ever");
    }
}

#[test]
fn pages_that_others_write_do_not_end_the_way_through_a_list() {
    let (place, other) = two();
    let (here, there) = (place.server(), other.server());
    page(&here, "one");
    page(&there, "one");
    observe(&there, PageRef::At("2"), &answer(&[tool("x", "ten")], Some("3")));
    other.sync();
    place.sync();
    observe(&here, PageRef::At("2"), &answer(&[tool("b", "two")], None));
    assert_eq!(
        states(&here, ["a", "b", "x", "c"]),
        [State::Pinned, State::Pinned, State::Pinned, State::New]
    );
    place.sync();
    other.sync();
    assert_eq!(states(&there, ["b", "c"]), [State::Pinned, State::New]);
}

#[test]
fn who_comes_after_the_first_page_since_a_reset_forgets_all_the_same() {
    for is_damaged in [false, true] {
        let (place, other) = two();
        let (here, there) = (place.server(), other.server());
        whole(&here);
        place.sync();
        other.sync();
        whole(&here);
        if is_damaged {
            fs::write(place.file(), "{").expect("writable");
        }
        reset(&place);
        other.sync();
        page(&there, "anew");
        other.sync();
        place.sync();
        assert_eq!(states(&here, ["b", "c"]), [State::Unknown; 2], "{is_damaged}");
        page(&here, "anew");
        assert_eq!(here.state("a"), State::Pinned, "{is_damaged}");
        observe(&here, PageRef::At("2"), &answer(&[tool("b", "anew")], None));
        assert_eq!(states(&here, ["a", "b", "c"]), WHOLE, "{is_damaged}");
        place.sync();
        other.sync();
        assert_eq!(states(&there, ["a", "b", "c"]), WHOLE, "{is_damaged}");
    }
}

#[test]
fn every_reset_is_a_later_one() {
    let place = Place::new();
    let server = place.server();
    let at = || -> u64 {
        let text = read(&place.file());
        let (_, from) = text.split_once("\"reset_at_unix_ms\": ").expect("it was reset");
        let (digits, _) = from.split_once(',').expect("more members");
        digits.parse().expect("a number")
    };
    whole(&server);
    place.sync();
    let text = read(&place.file());
    assert!(!text.contains("reset_at_unix_ms"), "it was not");
    reset(&place);
    let first = at();
    place.sync();
    whole(&server);
    place.sync();
    assert_eq!(at(), first, "it stays in the file");
    // As by a clock that was ahead.
    let ahead = first + 1_000_000;
    let text = read(&place.file()).replacen(&first.to_string(), &ahead.to_string(), 1);
    fs::write(place.file(), text).expect("writable");
    reset(&place);
    assert_eq!(at(), ahead + 1);
    place.sync();
    assert_eq!(server.state("a"), State::Unknown);
    let text = read(&place.file()).replacen(&(ahead + 1).to_string(), "\"now\"", 1);
    fs::write(place.file(), text).expect("writable");
    let error = place.errors().join("\n");
    assert!(error.contains("expected milliseconds since 1970"), "{error}");
}

#[test]
fn two_first_lists_that_have_no_room_together() {
    let (place, other) = two();
    let (here, there) = (place.server(), other.server());
    let named = |kind: &str, count: usize| -> Vec<String> {
        (0..count).map(|n| tool(&format!("{kind}{n}"), "one")).collect()
    };
    observe(
        &there,
        PageRef::FromStart,
        &answer(&named("there", 3000), Some("2")),
    );
    list(&here, &named("here", 3000));
    other.sync();
    place.sync();
    assert_eq!(place.reviewed().len(), 4096);
    assert_eq!(here.state("more"), State::New);
    // What has found room is listed as before.
    let seen = list(&here, &[tool("here0", "one"), tool("there0", "one")]);
    assert!(seen.shows("here0") && seen.shows("there0"));
}
