//! Invalid tokens, and the callers of valid ones.

use std::sync::Arc;

use proptest::prelude::*;

use super::signing::{Signer, claims, encoded, jwks};
use super::{AUDIENCE, ISSUER, NOW_S, at, claim, config};
use crate::oauth::{Issued, Issuer, JwksSource, OauthConfig, TokenError};

struct Desk {
    signer: Signer,
    issuer: Issuer,
}

impl Desk {
    fn new(change: impl FnOnce(&mut OauthConfig)) -> Self {
        let signer = Signer::new("a");
        let mut config = config(JwksSource::Document(jwks(&[&signer]).into_bytes()));
        change(&mut config);
        Self {
            issuer: Issuer::new(config, None).unwrap(),
            signer,
        }
    }

    fn verify(&self, token: &str) -> Result<Issued, TokenError> {
        let issued = self.issuer.verify(token, AUDIENCE, at(NOW_S));
        issued.map(Arc::unwrap_or_clone)
    }

    fn with_header(&self, header: &str) -> Result<Issued, TokenError> {
        self.verify(&self.signer.token(header, &claims(r#""sub":"alice""#)))
    }

    fn with_claims(&self, claims: &str) -> Result<Issued, TokenError> {
        self.verify(&self.signer.token(&self.signer.header(), claims))
    }
}

#[test]
fn a_good_token_makes_a_caller_out() {
    let desk = Desk::new(|_| {});
    let issued = desk
        .with_claims(&claims(
            r#""sub":"alice","https://example.com/team":"ops","realm":{"tenant":7},"roles":["x"]"#,
        ))
        .unwrap();
    let labels = [("team", "ops"), ("tenant", "7")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let expected = Issued {
        grant: "alice".to_owned(),
        labels: labels.to_vec(),
        expires_at_us: (NOW_S + 90) * 1_000_000,
    };
    assert_eq!(issued, expected);
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","typ":"JWT"}"#,
        r#"{"alg":"ES256","typ":"application/AT+JWT","kid":"a"}"#,
        // Whatever it says of keys, the issuer's are looked at alone.
        r#"{"alg":"ES256","jku":"https://evil.example/","jwk":{"kty":"EC"},"x5u":"https://evil.example/"}"#,
    ] {
        assert_eq!(desk.with_header(header).unwrap().grant, "alice", "{header}");
    }
}

#[test]
fn headers_that_are_not_believed() {
    let desk = Desk::new(|_| {});
    for (header, refused) in [
        (r#"{"alg":"none"}"#, TokenError::Algorithm),
        (r#"{"alg":"HS256","kid":"a"}"#, TokenError::Algorithm),
        (r#"{"alg":"ES384","kid":"a"}"#, TokenError::Algorithm),
        (r#"{"alg":"es256","kid":"a"}"#, TokenError::Algorithm),
        (r#"{"alg":["ES256"]}"#, TokenError::Algorithm),
        (r#"{"alg":null}"#, TokenError::Algorithm),
        (r#"{"kid":"a"}"#, TokenError::Algorithm),
        // A key of another kind.
        (r#"{"alg":"EdDSA","kid":"a"}"#, TokenError::UnknownKey),
        (r#"{"alg":"ES256","kid":"b"}"#, TokenError::UnknownKey),
        (r#"{"alg":"ES256","kid":""}"#, TokenError::UnknownKey),
        (r#"{"alg":"ES256","crit":[]}"#, TokenError::Critical),
        (
            r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#,
            TokenError::Critical,
        ),
        (r#"{"alg":"ES256","crit":null}"#, TokenError::Critical),
        (r#"{"alg":"ES256","typ":"logout+jwt"}"#, TokenError::Type),
        (r#"{"alg":"ES256","typ":"JOSE"}"#, TokenError::Type),
        (r#"{"alg":"ES256","typ":7}"#, TokenError::Type),
    ] {
        assert_eq!(desk.with_header(header), Err(refused), "{header}");
    }
    for header in [
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":"ES256","\u0061lg":"none"}"#,
        r#"["ES256"]"#,
        "ES256",
        "",
        r#"{"alg":"ES256"} {}"#,
        "\u{feff}{\"alg\":\"ES256\"}",
        r#"{"alg":"ES256","x":[[[[[[[[[]]]]]]]]]}"#,
    ] {
        let found = desk.with_header(header);
        assert!(
            matches!(found, Err(TokenError::Malformed(_))),
            "{header}: {found:?}"
        );
    }
}

#[test]
fn claims_that_are_not_believed() {
    let desk = Desk::new(|_| {});
    let rest = format!(r#""aud":"{AUDIENCE}","sub":"alice""#);
    let with = |claims: &str| format!(r#"{{"iss":"{ISSUER}",{claims}}}"#);
    let (past, soon) = (NOW_S - 30, NOW_S + 60);
    for (claims, refused) in [
        (format!(r#"{{{rest},"exp":{soon}}}"#), TokenError::Issuer),
        (
            format!(r#"{{"iss":"{ISSUER}/",{rest},"exp":{soon}}}"#),
            TokenError::Issuer,
        ),
        (
            format!(r#"{{"iss":["{ISSUER}"],{rest},"exp":{soon}}}"#),
            TokenError::Issuer,
        ),
        (
            with(&format!(r#""sub":"alice","exp":{soon}"#)),
            TokenError::Audience,
        ),
        (
            with(&format!(r#""aud":"","sub":"alice","exp":{soon}"#)),
            TokenError::Audience,
        ),
        (
            with(&format!(r#""aud":"{AUDIENCE}/","sub":"alice","exp":{soon}"#)),
            TokenError::Audience,
        ),
        (
            with(&format!(r#""aud":[],"sub":"alice","exp":{soon}"#)),
            TokenError::Audience,
        ),
        (
            with(&format!(r#""aud":["{AUDIENCE}",7],"sub":"alice","exp":{soon}"#)),
            TokenError::Audience,
        ),
        (
            with(&format!(r#""aud":{{"{AUDIENCE}":1}},"sub":"alice","exp":{soon}"#)),
            TokenError::Audience,
        ),
        (with(&rest), TokenError::Expired),
        (
            with(&format!(r#"{rest},"exp":null"#)),
            TokenError::Malformed("a time in it is no number of seconds since 1970"),
        ),
        (with(&format!(r#"{rest},"exp":{past}"#)), TokenError::Expired),
        (with(&format!(r#"{rest},"exp":0"#)), TokenError::Expired),
        (
            with(&format!(r#"{rest},"exp":{soon},"nbf":{}"#, NOW_S + 31)),
            TokenError::NotYet,
        ),
        (
            with(&format!(r#""aud":"{AUDIENCE}","exp":{soon}"#)),
            TokenError::Grant,
        ),
        (
            with(&format!(r#""aud":"{AUDIENCE}","exp":{soon},"sub":"""#)),
            TokenError::Grant,
        ),
        (
            with(&format!(r#""aud":"{AUDIENCE}","exp":{soon},"sub":7"#)),
            TokenError::Grant,
        ),
        (
            with(&format!(r#""aud":"{AUDIENCE}","exp":{soon},"sub":"a\u0000b""#)),
            TokenError::Grant,
        ),
        (
            with(&format!(
                r#""aud":"{AUDIENCE}","exp":{soon},"sub":"{}""#,
                "x".repeat(256)
            )),
            TokenError::Grant,
        ),
        (
            with(&format!(r#"{rest},"exp":{soon},"realm":{{"tenant":[]}}"#)),
            TokenError::Label,
        ),
        (
            with(&format!(r#"{rest},"exp":{soon},"realm":"x""#)),
            TokenError::Label,
        ),
    ] {
        assert_eq!(desk.with_claims(&claims), Err(refused), "{claims}");
    }
}

#[test]
fn claims_that_cannot_be_read() {
    let desk = Desk::new(|_| {});
    let rest = format!(r#""aud":"{AUDIENCE}","sub":"alice""#);
    let with = |claims: &str| format!(r#"{{"iss":"{ISSUER}",{claims}}}"#);
    let soon = NOW_S + 60;
    for claims in [
        with(&format!(r#"{rest},"exp":"{soon}""#)),
        with(&format!(r#"{rest},"exp":-1"#)),
        with(&format!(r#"{rest},"exp":1e300"#)),
        with(&format!(r#"{rest},"exp":{soon},"nbf":"now""#)),
        with(&format!(r#"{rest},"exp":{soon},"sub":"bob""#)),
        with(&format!(r#"{rest},"exp":{soon},"\u0069ss":"{ISSUER}""#)),
        with(&format!(r#"{rest},"exp":{soon},"x":{{"a":1,"a":2}}"#)),
        format!("[{}]", with(&format!(r#"{rest},"exp":{soon}"#))),
        format!("{}x", with(&format!(r#"{rest},"exp":{soon}"#))),
        format!(r#"{{"x":{}{}}}"#, "[".repeat(40), "]".repeat(40)),
        "\u{0}".to_owned(),
    ] {
        let found = desk.with_claims(&claims);
        assert!(
            matches!(found, Err(TokenError::Malformed(_))),
            "{claims}: {found:?}"
        );
    }
}

#[test]
fn clocks_may_differ_by_the_skew_and_no_more() {
    let desk = Desk::new(|_| {});
    let with = |times: &str| desk.with_claims(&format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}",{times}}}"#));
    for (times, is_good) in [
        (format!(r#""sub":"a","exp":{}"#, NOW_S - 29), true),
        (format!(r#""sub":"a","exp":{}.000001"#, NOW_S - 30), true),
        (format!(r#""sub":"a","exp":{}"#, NOW_S - 30), false),
        (
            format!(r#""sub":"a","exp":{},"nbf":{}"#, NOW_S + 60, NOW_S + 30),
            true,
        ),
        (
            format!(r#""sub":"a","exp":{},"nbf":{}.5"#, NOW_S + 60, NOW_S + 30),
            false,
        ),
    ] {
        assert_eq!(with(&times).is_ok(), is_good, "{times}");
    }
}

#[test]
fn signatures_and_shapes_that_are_not_believed() {
    let desk = Desk::new(|_| {});
    let good = desk.signer.good("alice");
    assert!(desk.verify(&good).is_ok());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let other = Signer::new("a");
    let forged = other.good("alice");
    let swapped = encoded(claims(r#""sub":"bob""#).as_bytes());
    for token in [
        forged.clone(),
        format!("{signed}.{}", forged.rsplit_once('.').unwrap().1),
        format!("{header}.{swapped}.{signature}"),
        format!("{signed}.{}", encoded(&[0; 64])),
        format!("{signed}.{}", encoded(b"x")),
    ] {
        assert_eq!(desk.verify(&token), Err(TokenError::Signature), "{token}");
    }
    // Who names no key may mean one that is not here yet.
    let unnamed = other.token(r#"{"alg":"ES256"}"#, &claims(r#""sub":"alice""#));
    assert_eq!(desk.verify(&unnamed), Err(TokenError::UnknownKey));
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        signed.to_owned(),
        format!("{signed}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}.{signature}"),
        // Encrypted: five parts.
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        format!("{good}="),
        format!("{signed}.{signature}\u{0}"),
        format!(" {good}"),
        good.replace('.', ". "),
        format!("{header}.{payload}.{}+/", signature.get(2..).unwrap()),
        format!("{}.{}", signed, "A".repeat(16 * 1024)),
    ] {
        let found = desk.verify(&token);
        assert!(
            matches!(found, Err(TokenError::Malformed(_))),
            "{token}: {found:?}"
        );
    }
}

/// A base64 text has one spelling: else one token could be written as two.
#[test]
fn bits_behind_the_last_byte_are_none() {
    let desk = Desk::new(|_| {});
    let good = desk.signer.good("alice");
    // 64 bytes end in two characters of which the last holds four bits of nothing.
    let last = good.chars().last().unwrap();
    assert!("AQgw".contains(last), "{last}");
    let next = char::from(u8::try_from(last).unwrap() + 1);
    let respelt = format!("{}{next}", &good[..good.len() - 1]);
    assert!(matches!(desk.verify(&respelt), Err(TokenError::Malformed(_))));
}

#[test]
fn scopes_are_all_needed() {
    let desk = Desk::new(|config| config.scopes = vec!["read".to_owned(), "write".to_owned()]);
    for scope in [r#""read write""#, r#""write openid read""#, r#"["read","write"]"#] {
        let claims = claims(&format!(r#""sub":"a","scope":{scope}"#));
        assert!(desk.with_claims(&claims).is_ok(), "{scope}");
    }
    let lacking = Err(TokenError::Scope(vec!["read".to_owned(), "write".to_owned()]));
    for scope in [
        "null",
        r#""""#,
        r#""read""#,
        r#""read  Write""#,
        r#""read,write""#,
        r#"["read write"]"#,
        "7",
    ] {
        let claims = claims(&format!(r#""sub":"a","scope":{scope}"#));
        assert_eq!(desk.with_claims(&claims), lacking, "{scope}");
    }
    // Whoever is somebody's is told of scopes, and nobody else.
    assert_eq!(desk.with_claims(&claims(r#""x":1"#)), Err(TokenError::Grant));
}

#[test]
fn an_audience_of_its_own_is_good_at_every_server() {
    let desk = Desk::new(|config| config.audience = Some("callgate".to_owned()));
    let of = |audience: &str| {
        desk.with_claims(&claims(r#""sub":"a""#).replace(&format!("\"{AUDIENCE}\""), audience))
            .is_ok()
    };
    assert!(of(r#""callgate""#) && of(r#"["x","callgate"]"#));
    assert!(!of(&format!("\"{AUDIENCE}\"")));
}

#[test]
fn configurations_that_believe_everybody_or_nobody_are_refused() {
    let jwks = || JwksSource::Document(jwks(&[&Signer::new("a")]).into_bytes());
    let part = |change: fn(&mut OauthConfig)| {
        let mut config = config(jwks());
        change(&mut config);
        Issuer::new(config, None).map_or_else(|error| error.part, |_| "")
    };
    assert_eq!(part(|_| {}), "");
    for (change, expected) in [
        ((|config| config.issuer.clear()) as fn(&mut OauthConfig), "issuer"),
        (|config| config.audience = Some(String::new()), "audience"),
        (|config| config.algorithms.clear(), "algorithms"),
        (|config| config.grant = claim(&[]), "grant"),
        (|config| config.labels.push(("x".to_owned(), claim(&[]))), "grant"),
        (|config| config.labels.push(config.labels[0].clone()), "labels"),
        (|config| config.scopes.push(String::new()), "scopes"),
        (|config| config.prefix.push_str("corp"), "prefix"),
        (|config| config.prefix = format!("{}:", "x".repeat(64)), "prefix"),
        (|config| config.prefix.push_str("a\0:"), "prefix"),
        (
            |config| config.jwks = JwksSource::Document(b"{}".to_vec()),
            "jwks.file",
        ),
        (
            |config| {
                config.jwks = JwksSource::Discovery { ca_pem: None };
                config.issuer = "http://login.example.com".to_owned();
            },
            "issuer",
        ),
        (
            |config| {
                config.jwks = JwksSource::Discovery {
                    ca_pem: Some(Vec::new()),
                };
                config.issuer = "http://localhost:1".to_owned();
            },
            "jwks.ca",
        ),
        (
            |config| {
                config.jwks = JwksSource::Url {
                    url: "http://login.example.com/".to_owned(),
                    ca_pem: None,
                };
            },
            "jwks.url",
        ),
        (
            |config| {
                config.jwks = JwksSource::Url {
                    url: "http://127.0.0.1/".to_owned(),
                    ca_pem: Some(Vec::new()),
                };
            },
            "jwks.ca",
        ),
    ] {
        assert_eq!(part(change), expected);
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_token(token in "[ -~]{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 1..5)) {
        let desk = Desk::new(|_| {});
        prop_assert!(desk.verify(&token).is_err());
        prop_assert!(desk.verify(&parts.join(".")).is_err());
    }

    /// One character of a good token changed is another token.
    #[test]
    fn no_change_of_a_token_is_good(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=+/-]") {
        let desk = Desk::new(|_| {});
        let good = desk.signer.good("alice");
        let at = at.index(good.len());
        let changed = format!("{}{to}{}", &good[..at], &good[at + 1..]);
        prop_assert!(changed == good || desk.verify(&changed).is_err(), "{changed}");
    }

    /// Claims with a valid signature are read without a panic, and never name a caller by accident.
    #[test]
    fn any_claims_are_read(claims in "[ -~]{0,120}", header in "[ -~]{0,60}") {
        let desk = Desk::new(|_| {});
        prop_assert!(desk.with_claims(&claims).is_err());
        prop_assert!(desk.with_header(&header).is_err());
    }
}
