//! Tests of the peers that are admitted, and for how long.

use callgate_core::grant::Token;
use http::{HeaderValue, header};

use super::*;
use crate::clock::ManualClock;

fn key() -> TokenKey {
    TokenKey::new([4; 32])
}

fn digest(token: &str) -> TokenDigest {
    key().digest(Token::new(token))
}

fn specs() -> Vec<PepSpec> {
    vec![
        PepSpec {
            name: "gateway".to_owned(),
            tokens: vec![digest("one").into()],
            certificate_names: vec![
                "gateway.example".to_owned(),
                "spiffe://example/gateway".to_owned(),
            ],
            unix_uids: vec![1001],
            vouches: true,
        },
        PepSpec {
            name: "proxy".to_owned(),
            tokens: vec![digest("two").into()],
            unix_uids: vec![1002],
            ..PepSpec::default()
        },
    ]
}

fn registry() -> PepRegistry {
    PepRegistry::new(Some(key()), Clock::default())
}

fn peps() -> Peps {
    registry().list(Some(specs())).unwrap()
}

fn headers(token: Option<&str>) -> HeaderMap {
    let value = |token| HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    token
        .map(|token| (header::AUTHORIZATION, value(token)))
        .into_iter()
        .collect()
}

fn ask(
    peps: &Peps,
    uid: Option<u32>,
    certificate: &[&str],
    token: Option<&str>,
) -> Result<PepId, UnknownPepError> {
    let certificate_names = certificate.iter().map(|name| (*name).to_owned()).collect();
    let peer = Arc::new(Peer {
        uid,
        certificate_names,
    });
    let asker = peps.ask(&peer, &headers(token))?;
    peps.still(asker.as_ref()).map(|pep| pep.id)
}

#[test]
fn other_nodes_know_enforcement_points_by_their_names() {
    let mut registry = registry();
    let peps = registry.list(Some(specs())).unwrap();
    for (id, name) in [(PepId(1), "gateway"), (PepId(2), "proxy")] {
        assert_eq!((peps.name_of(id), peps.id_of(name)), (Some(name), Some(id)));
    }
    assert_eq!((peps.name_of(PepId(0)), peps.id_of("")), (None, None));
    assert_eq!((peps.name_of(PepId(3)), peps.id_of("other")), (None, None));
    // One that is not listed any more keeps its number, and settles nothing.
    let fewer = registry.list(Some(specs().split_off(1))).unwrap();
    assert_eq!((fewer.name_of(PepId(1)), fewer.id_of("gateway")), (None, None));
    assert_eq!(fewer.id_of("proxy"), Some(PepId(2)));
    let anybody = Peps::anybody();
    assert_eq!(
        (anybody.name_of(PepId(0)), anybody.id_of("")),
        (Some(""), Some(PepId(0)))
    );
    assert_eq!(
        (anybody.name_of(PepId(1)), anybody.id_of("gateway")),
        (None, None)
    );
}

#[test]
fn any_one_credential_is_enough_and_all_must_agree() {
    let peps = peps();
    let (gateway, proxy) = (Ok(PepId(1)), Ok(PepId(2)));
    for (uid, certificate, token, expected) in [
        (None, &[][..], Some("one"), gateway),
        (None, &[], Some("two"), proxy),
        (Some(1001), &[], None, gateway),
        (None, &["gateway.example"], None, gateway),
        (None, &["other", "spiffe://example/gateway"], None, gateway),
        (Some(1001), &["gateway.example"], Some("one"), gateway),
        // A user and a certificate that say nothing do not spoil a token.
        (Some(0), &["other"], Some("two"), proxy),
        (None, &[], None, Err(UnknownPepError::NoCredential)),
        (
            Some(0),
            &["Gateway.example"],
            None,
            Err(UnknownPepError::NoCredential),
        ),
        (None, &[], Some("ONE"), Err(UnknownPepError::Token)),
        (Some(1001), &[], Some("three"), Err(UnknownPepError::Token)),
        (Some(1001), &[], Some("two"), Err(UnknownPepError::Contradictory)),
        (
            Some(1002),
            &["gateway.example"],
            None,
            Err(UnknownPepError::Contradictory),
        ),
    ] {
        assert_eq!(
            ask(&peps, uid, certificate, token),
            expected,
            "{uid:?} {certificate:?} {token:?}"
        );
    }
}

#[test]
fn without_a_list_anybody_may_ask() {
    let peps = Peps::anybody();
    assert_eq!(ask(&peps, None, &[], Some("whatever")), Ok(PepId(0)));
    assert!(!peps.has_uids());
}

#[test]
fn an_empty_list_is_nobody() {
    let peps = registry().list(Some(Vec::new())).unwrap();
    let asked = [None, Some("one")].map(|token| ask(&peps, None, &["proxy.example"], token));
    assert_eq!(
        asked,
        [Err(UnknownPepError::NoCredential), Err(UnknownPepError::Token)]
    );
    assert_eq!(
        peps.still(None),
        Err(UnknownPepError::Withdrawn),
        "what has begun as well"
    );

    let peps = registry().list(None).unwrap();
    assert_eq!(ask(&peps, None, &[], None), Ok(PepId(0)));
}

#[test]
fn a_reload_takes_effect_on_what_has_begun() {
    let mut registry = registry();
    let peps = registry.list(Some(specs())).unwrap();
    let peer = Arc::new(Peer::default());
    let [gateway, proxy] =
        ["one", "two"].map(|token| peps.ask(&peer, &headers(Some(token))).unwrap().unwrap());
    assert!(peps.still(Some(&gateway)).unwrap().vouches);

    let mut changed = specs();
    changed.reverse();
    changed[1].vouches = false;
    changed[1].tokens = vec![digest("three").into()];
    let peps = registry.list(Some(changed)).unwrap();
    assert_eq!(
        peps.still(Some(&gateway)),
        Err(UnknownPepError::Withdrawn),
        "another token"
    );
    assert_eq!(
        peps.still(Some(&proxy)).map(|pep| pep.id),
        Ok(PepId(2)),
        "ids stay"
    );
    assert_eq!(ask(&peps, None, &[], Some("three")), Ok(PepId(1)));
    assert_eq!(ask(&peps, None, &[], Some("one")), Err(UnknownPepError::Token));

    assert_eq!(registry.list(None).unwrap().still(None), Ok(Pep::UNNAMED));
    assert_eq!(peps.still(None), Err(UnknownPepError::Withdrawn));
}

#[test]
fn two_tokens_are_of_one_pep_until_the_old_one_ends() {
    let clock = ManualClock::new(999);
    let mut registry = PepRegistry::new(Some(key()), Clock::Manual(clock.clone()));
    let mut rotated = specs();
    rotated[1].tokens.push(TokenSpec {
        digest: digest("old"),
        until_us: Some(1_000),
    });
    let peps = registry.list(Some(rotated)).unwrap();
    let peer = Arc::new(Peer::default());
    let [old, new] = ["old", "two"].map(|token| peps.ask(&peer, &headers(Some(token))).unwrap());
    for asker in [&old, &new] {
        assert_eq!(peps.still(asker.as_ref()).map(|pep| pep.id), Ok(PepId(2)));
    }
    clock.set_us(1_000);
    assert_eq!(peps.still(new.as_ref()).map(|pep| pep.id), Ok(PepId(2)));
    assert_eq!(
        peps.still(old.as_ref()),
        Err(UnknownPepError::Withdrawn),
        "what has begun as well"
    );
    assert_eq!(ask(&peps, None, &[], Some("two")), Ok(PepId(2)));
    assert_eq!(ask(&peps, None, &[], Some("old")), Err(UnknownPepError::Ended));
    // Told apart in logs alone.
    let (ended, unknown) = (UnknownPepError::Ended, UnknownPepError::Token);
    assert_eq!(ended.message(), unknown.message());
    assert_ne!(ended.as_str(), unknown.as_str());
}

#[test]
fn a_stranger_behind_the_socket_goes_with_its_uid() {
    let mut registry = registry();
    let mut list = |specs| Peps {
        own_uid: 1000,
        ..registry.list(Some(specs)).unwrap()
    };
    let peps = list(specs());
    let of = |uid| {
        Arc::new(Peer {
            uid: Some(uid),
            ..Peer::default()
        })
    };
    let admitted = |peps: &Peps| [0, 1000, 1001, 1002, 1003].map(|uid| peps.admits(&of(uid)));
    assert_eq!(admitted(&peps), [true, true, true, true, false]);
    let with_token = headers(Some("one"));
    let [own, stranger] = [1000, 1001].map(|uid| peps.ask(&of(uid), &with_token).unwrap());

    // The token alone let nobody connect.
    let mut changed = specs();
    changed[0].unix_uids.clear();
    let peps = list(changed);
    assert_eq!(admitted(&peps), [true, true, false, true, false]);
    assert!(peps.still(own.as_ref()).is_ok());
    assert_eq!(peps.still(stranger.as_ref()), Err(UnknownPepError::Withdrawn));
    assert_eq!(
        peps.ask(&of(1001), &with_token).unwrap_err(),
        UnknownPepError::Withdrawn
    );

    let peps = list(Vec::new());
    assert_eq!(admitted(&peps), [true, true, false, false, false]);
    assert_eq!(
        peps.still(own.as_ref()),
        Err(UnknownPepError::Withdrawn),
        "nobody is left"
    );
    assert_eq!(peps.still(stranger.as_ref()), Err(UnknownPepError::Withdrawn));
    assert_eq!(
        peps.ask(&of(1001), &headers(None)).unwrap_err(),
        UnknownPepError::Withdrawn
    );
}

#[test]
fn a_faulty_list_says_what_to_do() {
    let mut registry = registry();
    let mut fault = |change: &dyn Fn(&mut Vec<PepSpec>)| {
        let mut specs = specs();
        change(&mut specs);
        registry.list(Some(specs)).unwrap_err().to_string()
    };
    assert_eq!(
        fault(&|specs| specs[1].name = "gateway".to_owned()),
        "pep `gateway`: a second one has this `name`; give each a name of its own"
    );
    assert_eq!(
        fault(&|specs| specs[1].tokens = vec![digest("one").into()]),
        "pep `proxy`: pep `gateway` has the same `token_hash`; create a token for each"
    );
    assert_eq!(
        fault(&|specs| specs[1]
            .tokens
            .extend(["x", "y"].map(|token| TokenSpec::from(digest(token))))),
        "pep `proxy`: it has 3 tokens, expected at most 2; take the oldest out"
    );
    assert_eq!(
        fault(&|specs| specs[1].tokens.push(digest("two").into())),
        "pep `proxy`: it has the same token twice; keep one of them"
    );
    assert_eq!(
        fault(&|specs| specs[1].unix_uids.push(1001)),
        "pep `proxy`: pep `gateway` has 1001 in `uids` as well; a user stands for one of them"
    );
    assert_eq!(
        fault(&|specs| specs[1].certificate_names.push("gateway.example".to_owned())),
        "pep `proxy`: pep `gateway` has `gateway.example` in `certificates` as well; a name stands for one of them"
    );
    assert_eq!(
        fault(&|specs| {
            specs[1].tokens.clear();
            specs[1].unix_uids.clear();
        }),
        "pep `proxy`: it has no credential; give it a `token_hash`, `certificates` or `uids`"
    );
    assert_eq!(
        fault(&|specs| specs[0].name.clear()),
        "pep ``: the `name` is empty; give it one"
    );
    let keyless = PepRegistry::new(None, Clock::default()).list(Some(specs()));
    let keyless = keyless.unwrap_err().to_string();
    assert!(
        keyless.starts_with("pep `gateway`: it has a `token_hash`, and no key"),
        "{keyless}"
    );
    let peps = registry.list(Some(specs())).unwrap();
    assert_eq!(ask(&peps, None, &[], Some("one")), Ok(PepId(1)), "ids stay");
    assert!(peps.has_uids());
}
