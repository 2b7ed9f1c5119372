//! Keys whose place the issuer's metadata says.

use super::published::{Published, renew};
use super::signing::{Signer, jwks};
use super::{NOW_S, at, config};
use crate::oauth::fetch::{FRESH_S, KEPT_S, PACE_S};
use crate::oauth::keys::LIMIT_BYTES;
use crate::oauth::{Issuer, JwksSource};

const OK: &str = "HTTP/1.1 200 OK\r\n";
const OAUTH: &str = "/.well-known/oauth-authorization-server/a";
const OPENID: &str = "/a/.well-known/openid-configuration";
const OPENID_INSERTED: &str = "/.well-known/openid-configuration/a";

struct Desk {
    published: Published,
    signer: Signer,
    issuer: Issuer,
}

impl Desk {
    async fn new() -> Self {
        let published = Published::start().await;
        let signer = Signer::new("a");
        published.publishes(&[&signer]);
        let mut config = config(JwksSource::Discovery { ca_pem: None });
        config.issuer = format!("{}/a", published.base);
        let issuer = Issuer::new(config, None).unwrap();
        Self {
            published,
            signer,
            issuer,
        }
    }

    /// Metadata of this issuer.
    fn metadata(&self) -> String {
        let (issuer, url) = (&self.issuer.config().issuer, self.published.url());
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"{url}"}}"#)
    }
}

#[tokio::test]
async fn keys_are_found_by_either_standard() {
    for (at_path, asked) in [
        (OAUTH, &[OAUTH, "/jwks.json"][..]),
        (OPENID, &[OAUTH, OPENID, "/jwks.json"]),
        (OPENID_INSERTED, &[OAUTH, OPENID, OPENID_INSERTED, "/jwks.json"]),
    ] {
        let desk = Desk::new().await;
        desk.published.answers_at(at_path, OK, &desk.metadata());
        assert_eq!(renew(&desk.issuer, NOW_S).await, Ok(Some(1)));
        assert_eq!(desk.published.paths(), asked);
        assert!(desk.issuer.has_keys(at(NOW_S)));
    }
}

#[tokio::test]
async fn the_place_of_the_keys_is_looked_up_each_time() {
    let desk = Desk::new().await;
    desk.published.answers_at(OAUTH, OK, &desk.metadata());
    assert_eq!(renew(&desk.issuer, NOW_S).await, Ok(Some(1)));
    let (first, second) = (&desk.signer, Signer::new("b"));
    desk.published
        .answers_at("/new.json", OK, &jwks(&[first, &second]));
    let moved = desk.metadata().replace("/jwks.json", "/new.json");
    desk.published.answers_at(OAUTH, OK, &moved);
    assert_eq!(renew(&desk.issuer, NOW_S + FRESH_S).await, Ok(Some(2)));
}

#[tokio::test]
async fn metadata_that_cannot_be_believed_leaves_the_keys_until_they_are_too_old() {
    let desk = Desk::new().await;
    desk.published.answers_at(OAUTH, OK, &desk.metadata());
    assert_eq!(renew(&desk.issuer, NOW_S).await, Ok(Some(1)));
    let metadata = desk.metadata();
    let mut second = NOW_S + FRESH_S;
    let elsewhere = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}{OPENID}x\r\n",
        desk.published.base
    );
    desk.published.answers_at(&format!("{OPENID}x"), OK, &metadata);
    for (head, body, reason) in [
        ("HTTP/1.1 500 No\r\n", metadata.as_str(), "status 500"),
        (&elsewhere, &metadata, "status 302"),
        (OK, "<html>", "no JSON"),
        (OK, &metadata.replace("/a\"", "/b\""), "`issuer`"),
        (OK, &metadata.replace("/a\"", "/a/\""), "`issuer`"),
        (OK, &metadata.replace("jwks_uri", "jwks"), "`jwks_uri`"),
        (
            OK,
            &metadata
                .replace("127.0.0.1", "192.0.2.1")
                .replacen("192.0.2.1", "127.0.0.1", 1),
            "`jwks_uri`",
        ),
        (OK, &metadata.replace("/jwks.json", "/none.json"), "status 404"),
        (
            OK,
            &format!("{}{metadata}", " ".repeat(LIMIT_BYTES)),
            "cannot be read",
        ),
    ] {
        desk.published.answers_at(OAUTH, head, body);
        let error = renew(&desk.issuer, second).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{body}: {error}");
        assert!(
            desk.issuer.due(at(second + PACE_S - 1)).is_none(),
            "what failed waits"
        );
        assert!(desk.issuer.has_keys(at(NOW_S + KEPT_S - 1)), "{body}");
        second += PACE_S;
    }
    assert!(!desk.issuer.has_keys(at(NOW_S + KEPT_S)));
}

#[tokio::test]
async fn keys_that_were_discovered_are_kept_for_the_same_issuer_alone() {
    let desk = Desk::new().await;
    desk.published.answers_at(OAUTH, OK, &desk.metadata());
    renew(&desk.issuer, NOW_S).await.unwrap();
    let mut changed = desk.issuer.config().clone();
    changed.labels.clear();
    assert!(
        Issuer::new(changed.clone(), Some(&desk.issuer))
            .unwrap()
            .has_keys(at(NOW_S))
    );
    changed.issuer.push('b');
    assert!(
        !Issuer::new(changed, Some(&desk.issuer))
            .unwrap()
            .has_keys(at(NOW_S))
    );
}
