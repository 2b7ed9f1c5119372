//! Tokens that come again: how many signatures they cost, and what ends that.

use std::sync::Arc;

use super::published::{Published, renew};
use super::signing::{Signer, claims, jwks};
use super::{AUDIENCE, NOW_S, at, config};
use crate::oauth::algorithm::VERIFIED;
use crate::oauth::believed::BELIEVED_S;
use crate::oauth::fetch::{FRESH_S, KEPT_S};
use crate::oauth::{Issuer, Issuers, JwksSource, OauthConfig, TokenError};

/// The signatures that `work` holds against a key.
fn signatures<R>(work: impl FnOnce() -> R) -> (R, usize) {
    VERIFIED.set(0);
    let done = work();
    (done, VERIFIED.get())
}

fn of_document(signer: &Signer) -> OauthConfig {
    config(JwksSource::Document(jwks(&[signer]).into_bytes()))
}

#[test]
fn a_token_that_comes_again_costs_one_signature_in_five_minutes() {
    let signer = Signer::new("a");
    let issuer = Issuer::new(of_document(&signer), None).unwrap();
    let long = signer.token(
        &signer.header(),
        &claims(r#""sub":"alice""#).replace(&(NOW_S + 60).to_string(), &(NOW_S + 3_600).to_string()),
    );
    let verify = |second| {
        issuer
            .verify(&long, AUDIENCE, at(second))
            .map(|issued| issued.grant.clone())
    };
    let alice = Ok("alice".to_owned());
    assert_eq!(signatures(|| verify(NOW_S)), (alice.clone(), 1));
    let many = signatures(|| (0..BELIEVED_S).all(|second| verify(NOW_S + second) == alice));
    assert_eq!(many, (true, 0));
    assert_eq!(signatures(|| verify(NOW_S + BELIEVED_S)), (alice.clone(), 1));
    assert_eq!(signatures(|| verify(NOW_S + BELIEVED_S + 1)), (alice, 0));
}

#[test]
fn a_token_that_was_believed_is_refused_when_its_time_is_over() {
    let signer = Signer::new("a");
    let issuer = Issuer::new(of_document(&signer), None).unwrap();
    let token = signer.token(
        &signer.header(),
        &claims(&format!(r#""sub":"alice","nbf":{NOW_S}"#)),
    );
    let verify = |second| issuer.verify(&token, AUDIENCE, at(second)).map(|_| ());
    assert_eq!(verify(NOW_S), Ok(()));
    // `exp` is in a minute, and 30 s are allowed to clocks.
    assert_eq!(verify(NOW_S + 89), Ok(()));
    assert_eq!(verify(NOW_S + 90), Err(TokenError::Expired));
    assert_eq!(verify(NOW_S), Ok(()));
    assert_eq!(
        verify(NOW_S - 31),
        Err(TokenError::NotYet),
        "the clock was set back"
    );
}

#[test]
fn what_was_believed_at_one_server_says_nothing_at_another() {
    let signer = Signer::new("a");
    let issuer = Issuer::new(of_document(&signer), None).unwrap();
    let token = signer.good("alice");
    assert!(issuer.verify(&token, AUDIENCE, at(NOW_S)).is_ok());
    for audience in [
        "https://callgate.example.com/mcp/other",
        "",
        "https://callgate.example.com/mcp/file",
    ] {
        let refused = issuer.verify(&token, audience, at(NOW_S));
        assert_eq!(refused, Err(TokenError::Audience), "{audience}");
    }
    // One that is good at several is proven at each.
    let mut one_audience = of_document(&signer);
    one_audience.audience = Some(AUDIENCE.to_owned());
    let issuer = Issuer::new(one_audience, None).unwrap();
    let at_any = |server| issuer.verify(&token, server, at(NOW_S)).is_ok();
    assert_eq!(signatures(|| at_any("one") && at_any("two")), (true, 1));
}

#[test]
fn what_is_refused_is_not_kept() {
    let (signer, other) = (Signer::new("a"), Signer::new("a"));
    let issuer = Issuer::new(of_document(&signer), None).unwrap();
    let forged = other.good("alice");
    for _ in 0..3 {
        let found = signatures(|| issuer.verify(&forged, AUDIENCE, at(NOW_S)).map(|_| ()));
        assert_eq!(found, (Err(TokenError::Signature), 1));
    }
    // Nor do the bytes of a good one, in another order or with others, pass for it.
    let good = signer.good("alice");
    assert!(issuer.verify(&good, AUDIENCE, at(NOW_S)).is_ok());
    for changed in [
        format!("{good}="),
        format!(" {good}"),
        good.to_uppercase(),
        good[..good.len() - 1].to_owned(),
    ] {
        assert!(issuer.verify(&changed, AUDIENCE, at(NOW_S)).is_err(), "{changed}");
    }
}

#[tokio::test]
async fn a_key_that_is_withdrawn_ends_what_it_has_proven() {
    let published = Published::start().await;
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    published.publishes(&[&first, &second]);
    let issuer = published.issuer();
    assert_eq!(renew(&issuer, NOW_S).await, Ok(Some(2)));
    let (of_first, of_second) = (first.good("alice"), second.good("bob"));
    let verify = |token: &str| issuer.verify(token, AUDIENCE, at(NOW_S)).map(|_| ());
    assert_eq!((verify(&of_first), verify(&of_second)), (Ok(()), Ok(())));
    // The same keys again end nothing.
    assert_eq!(renew(&issuer, NOW_S + FRESH_S).await, Ok(None));
    assert_eq!(signatures(|| verify(&of_first)), (Ok(()), 0));
    published.publishes(&[&second]);
    assert_eq!(renew(&issuer, NOW_S + 2 * FRESH_S).await, Ok(Some(1)));
    assert_eq!(verify(&of_first), Err(TokenError::UnknownKey));
    assert_eq!(signatures(|| verify(&of_second)), (Ok(()), 1));
    // The last one.
    published.publishes(&[]);
    assert_eq!(renew(&issuer, NOW_S + 3 * FRESH_S).await, Ok(Some(0)));
    assert_eq!(verify(&of_second), Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn keys_that_are_too_old_prove_nothing_any_more() {
    let published = Published::start().await;
    let signer = Signer::new("a");
    published.publishes(&[&signer]);
    let issuer = published.issuer();
    renew(&issuer, NOW_S).await.unwrap();
    let late = NOW_S + KEPT_S;
    let token = signer.token(
        &signer.header(),
        &claims(r#""sub":"alice""#).replace(&(NOW_S + 60).to_string(), &(late + 60).to_string()),
    );
    assert!(issuer.verify(&token, AUDIENCE, at(late - 1)).is_ok());
    assert_eq!(issuer.verify(&token, AUDIENCE, at(late)), Err(TokenError::NoKeys));
}

#[tokio::test]
async fn a_token_without_a_key_s_id_costs_one_signature_though_its_key_may_be_missing() {
    let published = Published::start().await;
    let signer = Signer::new("a");
    published.publishes(&[&signer]);
    let issuer = published.issuer();
    renew(&issuer, NOW_S).await.unwrap();
    let nameless = signer.token(r#"{"alg":"ES256"}"#, &claims(r#""sub":"alice""#));
    let request = || {
        let is_missing = issuer.missing(&nameless, AUDIENCE, at(NOW_S)).is_some();
        (is_missing, issuer.verify(&nameless, AUDIENCE, at(NOW_S)).is_ok())
    };
    assert_eq!(signatures(request), ((false, true), 1));
    assert_eq!(signatures(request), ((false, true), 0));
}

#[test]
fn a_configuration_that_says_otherwise_ends_what_was_believed_and_the_same_one_does_not() {
    let signer = Signer::new("a");
    let before = Issuers::new(vec![of_document(&signer)], &Issuers::default()).unwrap();
    let token = signer.good("alice");
    let verify = |issuers: &Issuers| {
        let issued = issuers
            .of(&token)
            .and_then(|issuer| issuer.verify(&token, AUDIENCE, at(NOW_S)));
        issued.map(Arc::unwrap_or_clone)
    };
    assert_eq!(verify(&before).unwrap().grant, "alice");
    let same = Issuers::new(vec![of_document(&signer)], &before).unwrap();
    assert_eq!(signatures(|| verify(&same).is_ok()), (true, 0));
    let changed = |change: fn(&mut OauthConfig)| {
        let mut config = of_document(&signer);
        change(&mut config);
        verify(&Issuers::new(vec![config], &same).unwrap())
    };
    assert_eq!(changed(|config| config.issuer.push('/')), Err(TokenError::Issuer));
    assert_eq!(
        changed(|config| config.audience = Some("x".to_owned())),
        Err(TokenError::Audience)
    );
    assert_eq!(
        changed(|config| config.scopes.push("x".to_owned())),
        Err(TokenError::Scope(vec!["x".to_owned()]))
    );
}
