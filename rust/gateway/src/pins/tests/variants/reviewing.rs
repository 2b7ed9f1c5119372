//! Lists that were reviewed, and definitions that were accepted, for one variant or all.

use super::*;

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
