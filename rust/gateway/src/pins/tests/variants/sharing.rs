//! Two processes that share a folder of pins.

use super::*;

#[test]
fn two_processes_see_first_lists_at_once() {
    for first in [true, false] {
        let here = Timed::new();
        let there = here.opened_again();
        let (one, other) = (here.server(), there.server());
        show(&one, OLD, &few());
        here.place.sync();
        there.place.sync();
        // A first list each, of another variant, and with another form of one tool.
        show(&one, NEW, &[tool("a", "newer"), tool("c", "three")]);
        show(&other, RICH, &[tool("a", "rich"), tool("d", "four")]);
        for _ in 0..3 {
            if first {
                here.place.sync();
            }
            there.place.sync();
            here.place.sync();
        }
        for server in [&one, &other, &here.opened_again().server()] {
            assert_eq!(
                states(server, ["a", "b", "c", "d", "e"]),
                [
                    State::Pinned,
                    State::Pinned,
                    State::Pinned,
                    State::Pinned,
                    State::New
                ]
            );
            let forms = [tool("a", "one"), tool("a", "newer"), tool("a", "rich")];
            for form in forms {
                assert_eq!(show(server, OLD, &[form]), Observation::default());
            }
            assert_eq!(
                changes(&show(server, NEW, &[tool("e", "five")])),
                [("e", State::New)]
            );
        }
        let sync = || {
            for _ in 0..3 {
                here.place.sync();
                there.place.sync();
            }
        };
        sync();
        let text = read(&here.place.file());
        sync();
        assert_eq!(read(&here.place.file()), text, "nobody writes for ever");
    }
}

#[test]
fn of_one_variant_s_first_lists_the_one_that_is_written_first_counts() {
    let here = Timed::new();
    let there = here.opened_again();
    let (one, other) = (here.server(), there.server());
    show(&one, OLD, &few());
    here.place.sync();
    there.place.sync();
    show(&one, NEW, &[tool("a", "newer")]);
    show(&other, NEW, &[tool("a", "evil"), tool("c", "three")]);
    here.place.sync();
    there.place.sync();
    here.place.sync();
    for server in [&one, &other] {
        assert_eq!(states(server, ["a", "c"]), [State::Changed, State::New]);
        assert!(show(server, OLD, &[tool("a", "newer")]).shows("a"));
        assert!(!show(server, OLD, &[tool("a", "evil")]).shows("a"));
    }
}

#[test]
fn what_was_accepted_elsewhere_is_not_undone_by_a_first_list() {
    let here = Timed::new();
    let there = here.opened_again();
    let (one, other) = (here.server(), there.server());
    show(&one, OLD, &few());
    show(&one, OLD, &[tool("a", "two")]);
    here.place.sync();
    there.place.sync();
    // Somebody replaces the first form; a process that has not looked has it in another first list.
    assert_eq!(here.place.accept(&Accept::default()), ["a"]);
    show(&other, NEW, &few());
    there.place.sync();
    here.place.sync();
    let changed = show(&one, OLD, &[tool("a", "one")]);
    assert_eq!(changes(&changed), [("a", State::Changed)]);
    // As a reset is not.
    review::reset(&here.place.path(), "srv").expect("there is something");
    show(&other, RICH, &[tool("d", "four")]);
    there.place.sync();
    here.place.sync();
    assert_eq!(states(&other, ["a", "d"]), [State::Unknown; 2]);
    show(&one, NEW, &few());
    assert_eq!(states(&one, ["a", "d"]), [State::Pinned, State::New]);
    assert_eq!(
        show(&one, RICH, &[tool("d", "four")]),
        Observation::default(),
        "the time begins anew"
    );
}
