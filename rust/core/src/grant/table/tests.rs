//! Tables of grants: what they hold after changes and reloads.

use super::*;

fn key() -> TokenKey {
    TokenKey::new([5; 32])
}

fn spec(id: &str, token: &str) -> GrantSpec {
    GrantSpec {
        id: id.to_owned(),
        tokens: vec![key().digest(Token::new(token)).into()],
        server: "srv".to_owned(),
        policy: None,
        servers: Vec::new(),
        labels: Vec::new(),
        expires_at_us: None,
        revoked: false,
    }
}

fn found(grants: &Grants, token: &str) -> Option<u32> {
    grants.by_token(Token::new(token)).map(KnownToken::grant)
}

#[test]
fn found_by_token_and_by_id() {
    let mut grants = Grants::new(Some(key()));
    for number in 0..1_000 {
        grants
            .add(&spec(&format!("g{number}"), &format!("token {number}")))
            .unwrap();
    }
    for number in 0..1_000 {
        let (by_token, by_id) = (format!("token {number}"), format!("g{number}"));
        assert_eq!(found(&grants, &by_token), Some(number));
        assert_eq!(grants.by_id(&by_id), Some(number));
        assert_eq!(grants.get(number).unwrap().id(), by_id);
        assert_eq!(found(&grants, &by_id), None);
        assert_eq!(found(&grants, &by_token.to_uppercase()), None);
    }
    assert_eq!((grants.len(), grants.is_empty()), (1_000, false));
    assert!(grants.is_configured());
    assert_eq!(grants.by_id("g"), None);
    assert!(grants.get(1_000).is_none());
}

#[test]
fn an_expiry_is_the_first_moment_after() {
    let mut grants = Grants::new(Some(key()));
    let ending = |expires_at_us| GrantSpec {
        expires_at_us,
        ..spec(&format!("{expires_at_us:?}"), &format!("{expires_at_us:?}"))
    };
    grants.add(&ending(Some(1_000))).unwrap();
    grants.add(&ending(None)).unwrap();
    let expired = |index, unix_us| grants.get(index).unwrap().is_expired(unix_us);
    assert_eq!([expired(0, 999), expired(0, 1_000)], [false, true]);
    assert!(!expired(1, u64::MAX));
}

#[test]
fn two_tokens_are_of_one_grant_and_each_has_its_end() {
    let mut grants = Grants::new(Some(key()));
    let mut both = spec("a", "new");
    both.tokens.push(TokenSpec {
        digest: key().digest(Token::new("old")),
        until_us: Some(1_000),
    });
    grants.add(&both).unwrap();
    let ended = |token, unix_us| {
        let known = grants.by_token(Token::new(token)).unwrap();
        (known.grant(), known.has_ended(unix_us))
    };
    assert_eq!([ended("old", 999), ended("old", 1_000)], [(0, false), (0, true)]);
    assert_eq!(ended("new", u64::MAX), (0, false));
}

/// Servers `s0` to `s9` and policies `p0` to `p9` are there, with their numbers as indexes.
fn resolve(grants: &mut Grants) {
    let number = |name: &str| name.get(1..).and_then(|number| number.parse().ok());
    grants.resolve(true, |places| {
        let servers = places
            .iter()
            .filter_map(|(server, policy)| Some((number(server)?, policy.and_then(number))));
        servers.collect()
    });
}

#[test]
fn a_list_of_servers_has_a_policy_for_each() {
    let mut grants = Grants::new(Some(key()));
    let names = |server: &str, policy: &str| (server.to_owned(), policy.to_owned());
    let one = |id: &str, server: &str, policy: Option<&str>| GrantSpec {
        server: server.to_owned(),
        policy: policy.map(ToOwned::to_owned),
        ..spec(id, id)
    };
    let list = |id: &str, servers: &[(String, String)]| GrantSpec {
        servers: servers.to_vec(),
        ..one(id, "", None)
    };
    grants.add(&one("one", "s3", Some("p7"))).unwrap();
    grants
        .add(&list(
            "list",
            &[names("s4", "p1"), names("s2", "p9"), names("gone", "p1")],
        ))
        .unwrap();
    grants.add(&one("gone", "gone", Some("p1"))).unwrap();
    grants.add(&one("bare", "s3", Some("gone"))).unwrap();
    let facts = |grants: &Grants, index: u32| {
        let grant = grants.get(index).unwrap();
        let at = [2, 3, 4].map(|server| (grant.is_for(server), grant.serving(server)));
        (grant.own_server().map(ToOwned::to_owned), at)
    };
    let nowhere = [(false, None); 3];
    assert_eq!(
        facts(&grants, 0),
        (Some("s3".to_owned()), nowhere),
        "not resolved yet"
    );
    resolve(&mut grants);
    let own = |server: &str| Some(server.to_owned());
    assert_eq!(
        facts(&grants, 0),
        (own("s3"), [(false, None), (true, Some(7)), (false, None)])
    );
    assert_eq!(
        facts(&grants, 1),
        (None, [(true, Some(9)), (false, None), (true, Some(1))])
    );
    assert_eq!(facts(&grants, 2), (own("gone"), nowhere));
    assert_eq!(
        facts(&grants, 3),
        (own("s3"), [(false, None), (true, None), (false, None)])
    );
    assert_eq!(
        grants
            .add(&list("twice", &[names("s4", "p1"), names("s4", "p2")]))
            .unwrap_err(),
        "a server is listed twice in `servers`; keep one of them"
    );
}

fn put(id: &str, token: &str) -> GrantChange {
    GrantChange::Put(spec(id, token))
}

#[test]
fn managed_grants_change_one_by_one_and_copies_keep_what_they_had() {
    let mut grants = Grants::new(Some(key()));
    grants.add(&spec("loaded", "l")).unwrap();
    let many: Vec<_> = (0..3_000)
        .map(|number| put(&format!("m{number}"), &format!("t{number}")))
        .collect();
    assert_eq!(grants.change(many), []);
    let before = grants.clone();
    let changes = vec![
        put("m7", "other"),
        GrantChange::Remove("m8".to_owned()),
        put("new", "t8"),
        GrantChange::Remove("never there".to_owned()),
        GrantChange::Remove("m9".to_owned()),
        put("m9", "t9"),
    ];
    assert_eq!(grants.change(changes), []);
    let id_of = |grants: &Grants, token: &str| {
        let index = found(grants, token)?;
        assert_eq!(grants.by_id(grants.get(index)?.id()), Some(index));
        Some(grants.get(index)?.id().to_owned())
    };
    let ids = |grants: &Grants| {
        ["l", "t7", "other", "t8", "t9"].map(|token| id_of(grants, token).unwrap_or_default())
    };
    assert_eq!(ids(&grants), ["loaded", "", "m7", "new", "m9"]);
    assert_eq!(ids(&before), ["loaded", "m7", "", "m8", "m9"]);
    assert_eq!(
        (grants.len(), before.len(), grants.managed_len()),
        (3_001, 3_001, 3_000)
    );
    assert_eq!([grants.by_id("m8"), grants.by_id("never there")], [None, None]);
    assert_eq!(
        ["m7", "loaded", "m8"].map(|id| grants.is_managed(id)),
        [true, false, false]
    );
    assert_eq!(grants.managed().count(), 3_000);
}

#[test]
fn a_faulty_change_leaves_the_grant_as_it_was() {
    let mut grants = Grants::new(Some(key()));
    grants.add(&spec("loaded", "l")).unwrap();
    assert_eq!(grants.change([put("a", "1"), put("b", "2")]), []);
    let faults = grants.change([put("loaded", "3"), put("a", "l"), put("b", "1"), put("c", "4")]);
    let mut told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "grant `a`: grant `loaded` has the same `token_hash`; create a token for each grant",
            "grant `b`: grant `a` has the same `token_hash`; create a token for each grant",
            "grant `loaded`: the configuration has a grant with this `id`; take one of them out",
        ]
    );
    let tokens = ["l", "1", "2", "3", "4"].map(|token| found(&grants, token));
    assert_eq!(
        tokens.map(|index| index.and_then(|index| grants.get(index)).map_or("", Grant::id)),
        ["loaded", "a", "b", "", "c"]
    );
}

#[test]
fn a_token_passes_from_one_grant_to_another_in_any_order() {
    for turned in [false, true] {
        let mut grants = Grants::new(Some(key()));
        assert_eq!(grants.change([put("a", "1"), put("b", "2"), put("c", "3")]), []);
        let mut changes = vec![put("a", "2"), put("b", "3"), put("c", "4")];
        if turned {
            changes.reverse();
        }
        assert_eq!(grants.change(changes), []);
        assert_eq!(
            ["1", "2", "3", "4"].map(|token| found(&grants, token).is_some()),
            [false, true, true, true]
        );
    }
}

#[test]
fn other_loaded_grants_come_before_the_managed_ones_that_stay() {
    let mut before = Grants::new(Some(key()));
    assert_eq!(before.change([put("a", "1"), put("b", "2"), put("c", "3")]), []);
    let mut grants = Grants::new(Some(key()));
    grants.add(&spec("a", "4")).unwrap();
    grants.add(&spec("d", "2")).unwrap();
    grants.adopt(&before);
    let id = |token| {
        found(&grants, token)
            .and_then(|index| grants.get(index))
            .map_or("", Grant::id)
    };
    // `a` of before has other tokens, which count no more.
    assert_eq!(["1", "2", "3", "4"].map(id), ["", "d", "c", "a"]);
    let mut anybody = Grants::unconfigured();
    anybody.adopt(&before);
    assert_eq!(anybody.len(), 0);
    assert_eq!(anybody.change([put("a", "1")]).len(), 1);
}

#[test]
fn faults_say_what_to_do() {
    let mut grants = Grants::new(Some(key()));
    grants.add(&spec("a", "one")).unwrap();
    let mut fault = |spec| grants.add(&spec).unwrap_err();
    assert_eq!(
        fault(spec("a", "two")),
        "a second grant has this `id`; give each grant an id of its own"
    );
    assert_eq!(
        fault(spec("b", "one")),
        "grant `a` has the same `token_hash`; create a token for each grant"
    );
    let with_tokens = |tokens: &[&str]| GrantSpec {
        tokens: tokens
            .iter()
            .map(|token| key().digest(Token::new(token)).into())
            .collect(),
        ..spec("e", "e")
    };
    assert_eq!(
        fault(with_tokens(&["x", "y", "z"])),
        "it has 3 tokens, expected at most 2; take the oldest out"
    );
    assert_eq!(
        fault(with_tokens(&["x", "x"])),
        "it has the same token twice; keep one of them"
    );
    assert_eq!(
        fault(with_tokens(&["x", "one"])),
        "grant `a` has the same `token_hash`; create a token for each grant"
    );
    assert_eq!(fault(spec("", "c")), "the `id` is empty; give the grant a name");
    assert_eq!(
        fault(spec("c\0", "c")),
        "the `id` holds NUL; names are text without NUL"
    );
    let twice = vec![("t".to_owned(), "1".to_owned()), ("t".to_owned(), "2".to_owned())];
    assert_eq!(
        fault(GrantSpec {
            labels: twice,
            ..spec("d", "d")
        }),
        "label `t` is given twice; keep one of them"
    );
}
