//! First lists of several variants, and what they pin.

use super::*;

#[test]
fn each_variant_has_a_first_list_of_its_own() {
    let timed = Timed::new();
    let server = timed.server();
    assert_eq!(show(&server, OLD, &few()), Observation::default());
    assert_eq!(server.state("more0"), State::New);
    timed.go_to(DAY_S - 1);
    let shown = show(&server, NEW, &more());
    assert_eq!(
        shown,
        Observation::default(),
        "11 more tools are as honest as the first two"
    );
    assert_eq!(server.state("more0"), State::Pinned);
    // What one has pinned is pinned for all.
    assert_eq!(show(&server, OLD, &more()), Observation::default());
    // A variant has one first list, and the server one for all whose variant is known to nobody.
    let later = show(&server, NEW, &[tool("c", "three")]);
    assert_eq!(changes(&later), [("c", State::New)]);
    assert_eq!(list(&server, &[tool("d", "four")]), Observation::default());
    let later = list(&server, &[tool("e", "five")]);
    assert_eq!(changes(&later), [("e", State::New)]);
}

#[test]
fn another_definition_is_a_change_unless_it_comes_in_time() {
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    let form = tool("a", "one, for clients that can be asked");
    assert_eq!(
        show(&server, RICH, std::slice::from_ref(&form)),
        Observation::default()
    );
    assert_eq!(server.state("a"), State::Pinned);
    // Within the time, too, a variant's second list is none.
    let evil = [tool("a", "evil")];
    assert_eq!(changes(&show(&server, RICH, &evil)), [("a", State::Changed)]);
    show(&server, RICH, std::slice::from_ref(&form));
    timed.go_to(DAY_S + 1);
    let shown = show(&server, NEW, &evil);
    assert_eq!(changes(&shown), [("a", State::Changed)]);
    assert!(!shown.shows("a"));
    // Either form is good for every variant.
    for to in [OLD, NEW, RICH] {
        for tools in [&few()[..1], std::slice::from_ref(&form)] {
            assert!(show(&server, to, tools).shows("a"), "{to}");
        }
    }
}

#[test]
fn pages_of_one_variant_lead_to_none_of_another() {
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    let page = |to: &str, asked: PageRef<'_>, tools: &[String], next: Option<&str>| {
        observe_as(&server, &variant(to), asked, &answer(tools, next))
    };
    page(NEW, PageRef::FromStart, &few(), Some("2"));
    let strange = page(RICH, PageRef::At("2"), &[tool("c", "three")], None);
    assert_eq!(changes(&strange), [("c", State::New)]);
    // A page that was not asked for from the beginning pins nothing, and one that was shows each tool in one form.
    let twice = page(NEW, PageRef::FromStart, &[tool("a", "evil")], Some("2"));
    assert_eq!(changes(&twice), [("a", State::Changed)]);
    assert_eq!(page(NEW, PageRef::At("2"), &more(), None), Observation::default());
    assert_eq!(server.state("more10"), State::Pinned);
}

#[test]
fn what_others_were_shown_stops_no_calls_of_those_who_were_not() {
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    show(&server, NEW, &few());
    timed.go_to(DAY_S);
    let evil = [tool("a", "evil"), tool("b", "two")];
    show(&server, RICH, &evil);
    let states = |server: &Server| {
        [OLD, NEW, RICH, "2024-11-05", "unknown"]
            .map(|to| server.state_for("a", &variant(to)) == State::Changed)
    };
    assert_eq!(states(&server), [false, false, true, true, true]);
    assert_eq!(server.state("a"), State::Changed);
    show(&server, OLD, &few());
    assert_eq!(
        states(&server),
        [false, false, true, true, true],
        "it is not taken back by others"
    );
    show(&server, OLD, &evil);
    assert_eq!(states(&server), [true, false, true, true, true]);
    show(&server, OLD, &few());
    list(&server, &evil);
    assert_eq!(states(&server), [false, false, true, true, true]);
    list(&server, &few());
    // A list that was reviewed is for all.
    record(&server, "unknown", &evil);
    assert_eq!(states(&server), [true; 5]);
    show(&server, OLD, &few());
    assert_eq!(states(&server), [false, true, true, true, true]);
    record(&server, "unknown", &few());
    show(&server, RICH, &evil);
    timed.place.sync();
    assert_eq!(states(&timed.opened_again().server()), states(&server));
    show(&server, RICH, &few());
    assert_eq!(server.state("a"), State::Pinned);
    // A new tool is new to all, and another endpoint another server.
    show(&server, RICH, &[tool("c", "three")]);
    assert_eq!(server.state_for("c", &variant(OLD)), State::New);
    let there = timed
        .place
        .server_at("https://elsewhere.example/mcp", Mode::Enforce);
    assert_eq!(there.state_for("b", &variant(OLD)), State::Changed);
}

#[test]
fn strange_clients_do_not_fill_anything() {
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    for n in 0..1000 {
        let tools = [tool("a", "one"), tool(&format!("t{n}"), "of its own")];
        let shown = show(&server, &format!("2026-07-28+x{n}"), &tools);
        assert_eq!(shown.shows(&format!("t{n}")), n < 31, "{n}");
    }
    timed.place.sync();
    let (servers, length) = (
        review::read(&timed.place.path(), None).expect("readable"),
        fs::metadata(timed.place.file()).expect("it is there").len(),
    );
    assert_eq!(servers[0].variants.len(), 33, "with the unknown one");
    assert!(length < 1 << 20, "{length}");
    assert_eq!(server.state("t30"), State::Pinned);
    assert_eq!(server.state("t31"), State::New);
    // Definitions of one tool are bounded, too, each beyond it is a change.
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    for n in 0..32 {
        let shown = show(
            &server,
            &format!("2026-07-28+x{n}"),
            &[tool("a", &format!("form {n}"))],
        );
        assert_eq!(shown.shows("a"), n < 7, "{n}");
    }
    timed.place.sync();
    let servers = review::read(&timed.place.path(), None).expect("readable");
    let found = &servers[0].tools[0];
    assert_eq!((found.pinned.len(), found.listed.len()), (8, 8));
    for n in 7..31 {
        let of = variant(&format!("2026-07-28+x{n}"));
        assert_eq!(server.state_for("a", &of), State::Changed, "{n}");
    }
}
