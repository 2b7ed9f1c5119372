//! Every algorithm, by tokens that another implementation has signed (`tests/cases/oauth`).

use serde_json::Value;

use super::{AUDIENCE, NOW_S, at, config};
use crate::oauth::{Algorithm, Issuer, JwksSource, TokenError};

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/cases/oauth/signatures.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn issuer(keys: &Value, algorithms: &[Algorithm]) -> Issuer {
    let mut config = config(JwksSource::Document(keys.to_string().into_bytes()));
    config.algorithms = algorithms.to_vec();
    Issuer::new(config, None).unwrap()
}

#[test]
fn tokens_of_every_algorithm_are_believed_by_that_alone() {
    let vectors = vectors();
    let all = issuer(&vectors["jwks"], &Algorithm::ALL);
    for algorithm in Algorithm::ALL {
        let token = vectors["tokens"][algorithm.as_str()].as_str().unwrap();
        let issued = all.verify(token, AUDIENCE, at(NOW_S)).unwrap();
        assert_eq!(issued.grant, "alice", "{algorithm}");
        let pinned = issuer(&vectors["jwks"], &[algorithm]);
        assert!(pinned.verify(token, AUDIENCE, at(NOW_S)).is_ok(), "{algorithm}");
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let pinned = issuer(&vectors["jwks"], &[other]);
            let refused = pinned.verify(token, AUDIENCE, at(NOW_S));
            assert_eq!(refused, Err(TokenError::Algorithm), "{algorithm} under {other}");
        }
    }
}

#[test]
fn a_signature_with_any_bit_turned_is_wrong() {
    use super::signing::encoded;
    use crate::oauth::keys::decoded;

    let vectors = vectors();
    let all = issuer(&vectors["jwks"], &Algorithm::ALL);
    for algorithm in Algorithm::ALL {
        let token = vectors["tokens"][algorithm.as_str()].as_str().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = decoded(signature).unwrap();
        for at_byte in [0, signature.len() / 2, signature.len() - 1] {
            let mut turned = signature.clone();
            turned[at_byte] ^= 1;
            let refused = all.verify(&format!("{signed}.{}", encoded(&turned)), AUDIENCE, at(NOW_S));
            assert_eq!(refused, Err(TokenError::Signature), "{algorithm} {at_byte}");
        }
        let short = encoded(signature.get(1..).unwrap());
        let refused = all.verify(&format!("{signed}.{short}"), AUDIENCE, at(NOW_S));
        assert_eq!(refused, Err(TokenError::Signature), "{algorithm}");
    }
}

/// A key that says what it is for is used for nothing else, though it could be.
#[test]
fn a_key_is_for_the_algorithm_that_it_names() {
    let mut vectors = vectors();
    vectors["jwks"]["keys"][0]["alg"] = "PS256".into();
    let all = issuer(&vectors["jwks"], &Algorithm::ALL);
    let verify = |algorithm: &str| {
        let token = vectors["tokens"][algorithm].as_str().unwrap();
        all.verify(token, AUDIENCE, at(NOW_S)).map(|_| ())
    };
    assert_eq!(verify("PS256"), Ok(()));
    for algorithm in ["RS256", "RS512", "PS384"] {
        assert_eq!(verify(algorithm), Err(TokenError::UnknownKey), "{algorithm}");
    }
}
