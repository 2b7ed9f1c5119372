//! Keys that are fetched: when, how often, and what becomes of those before.

use std::sync::Arc;

use super::published::{Published, renew};
use super::signing::{Signer, claims, jwks};
use super::{AUDIENCE, NOW_S, at, config};
use crate::oauth::algorithm::VERIFIED;
use crate::oauth::fetch::{FRESH_S, KEPT_S, PACE_S};
use crate::oauth::keys::LIMIT_BYTES;
use crate::oauth::{Issuer, TokenError};

#[tokio::test]
async fn keys_are_fetched_from_time_to_time_and_kept_for_a_while() {
    let published = Published::start().await;
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    published.publishes(&[&first]);
    let issuer = published.issuer();
    let good = first.good("alice");
    let verify = |second| {
        issuer
            .verify(&good, AUDIENCE, at(second))
            .map(|issued| issued.grant.clone())
    };
    assert_eq!(verify(NOW_S), Err(TokenError::NoKeys));
    assert!(!issuer.has_keys(at(NOW_S)));
    assert_eq!(renew(&issuer, NOW_S).await, Ok(Some(1)));
    assert_eq!(verify(NOW_S), Ok("alice".to_owned()));
    assert!(issuer.due(at(NOW_S + FRESH_S - 1)).is_none());
    assert_eq!(renew(&issuer, NOW_S + FRESH_S).await, Ok(None), "the same keys");
    // A key that was withdrawn.
    published.publishes(&[&second]);
    assert_eq!(renew(&issuer, NOW_S + 2 * FRESH_S).await, Ok(Some(1)));
    assert_eq!(verify(NOW_S), Err(TokenError::UnknownKey));
    assert_eq!(published.asked(), 3);
}

#[tokio::test]
async fn what_cannot_be_read_leaves_the_keys_until_they_are_too_old() {
    let published = Published::start().await;
    let signer = Signer::new("a");
    published.publishes(&[&signer]);
    let issuer = published.issuer();
    assert_eq!(renew(&issuer, NOW_S).await, Ok(Some(1)));
    let body = jwks(&[&signer]);
    let mut second = NOW_S;
    for (head, body, reason) in [
        ("HTTP/1.1 500 No\r\n", body.as_str(), "status 500"),
        (
            "HTTP/1.1 302 Found\r\nlocation: /other\r\n",
            body.as_str(),
            "status 302",
        ),
        ("HTTP/1.1 200 OK\r\n", "<html>", "no JSON"),
        ("HTTP/1.1 200 OK\r\n", r#"{"keys":null}"#, "no JWK Set"),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n",
            "\u{1f}\u{8b}",
            "no JSON",
        ),
        (
            "HTTP/1.1 200 OK\r\n",
            &" ".repeat(LIMIT_BYTES + 1),
            "cannot be read",
        ),
        ("nothing that is HTTP\r\n", "", ""),
    ] {
        second = if second == NOW_S {
            NOW_S + FRESH_S
        } else {
            second + PACE_S
        };
        published.answers(head, body);
        let error = renew(&issuer, second).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{head}: {error}");
        assert!(issuer.due(at(second + PACE_S - 1)).is_none(), "what failed waits");
        assert!(issuer.verify(&signer.good("a"), AUDIENCE, at(NOW_S)).is_ok());
    }
    assert!(issuer.has_keys(at(NOW_S + KEPT_S - 1)));
    assert!(!issuer.has_keys(at(NOW_S + KEPT_S)));
    published.publishes(&[&signer]);
    assert_eq!(renew(&issuer, NOW_S + KEPT_S).await, Ok(None));
    assert!(issuer.has_keys(at(NOW_S + KEPT_S)));
}

#[tokio::test]
async fn who_publishes_no_key_withdraws_the_last_one() {
    let published = Published::start().await;
    let signer = Signer::new("a");
    let good = signer.good("alice");
    let elliptic_384 = signer.jwk("").replace("P-256", "P-384");
    for document in [
        r#"{"keys":[]}"#.to_owned(),
        r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#.to_owned(),
        // Of an algorithm that is not configured.
        format!(r#"{{"keys":[{}]}}"#, signer.jwk(r#","alg":"RS256""#)),
        format!(r#"{{"keys":[{elliptic_384}]}}"#),
    ] {
        let issuer = published.issuer();
        published.publishes(&[&signer]);
        assert_eq!(renew(&issuer, NOW_S).await, Ok(Some(1)));
        assert!(issuer.verify(&good, AUDIENCE, at(NOW_S)).is_ok());
        published.answers("HTTP/1.1 200 OK\r\n", &document);
        let later = NOW_S + FRESH_S;
        assert_eq!(renew(&issuer, later).await, Ok(Some(0)), "{document}");
        assert_eq!(
            issuer.verify(&good, AUDIENCE, at(NOW_S)),
            Err(TokenError::UnknownKey),
            "{document}"
        );
        assert!(
            !issuer.has_keys(at(later)),
            "none that a token could be signed by"
        );
        assert!(issuer.due(at(later + PACE_S)).is_none(), "it was an answer");
        // Who publishes one again is not waited for.
        published.publishes(&[&signer]);
        let refresh = issuer.missing(&good, AUDIENCE, at(NOW_S)).expect("it is missing");
        assert_eq!(refresh.expect("nobody has asked yet").run().await, Ok(Some(1)));
        assert!(issuer.verify(&good, AUDIENCE, at(NOW_S)).is_ok());
    }
    // The first answer of all.
    let issuer = published.issuer();
    published.answers("HTTP/1.1 200 OK\r\n", r#"{"keys":[]}"#);
    assert_eq!(renew(&issuer, NOW_S).await, Ok(Some(0)));
    assert_eq!(renew(&issuer, NOW_S + FRESH_S).await, Ok(None));
    assert_eq!(
        issuer.verify(&good, AUDIENCE, at(NOW_S)),
        Err(TokenError::UnknownKey)
    );
}

#[tokio::test]
async fn a_missing_key_is_asked_for_at_a_bounded_pace() {
    let published = Published::start().await;
    let (first, second, third) = (Signer::new("a"), Signer::new("b"), Signer::new("c"));
    published.publishes(&[&first]);
    let issuer = published.issuer();
    let missing = |signer: &Signer, second| issuer.missing(&signer.good("alice"), AUDIENCE, at(second));
    // The first of all, before the keys were fetched in the background.
    let refresh = missing(&first, NOW_S).unwrap().expect("nobody has asked yet");
    assert!(issuer.due(at(NOW_S)).is_none(), "one at a time");
    assert!(missing(&first, NOW_S).unwrap().is_none(), "one at a time");
    refresh.run().await.unwrap();
    assert!(missing(&first, NOW_S).is_none(), "the key is here");
    published.publishes(&[&first, &second]);
    let early = NOW_S + PACE_S - 1;
    assert!(missing(&second, early).unwrap().is_none());
    let late = NOW_S + PACE_S;
    let refresh = missing(&second, late).unwrap().expect("it is time");
    assert_eq!(refresh.run().await, Ok(Some(2)));
    assert!(missing(&second, late).is_none());
    for number in 0..100 {
        assert!(
            missing(&third, late + number % PACE_S).unwrap().is_none(),
            "strangers do not set the pace"
        );
    }
    assert_eq!(published.asked(), 2);
}

#[tokio::test]
async fn only_a_token_that_could_be_good_asks_for_its_key() {
    let published = Published::start().await;
    let (first, other) = (Signer::new("a"), Signer::new("b"));
    published.publishes(&[&first]);
    let issuer = published.issuer();
    renew(&issuer, NOW_S).await.unwrap();
    let expired = other.token(&other.header(), r#"{"iss":"https://login.example.com","exp":1}"#);
    for token in ["", "a.b.c", &expired, &first.good("alice")] {
        assert!(issuer.missing(token, AUDIENCE, at(NOW_S)).is_none(), "{token}");
    }
    let good = other.good("alice");
    assert!(
        issuer
            .missing(&good, "https://elsewhere.example/", at(NOW_S))
            .is_none()
    );
    assert!(issuer.missing(&good, AUDIENCE, at(NOW_S)).is_some());
}

#[tokio::test]
async fn a_key_is_looked_for_without_its_signature_where_the_token_names_it() {
    let published = Published::start().await;
    let (signer, other) = (Signer::new("a"), Signer::new("b"));
    published.publishes(&[&signer]);
    let issuer = published.issuer();
    renew(&issuer, NOW_S).await.unwrap();
    let nameless = |signer: &Signer| signer.token(r#"{"alg":"ES256"}"#, &claims(r#""sub":"alice""#));
    let expired = signer.token(
        r#"{"alg":"ES256"}"#,
        r#"{"iss":"https://login.example.com","exp":1}"#,
    );
    // The same name, another key: a wrong signature, which no key that comes puts right.
    let forged = other.token(&signer.header(), &claims(r#""sub":"alice""#));
    for (token, is_missing, verified) in [
        (signer.good("alice"), false, 0),
        (other.good("alice"), true, 0),
        (forged, false, 0),
        (nameless(&signer), false, 1),
        (nameless(&other), true, 1),
        (expired, false, 0),
    ] {
        VERIFIED.set(0);
        let missing = issuer.missing(&token, AUDIENCE, at(NOW_S));
        assert_eq!(
            (missing.is_some(), VERIFIED.get()),
            (is_missing, verified),
            "{token}"
        );
    }
    VERIFIED.set(0);
    assert!(issuer.verify(&signer.good("alice"), AUDIENCE, at(NOW_S)).is_ok());
    assert_eq!(VERIFIED.get(), 1);
}

#[tokio::test]
async fn who_waits_is_told_when_an_attempt_ends_however_it_does() {
    let published = Published::start().await;
    let issuer = Arc::new(published.issuer());
    issuer.settled().await;
    let refresh = issuer.due(at(NOW_S)).unwrap();
    let waiting = tokio::spawn({
        let issuer = Arc::clone(&issuer);
        async move { issuer.settled().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(refresh);
    waiting.await.unwrap();
}

/// A change of labels while the issuer is unreachable must not lock out all callers.
#[tokio::test]
async fn keys_outlive_a_change_of_everything_but_their_place() {
    let published = Published::start().await;
    let signer = Signer::new("a");
    published.publishes(&[&signer]);
    let before = published.issuer();
    renew(&before, NOW_S).await.unwrap();
    let mut changed = config(published.source());
    changed.labels.clear();
    let after = Issuer::new(changed.clone(), Some(&before)).unwrap();
    assert!(after.has_keys(at(NOW_S)));
    assert!(after.due(at(NOW_S)).is_none());
    assert_eq!(
        after
            .verify(&signer.good("a"), AUDIENCE, at(NOW_S))
            .unwrap()
            .labels,
        []
    );
    changed.algorithms.pop();
    assert!(!Issuer::new(changed, Some(&before)).unwrap().has_keys(at(NOW_S)));
}
