//! `make bench-tokens`: the caller of a token, by its signature the first time and from memory the next times.
//!
//! The tokens are those of `tests/cases/oauth`, which another implementation has signed.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up stops")]
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::hint::black_box;
use std::time::Instant;

use callgate_core::Now;
use callgate_gateway::oauth::{Algorithm, ClaimPath, Issuer, JwksSource, OauthConfig};
use serde_json::Value;

const AUDIENCE: &str = "https://callgate.example.com/mcp/files";
const SUBJECTS: [Algorithm; 5] = [
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];
const FIRSTS: usize = 1_000;
const AGAINS: usize = 100_000;

fn issuer(jwks: &Value) -> Issuer {
    let config = OauthConfig {
        issuer: "https://login.example.com".to_owned(),
        prefix: String::new(),
        jwks: JwksSource::Document(jwks.to_string().into_bytes()),
        audience: None,
        algorithms: Algorithm::ALL.to_vec(),
        grant: ClaimPath::new(vec!["sub".to_owned()]),
        labels: Vec::new(),
        clock_skew_ms: 0,
        scopes: Vec::new(),
    };
    Issuer::new(config, None).expect("the keys are good")
}

/// The median of what one call takes, in nanoseconds.
fn median(mut times: Vec<u128>) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/cases/oauth/signatures.json"
    );
    let vectors = std::fs::read(path).expect("the vectors are there");
    let vectors: Value = serde_json::from_slice(&vectors).expect("they are JSON");
    let jwks = vectors.get("jwks").expect("they have keys");
    let now = Now::from_unix_us(1_800_000_000_000_000);
    println!("{:<8} {:>6} {:>12} {:>12}", "", "bytes", "first ns", "again ns");
    for algorithm in SUBJECTS {
        let token = vectors
            .get("tokens")
            .and_then(|tokens| tokens.get(algorithm.as_str()))
            .and_then(Value::as_str)
            .expect("there is a token of each");
        let timed = |issuer: &Issuer| {
            let start = Instant::now();
            let issued = black_box(issuer.verify(black_box(token), AUDIENCE, now));
            let took = start.elapsed().as_nanos();
            assert_eq!(issued.expect("it is good").grant, "alice");
            took
        };
        // To each of them it is new.
        let firsts = (0..FIRSTS).map(|_| timed(&issuer(jwks))).collect();
        let known = issuer(jwks);
        timed(&known);
        let agains = (0..AGAINS).map(|_| timed(&known)).collect();
        println!(
            "{:<8} {:>6} {:>12} {:>12}",
            algorithm.as_str(),
            token.len(),
            median(firsts),
            median(agains)
        );
    }
}
