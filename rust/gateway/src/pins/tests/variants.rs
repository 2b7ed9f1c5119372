//! Lists that differ by client.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const NOW: u64 = 1_800_000_000;
const DAY_S: u64 = 24 * 3600;

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";
const RICH: &str = "2026-07-28+elicitation+sampling";

/// A folder of pins whose clock a test sets.
struct Timed {
    place: Place,
    now: Arc<AtomicU64>,
}

impl Timed {
    fn new() -> Self {
        Self::at(
            tempfile::tempdir().expect("a folder"),
            Arc::new(AtomicU64::new(NOW)),
        )
    }

    fn at(folder: TempDir, now: Arc<AtomicU64>) -> Self {
        let clock = WallClock::manual(Arc::clone(&now));
        let pins = Arc::new(Pins::open_at(&folder.path().join("pins"), clock).expect("a folder"));
        Self {
            place: Place { folder, pins },
            now,
        }
    }

    /// Another process at the folder, with the same clock.
    fn opened_again(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(self.place.path(), folder.path().join("pins")).expect("a link");
        Self::at(folder, Arc::clone(&self.now))
    }

    fn server(&self) -> Server {
        self.place.server()
    }

    fn go_to(&self, after_s: u64) {
        self.now.store(NOW + after_s, Ordering::SeqCst);
    }
}

fn variant(text: &str) -> Variant {
    Variant::parse(text).expect(text)
}

/// A whole list, as clients of a variant are shown it.
fn show(server: &Server, to: &str, tools: &[String]) -> Observation {
    observe_as(server, &variant(to), Asked::FromStart, &answer(tools, None))
}

fn record(server: &Server, to: &str, tools: &[String]) -> Observation {
    server
        .observe_whole(&variant(to), &mut Tape::new(), answer(tools, None).as_bytes())
        .expect("a list")
}

fn few() -> Vec<String> {
    vec![tool("a", "one"), tool("b", "two")]
}

fn more() -> Vec<String> {
    let further = (0..11).map(|n| tool(&format!("more{n}"), "further"));
    few().into_iter().chain(further).collect()
}

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
    let page = |to: &str, asked: Asked<'_>, tools: &[String], next: Option<&str>| {
        observe_as(&server, &variant(to), asked, &answer(tools, next))
    };
    page(NEW, Asked::FromStart, &few(), Some("2"));
    let strange = page(RICH, Asked::At("2"), &[tool("c", "three")], None);
    assert_eq!(changes(&strange), [("c", State::New)]);
    // A page that was not asked for from the beginning pins nothing, and one that was shows each tool in one form.
    let twice = page(NEW, Asked::FromStart, &[tool("a", "evil")], Some("2"));
    assert_eq!(changes(&twice), [("a", State::Changed)]);
    assert_eq!(page(NEW, Asked::At("2"), &more(), None), Observation::default());
    assert_eq!(server.state("more10"), State::Pinned);
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
fn after_a_reviewed_list_nothing_is_accepted_unseen() {
    let timed = Timed::new();
    let server = timed.server();
    assert_eq!(record(&server, "unknown", &few()), Observation::default());
    assert_eq!(changes(&show(&server, NEW, &more())).len(), 11);
    // It is for all: what they were shown is over.
    show(&server, NEW, &[tool("a", "evil")]);
    assert_eq!(server.state_for("a", &variant(NEW)), State::Changed);
    record(&server, "unknown", &few());
    assert_eq!(server.state("a"), State::Pinned);
    record(&server, "unknown", &[tool("a", "evil")]);
    assert_eq!(server.state_for("a", &variant(NEW)), State::Changed);

    // In the middle of the time it ends it, and a second one by variant tells what is to be reviewed.
    let timed = Timed::new();
    let server = timed.server();
    show(&server, OLD, &few());
    assert_eq!(changes(&record(&server, NEW, &more())).len(), 11);
    assert_eq!(
        changes(&show(&server, RICH, &[tool("c", "three")])),
        [("c", State::New)]
    );
}

#[test]
fn accepting_for_a_variant_leaves_what_others_have() {
    let timed = Timed::new();
    let server = timed.server();
    for to in [OLD, NEW] {
        show(&server, to, &few());
    }
    timed.go_to(DAY_S);
    show(&server, RICH, &[tool("a", "rich"), tool("b", "rich")]);
    show(&server, NEW, &[tool("a", "newer")]);
    timed.place.sync();
    let (rich, new) = (variant(RICH), variant(NEW));
    let accept = |what: &Accept<'_>| timed.place.accept(what);
    let of_rich = Accept {
        variant: Some(&rich),
        ..Accept::default()
    };
    assert_eq!(accept(&of_rich), ["a", "b"]);
    let of_new = Accept {
        variant: Some(&new),
        ..Accept::default()
    };
    assert_eq!(accept(&of_new), ["a"]);
    timed.place.sync();
    assert_eq!(states(&server, ["a", "b"]), [State::Pinned; 2]);
    for tools in [
        few(),
        vec![tool("a", "rich"), tool("b", "rich")],
        vec![tool("a", "newer")],
    ] {
        assert_eq!(show(&server, OLD, &tools), Observation::default());
    }
    // The next one of a variant takes the place of the one before, which nobody else has.
    show(&server, RICH, &[tool("a", "richer")]);
    timed.place.sync();
    assert_eq!(accept(&of_rich), ["a"]);
    timed.place.sync();
    assert_eq!(
        changes(&show(&server, OLD, &[tool("a", "rich")])),
        [("a", State::Changed)]
    );
    assert!(show(&server, OLD, &few()).shows("a"));
    // Of several, the digest tells which.
    show(&server, OLD, &[tool("b", "x")]);
    show(&server, NEW, &[tool("b", "y")]);
    timed.place.sync();
    let servers = review::read(&timed.place.path(), None).expect("readable");
    let (names, listed) = (["b".to_owned()], &servers[0].tools[1].listed);
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].variants, [variant(OLD)]);
    let digest = listed[0].record.digest.to_string();
    let one = Accept {
        tools: Some(&names),
        digest: Some(&digest),
        ..Accept::default()
    };
    assert_eq!(accept(&one), ["b"]);
    timed.place.sync();
    assert!(show(&server, OLD, &[tool("b", "x")]).shows("b"));
    assert_eq!(changes(&show(&server, NEW, &[tool("b", "y")])), []);
    assert_eq!(server.state_for("b", &variant(NEW)), State::Changed);
}

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

/// A file as it was written before there were variants.
fn without_variants(place: &Place, is_complete: bool) -> String {
    let server = place.server();
    list(&server, &few());
    list(
        &server,
        &[tool("a", "evil"), tool("b", "two"), tool("c", "three")],
    );
    place.sync();
    let servers = review::read(&place.path(), None).expect("readable");
    let record = |form: &review::ReviewedForm| {
        let record = &form.record;
        format!(
            r#"{{"digest": "{}", "endpoint": {{"shown": "{}", "digest": "{}"}}, "listed_at_unix_s": 1700000000, "definition": {}}}"#,
            record.digest,
            record.endpoint.shown(),
            record.endpoint.digest(),
            record.definition.as_json()
        )
    };
    let tools = servers[0].tools.iter().map(|tool| {
        let pinned: Vec<String> = tool.pinned.iter().map(record).collect();
        let listed = tool
            .listed
            .iter()
            .map(|form| format!(", \"listed\": {}", record(form)));
        let listed: String = listed.collect();
        format!(
            "\"{}\": {{\"pinned\": [{}]{listed}}}",
            tool.name,
            pinned.join(", ")
        )
    });
    let tools: Vec<String> = tools.collect();
    format!(
        "{{\"version\": 1, \"server\": \"srv\", \"complete\": {is_complete}, \"tools\": {{\n{}\n}}}}\n",
        tools.join(",\n")
    )
}

#[test]
fn files_of_before_go_on_with_no_time_left() {
    let text = without_variants(&Place::new(), true);
    let timed = Timed::new();
    fs::write(timed.place.file(), &text).expect("writable");
    let server = timed.server();
    assert_eq!(
        states(&server, ["a", "b", "c", "d"]),
        [State::Changed, State::Pinned, State::New, State::New]
    );
    timed.place.sync();
    assert_eq!(read(&timed.place.file()), text, "there is nothing to write yet");
    assert_eq!(changes(&show(&server, NEW, &more())).len(), 11);
    timed.place.sync();
    assert!(read(&timed.place.file()).starts_with("{\"version\": 2, "));
    let again = timed.opened_again();
    assert_eq!(
        states(&again.server(), ["b", "c", "more0"]),
        [State::Pinned, State::New, State::New]
    );
    let of = variant(NEW);
    let what = Accept {
        variant: Some(&of),
        ..Accept::default()
    };
    assert_eq!(timed.place.accept(&what).len(), 11);

    // A first list that has not come to its end goes on, and the time begins with its end.
    let timed = Timed::new();
    fs::write(timed.place.file(), without_variants(&Place::new(), false)).expect("writable");
    let server = timed.server();
    assert_eq!(server.state("d"), State::Unknown);
    show(&server, OLD, &few());
    assert_eq!(show(&server, NEW, &more()), Observation::default());
}

#[test]
fn damaged_variants_are_told() {
    let timed = Timed::new();
    show(&timed.server(), OLD, &few());
    timed.place.sync();
    let whole = read(&timed.place.file());
    for (from, to, expected) in [
        (
            "\"variant\": \"unknown\"",
            "\"variant\": \"x y\"",
            "expected `unknown`, and then other variants",
        ),
        (
            "\"variant\": \"unknown\"",
            "\"variant\": \"2025-11-25\"",
            "expected `unknown`, and then",
        ),
        (
            "\"variants\": [1]",
            "\"variants\": [2]",
            "expected places in the list of variants",
        ),
        (
            "\"variants\": [1]",
            "\"variants\": [64]",
            "expected places in the list of variants",
        ),
        ("\"over\": false", "\"over\": 0", "expected true or false"),
        (
            "\"first_lists\"",
            "\"last_lists\"",
            "expected an object with `first_lists`",
        ),
    ] {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole, "{from}");
        fs::write(timed.place.file(), text).expect("writable");
        let error = review::read(&timed.place.path(), None).expect_err(to).to_string();
        assert!(
            error.contains("are damaged") && error.contains(expected),
            "{error}"
        );
    }
}
