//! The time in which first lists are accepted.

use super::*;

#[test]
fn after_its_time_what_no_variant_has_pinned_is_new() {
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    timed.go_to(DAY_S);
    let shown = show(&server, NEW, &more());
    assert_eq!(changes(&shown).len(), 11);
    assert!(shown.shows("a") && !shown.shows("more0"));
    assert_eq!(server.state("more0"), State::New);
    timed.place.sync();

    // As `callgate pin accept SERVER --variant` does.
    let of = |text: &str| {
        let of_variant = variant(text);
        let what = Accept {
            variant: Some(&of_variant),
            ..Accept::default()
        };
        let accepted = review::accept(&timed.place.path(), "srv", &what);
        accepted
            .map(|accepted| accepted.len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(of(OLD), Ok(0));
    assert_eq!(
        of(RICH).expect_err("nobody has come as that"),
        format!(
            "the server `srv` has shown no list to the variant `{RICH}`; it has to `unknown`, `{OLD}`, `{NEW}`"
        )
    );
    assert_eq!(of(NEW), Ok(11));
    timed.place.sync();
    assert_eq!(server.state("more0"), State::Pinned);
    assert_eq!(show(&server, NEW, &more()), Observation::default());
}

#[test]
fn a_clock_that_is_set_back_opens_nothing() {
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    timed.go_to(DAY_S);
    timed.place.sync();
    timed.go_to(10);
    assert_eq!(changes(&show(&server, NEW, &more())).len(), 11);
    // Not for the next process either, which knows no other clock.
    let again = timed.opened_again();
    assert_eq!(
        changes(&show(&again.server(), RICH, &[tool("c", "three")])),
        [("c", State::New)]
    );

    // It may be a list that tells nothing else by which it was found to be over.
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    timed.place.sync();
    timed.go_to(DAY_S);
    show(&server, OLD, &few());
    timed.go_to(10);
    timed.place.sync();
    assert!(read(&timed.place.file()).contains("\"over\": true"));

    // Nobody has looked when the time was over, but the clock was ahead once.
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    timed.place.sync();
    timed.go_to(20 * 3600);
    timed.place.sync();
    let again = timed.opened_again();
    again.go_to(10);
    assert_eq!(changes(&show(&again.server(), NEW, &more())).len(), 11);
    assert_eq!(server.state("more0"), State::New);
}

#[test]
fn the_time_goes_on_while_nothing_runs() {
    let timed = Timed::new();
    show(&timed.server(), OLD, &few());
    timed.place.sync();
    let again = timed.opened_again();
    timed.go_to(DAY_S - 1);
    assert_eq!(show(&again.server(), NEW, &more()), Observation::default());
    timed.go_to(DAY_S);
    let seen = show(&timed.opened_again().server(), RICH, &[tool("c", "three")]);
    assert_eq!(changes(&seen), [("c", State::New)]);
}

#[test]
fn how_long_it_is_is_configured() {
    for (length_s, after_s, new) in [(0, 0, 11), (60, 59, 0), (60, 60, 11), (3 * DAY_S, 2 * DAY_S, 0)] {
        let timed = Timed::new();
        timed.place.pins.set_first_lists(Duration::from_secs(length_s));
        let server = timed.server();
        show(&server, OLD, &few());
        timed.go_to(after_s);
        assert_eq!(
            changes(&show(&server, NEW, &more())).len(),
            new,
            "{length_s} {after_s}"
        );
        // What is over stays over.
        if new > 0 {
            timed.place.pins.set_first_lists(Duration::from_secs(9 * DAY_S));
            assert_eq!(changes(&show(&server, RICH, &[tool("c", "three")])).len(), 1);
        }
    }
}
