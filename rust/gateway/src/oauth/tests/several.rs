//! Several issuers: none of them speaks for another.

use std::sync::Arc;

use super::signing::{Signer, claims, jwks};
use super::{AUDIENCE, ISSUER, NOW_S, at, config};
use crate::oauth::{Algorithm, Issued, Issuers, JwksSource, OauthConfig, TokenError};

const OTHER: &str = "https://other.example.com";

fn of(issuer: &str, prefix: &str, signer: &Signer) -> OauthConfig {
    let mut config = config(JwksSource::Document(jwks(&[signer]).into_bytes()));
    issuer.clone_into(&mut config.issuer);
    prefix.clone_into(&mut config.prefix);
    config
}

fn verify(issuers: &Issuers, token: &str) -> Result<Issued, TokenError> {
    let issued = issuers.of(token)?.verify(token, AUDIENCE, at(NOW_S));
    issued.map(Arc::unwrap_or_clone)
}

/// A token in the name of an issuer, whoever signs it.
fn named(signer: &Signer, issuer: &str, sub: &str) -> String {
    let claims = claims(&format!(r#""sub":"{sub}""#)).replace(ISSUER, issuer);
    signer.token(&signer.header(), &claims)
}

#[test]
fn each_token_is_its_own_issuer_s() {
    let (first, second) = (Signer::new("a"), Signer::new("a"));
    let configs = vec![of(ISSUER, "one:", &first), of(OTHER, "two:", &second)];
    let issuers = Issuers::new(configs, &Issuers::default()).unwrap();
    let grant = |token: &str| verify(&issuers, token).map(|issued| issued.grant);
    assert_eq!(grant(&named(&first, ISSUER, "alice")).as_deref(), Ok("one:alice"));
    assert_eq!(grant(&named(&second, OTHER, "alice")).as_deref(), Ok("two:alice"));
    // Keys of one id, and in either's name the other's signature.
    for (signer, issuer) in [(&first, OTHER), (&second, ISSUER)] {
        assert_eq!(
            grant(&named(signer, issuer, "alice")),
            Err(TokenError::Signature),
            "{issuer}"
        );
        let unnamed = claims(r#""sub":"alice""#).replace(ISSUER, issuer);
        let unnamed = signer.token(r#"{"alg":"ES256"}"#, &unnamed);
        assert_eq!(grant(&unnamed), Err(TokenError::UnknownKey), "{issuer}");
    }
    let other_key = Signer::new("b");
    assert_eq!(
        grant(&named(&other_key, OTHER, "alice")),
        Err(TokenError::UnknownKey)
    );
    // Nobody's name.
    for issuer in [
        "https://evil.example.com",
        "",
        "https://login.example.com/",
        "HTTPS://login.example.com",
    ] {
        assert_eq!(
            grant(&named(&first, issuer, "alice")),
            Err(TokenError::Issuer),
            "{issuer}"
        );
    }
    let body = claims(r#""sub":"alice""#);
    for said in [
        body.replace(&format!("\"iss\":\"{ISSUER}\","), ""),
        body.replace(&format!("\"{ISSUER}\""), &format!("[\"{ISSUER}\"]")),
        body.replace(&format!("\"{ISSUER}\""), "null"),
    ] {
        assert_eq!(
            grant(&first.token(&first.header(), &said)),
            Err(TokenError::Issuer),
            "{said}"
        );
    }
    for said in [
        body.replacen('{', &format!("{{\"iss\":\"{OTHER}\","), 1),
        format!("[{body}]"),
        "alice".to_owned(),
    ] {
        let found = grant(&first.token(&first.header(), &said));
        assert!(
            matches!(found, Err(TokenError::Malformed(_))),
            "{said}: {found:?}"
        );
    }
    for token in ["", ".", "..", "a.b.c", &"x".repeat(20_000)] {
        assert!(matches!(grant(token), Err(TokenError::Malformed(_))), "{token}");
    }
}

#[test]
fn each_issuer_has_its_own_algorithms() {
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    let mut narrow = of(OTHER, "two:", &second);
    // A file needs one key that can be used.
    narrow.jwks = JwksSource::Document(vectors_jwks());
    narrow.algorithms = vec![Algorithm::Rs256];
    let issuers = Issuers::new(vec![of(ISSUER, "one:", &first), narrow], &Issuers::default()).unwrap();
    let refused = verify(&issuers, &named(&second, OTHER, "alice"));
    assert_eq!(refused, Err(TokenError::Algorithm), "the first one's algorithm");
    let rsa = first.token(r#"{"alg":"RS256","kid":"a"}"#, &claims(r#""sub":"alice""#));
    assert_eq!(
        verify(&issuers, &rsa),
        Err(TokenError::Algorithm),
        "the second one's"
    );
}

fn vectors_jwks() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/cases/oauth/signatures.json"
    );
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    vectors["jwks"].to_string().into_bytes()
}

#[test]
fn issuers_of_which_two_could_mean_one_id_are_refused() {
    let signer = Signer::new("a");
    let build = |configs: &[(&str, &str)]| {
        let configs = configs
            .iter()
            .map(|(issuer, prefix)| of(issuer, prefix, &signer))
            .collect();
        let built = Issuers::new(configs, &Issuers::default());
        built.map_or_else(|error| error.to_string(), |_| String::new())
    };
    assert_eq!(build(&[]), "");
    assert_eq!(
        build(&[("https://a.example", "")]),
        "",
        "a single one has no need of a prefix"
    );
    assert_eq!(build(&[("https://a.example", "a:")]), "");
    assert_eq!(
        build(&[
            ("https://a.example", "a:"),
            ("https://b.example", "b/"),
            ("https://c.example", "ab|")
        ]),
        ""
    );
    for (configs, place) in [
        (
            [("https://a.example", "a:"), ("https://b.example", "")],
            "gateway.oauth[1].prefix",
        ),
        (
            [("https://a.example", ""), ("https://b.example", "b:")],
            "gateway.oauth[0].prefix",
        ),
        (
            [("https://a.example", "a:"), ("https://b.example", "a:")],
            "gateway.oauth[1].prefix",
        ),
        (
            [("https://a.example", "a:"), ("https://b.example", "a:b:")],
            "gateway.oauth[1].prefix",
        ),
        (
            [("https://a.example", "a:b:"), ("https://b.example", "a:")],
            "gateway.oauth[1].prefix",
        ),
        (
            [("https://a.example", "a:"), ("https://b.example", "b")],
            "gateway.oauth[1].prefix",
        ),
        (
            [("https://a.example", "a:"), ("https://a.example", "b:")],
            "gateway.oauth[1].issuer",
        ),
    ] {
        let fault = build(&configs);
        assert!(fault.contains(place), "{configs:?}: {fault}");
    }
}

#[test]
fn a_change_of_one_issuer_leaves_the_others_alone() {
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    let configs = || vec![of(ISSUER, "one:", &first), of(OTHER, "two:", &second)];
    let before = Issuers::new(configs(), &Issuers::default()).unwrap();
    let mut changed = configs();
    changed[1].scopes.push("x".to_owned());
    changed.swap(0, 1);
    let after = Issuers::new(changed, &before).unwrap();
    let kept = |issuers: &Issuers, issuer: &str| {
        let of = |issuers: &Issuers| {
            issuers
                .iter()
                .find(|one| one.config().issuer == issuer)
                .map(Arc::as_ptr)
        };
        of(&before) == of(issuers)
    };
    assert!(kept(&after, ISSUER));
    assert!(!kept(&after, OTHER));
}
