//! Who is let in, and for how long.

use callgate_core::grant::Token;
use http::{HeaderValue, header};

use super::*;

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
            token_digest: Some(digest("one")),
            certificate_names: vec![
                "gateway.example".to_owned(),
                "spiffe://example/gateway".to_owned(),
            ],
            unix_uids: vec![1001],
            vouches: true,
        },
        PepSpec {
            name: "proxy".to_owned(),
            token_digest: Some(digest("two")),
            unix_uids: vec![1002],
            ..PepSpec::default()
        },
    ]
}

fn peps() -> Peps {
    Peps::new(Some(specs()), Some(key())).unwrap()
}

fn headers(token: Option<&str>) -> HeaderMap {
    let value = |token| HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    token
        .map(|token| (header::AUTHORIZATION, value(token)))
        .into_iter()
        .collect()
}

fn ask(peps: &Peps, uid: Option<u32>, certificate: &[&str], token: Option<&str>) -> Result<PepId, Unknown> {
    let certificate_names = certificate.iter().map(|name| (*name).to_owned()).collect();
    let peer = Arc::new(Peer {
        uid,
        certificate_names,
    });
    let asker = peps.ask(&peer, &headers(token))?;
    still(peps, asker.as_ref()).map(|pep| pep.id)
}

/// Without a reload of the engine.
fn replace(peps: &Peps, specs: Vec<PepSpec>) {
    peps.prepare(specs).unwrap().put_in_force(0);
}

fn still(peps: &Peps, asker: Option<&Asker>) -> Result<Pep, Unknown> {
    peps.still(asker, 0).unwrap()
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
        (None, &[], None, Err(Unknown::NoCredential)),
        (Some(0), &["Gateway.example"], None, Err(Unknown::NoCredential)),
        (None, &[], Some("ONE"), Err(Unknown::Token)),
        (Some(1001), &[], Some("three"), Err(Unknown::Token)),
        (Some(1001), &[], Some("two"), Err(Unknown::Contradictory)),
        (
            Some(1002),
            &["gateway.example"],
            None,
            Err(Unknown::Contradictory),
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
    let peps = Peps::new(Some(Vec::new()), Some(key())).unwrap();
    let asked = [None, Some("one")].map(|token| ask(&peps, None, &["proxy.example"], token));
    assert_eq!(asked, [Err(Unknown::NoCredential), Err(Unknown::Token)]);
    assert_eq!(still(&peps, None), Err(Unknown::Withdrawn));

    let peps = Peps::new(None, Some(key())).unwrap();
    assert_eq!(ask(&peps, None, &[], None), Ok(PepId(0)));
    replace(&peps, Vec::new());
    assert_eq!(ask(&peps, None, &[], None), Err(Unknown::NoCredential));
    assert_eq!(
        still(&peps, None),
        Err(Unknown::Withdrawn),
        "what has begun as well"
    );
}

#[test]
fn a_reload_takes_effect_on_what_has_begun() {
    let peps = peps();
    let peer = Arc::new(Peer::default());
    let [gateway, proxy] =
        ["one", "two"].map(|token| peps.ask(&peer, &headers(Some(token))).unwrap().unwrap());
    assert!(still(&peps, Some(&gateway)).unwrap().vouches);

    let mut changed = specs();
    changed.reverse();
    changed[1].vouches = false;
    changed[1].token_digest = Some(digest("three"));
    replace(&peps, changed);
    assert_eq!(
        still(&peps, Some(&gateway)),
        Err(Unknown::Withdrawn),
        "another token"
    );
    assert_eq!(
        still(&peps, Some(&proxy)).map(|pep| pep.id),
        Ok(PepId(2)),
        "ids stay"
    );
    assert_eq!(ask(&peps, None, &[], Some("three")), Ok(PepId(1)));
    assert_eq!(ask(&peps, None, &[], Some("one")), Err(Unknown::Token));

    let anonymous = Peps::new(None, Some(key())).unwrap();
    assert_eq!(still(&anonymous, None), Ok(Pep::UNNAMED));
    replace(&anonymous, specs());
    assert_eq!(still(&anonymous, None), Err(Unknown::Withdrawn));
}

#[test]
fn a_call_goes_by_the_list_of_its_state() {
    let peps = Peps::new(None, Some(key())).unwrap();
    let peer = Arc::new(Peer::default());
    let anybody = peps.ask(&peer, &headers(None)).unwrap();
    peps.prepare(specs()).unwrap().put_in_force(3);
    let gateway = peps.ask(&peer, &headers(Some("one"))).unwrap();
    for asker in [&anybody, &gateway] {
        assert_eq!(peps.still(asker.as_ref(), 2), Some(Ok(Pep::UNNAMED)));
    }
    for generation in [3, 4] {
        assert_eq!(
            peps.still(anybody.as_ref(), generation),
            Some(Err(Unknown::Withdrawn))
        );
        let id = |still: Option<Result<Pep, Unknown>>| still.unwrap().map(|pep| pep.id);
        assert_eq!(id(peps.still(gateway.as_ref(), generation)), Ok(PepId(1)));
    }
    peps.prepare(Vec::new()).unwrap().put_in_force(5);
    assert_eq!(peps.still(anybody.as_ref(), 2), None, "two lists ago");
    assert_eq!(peps.still(anybody.as_ref(), 4), Some(Err(Unknown::Withdrawn)));
    assert_eq!(peps.still(anybody.as_ref(), 5), Some(Err(Unknown::Withdrawn)));
}

#[test]
fn a_stranger_behind_the_socket_goes_with_its_uid() {
    let peps = Peps {
        own_uid: 1000,
        ..peps()
    };
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
    replace(&peps, changed);
    assert_eq!(admitted(&peps), [true, true, false, true, false]);
    assert!(still(&peps, own.as_ref()).is_ok());
    assert_eq!(still(&peps, stranger.as_ref()), Err(Unknown::Withdrawn));
    assert_eq!(peps.ask(&of(1001), &with_token).unwrap_err(), Unknown::Withdrawn);

    replace(&peps, Vec::new());
    assert_eq!(admitted(&peps), [true, true, false, false, false]);
    assert_eq!(
        still(&peps, own.as_ref()),
        Err(Unknown::Withdrawn),
        "nobody is left"
    );
    assert_eq!(still(&peps, stranger.as_ref()), Err(Unknown::Withdrawn));
    assert_eq!(
        peps.ask(&of(1001), &headers(None)).unwrap_err(),
        Unknown::Withdrawn
    );
}

#[test]
fn a_faulty_list_changes_nothing_and_says_what_to_do() {
    let peps = peps();
    let fault = |change: &dyn Fn(&mut Vec<PepSpec>)| {
        let mut specs = specs();
        change(&mut specs);
        peps.prepare(specs).unwrap_err().to_string()
    };
    assert_eq!(
        fault(&|specs| specs[1].name = "gateway".to_owned()),
        "pep `gateway`: a second one has this `name`; give each a name of its own"
    );
    assert_eq!(
        fault(&|specs| specs[1].token_digest = Some(digest("one"))),
        "pep `proxy`: pep `gateway` has the same `token_hash`; create a token for each"
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
            specs[1].token_digest = None;
            specs[1].unix_uids.clear();
        }),
        "pep `proxy`: it has no credential; give it a `token_hash`, `certificates` or `uids`"
    );
    assert_eq!(
        fault(&|specs| specs[0].name.clear()),
        "pep ``: the `name` is empty; give it one"
    );
    let keyless = Peps::new(Some(specs()), None).unwrap_err().to_string();
    assert!(
        keyless.starts_with("pep `gateway`: it has a `token_hash`, and no key"),
        "{keyless}"
    );
    assert_eq!(ask(&peps, None, &[], Some("one")), Ok(PepId(1)));
    assert!(peps.has_uids());
}
