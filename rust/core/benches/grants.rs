//! `make bench-state`: look-up of one grant of a million by its token, compared with the plain look-up of a digest in
//! the same map.
//!
//! The difference is the cost of hashing the token. Tokens come in a random order, different ones for each subject, in
//! alternating rounds, so that neither subject finds entries in the cache that the other has just used.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up stops")]
#![expect(clippy::panic, reason = "likewise")]
#![expect(clippy::cast_precision_loss, reason = "counts of nanoseconds")]

#[path = "../../counters/benches/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use callgate_core::grant::{GrantSpec, Grants, KnownToken, Token, TokenDigest, TokenKey};
use common::Options;
use hdrhistogram::Histogram;

const GRANTS: u32 = 1_000_000;
const ROUNDS: usize = 20;
const LOOKUPS_PER_ROUND: usize = 50_000;

struct Query {
    token: String,
    digest: TokenDigest,
    index: u32,
}

/// A token of the form and length of real ones.
fn token(number: u32) -> String {
    let spread = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    format!("cgt_{spread:039}{number:04x}")[..47].to_owned()
}

fn build(key: &TokenKey, count: u32) -> Grants {
    let mut grants = Grants::new(Some(key.clone()));
    for number in 0..count {
        let spec = GrantSpec {
            id: format!("grant-{number}"),
            tokens: vec![key.digest(Token::new(&token(number))).into()],
            server: String::new(),
            policy: None,
            servers: Vec::new(),
            labels: Vec::new(),
            expires_at_us: None,
            revoked: false,
        };
        grants.add(&spec).expect("ids and tokens differ");
    }
    grants
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000, 3).expect("the bounds are valid")
}

fn nanoseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds of a pair of clock readings, the median of many.
fn clock_ns() -> u64 {
    let mut histogram = histogram();
    for _ in 0..100_000 {
        let start = Instant::now();
        let elapsed = black_box(start).elapsed();
        histogram.saturating_record(nanoseconds(elapsed));
    }
    histogram.value_at_quantile(0.5)
}

/// Each look-up is timed by itself: otherwise the processor would overlap their cache misses, which it cannot do for
/// calls.
fn round(
    asked: &[Query],
    clock_ns: u64,
    histogram: &mut Histogram<u64>,
    mut look_up: impl FnMut(&Query) -> Option<u32>,
) {
    for one in asked {
        let start = Instant::now();
        let found = black_box(look_up(one));
        let elapsed = nanoseconds(start.elapsed()).saturating_sub(clock_ns).max(1);
        assert_eq!(found, Some(one.index));
        histogram.saturating_record(elapsed);
    }
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn main() {
    let options = Options::read();
    let (count, rounds) = if options.quick {
        (10_000, 2)
    } else {
        (GRANTS, ROUNDS)
    };
    let key = TokenKey::new([3; 32]);
    let started = Instant::now();
    let grants = build(&key, count);
    let built = started.elapsed();

    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        u32::try_from(random % u64::from(count)).expect("below a million")
    };
    let clock_ns = clock_ns();
    let mut sample = || -> Vec<Query> {
        let of = |index| {
            let token = token(index);
            let digest = key.digest(Token::new(&token));
            Query { token, digest, index }
        };
        (0..LOOKUPS_PER_ROUND).map(|_| of(next())).collect()
    };
    let (mut bare, mut by_token, mut hashing) = (histogram(), histogram(), histogram());
    for round_number in 0..=rounds {
        let (first, second) = (sample(), sample());
        round(&first, clock_ns, &mut bare, |one| {
            grants.by_digest(&one.digest).map(KnownToken::grant)
        });
        round(&second, clock_ns, &mut by_token, |one| {
            grants.by_token(Token::new(&one.token)).map(KnownToken::grant)
        });
        round(&second, clock_ns, &mut hashing, |one| {
            black_box(key.digest(Token::new(&one.token)));
            Some(one.index)
        });
        // The first round warms up.
        if round_number == 0 {
            for histogram in [&mut bare, &mut by_token, &mut hashing] {
                histogram.reset();
            }
        }
    }
    println!(
        "{count} grants, built in {:.2} s; {} look-ups each, ns, less {clock_ns} for the clock",
        built.as_secs_f64(),
        rounds * LOOKUPS_PER_ROUND
    );
    println!("{:<28} {:>8} {:>8} {:>8}", "", "p50", "p99", "mean");
    let mut rows = Vec::new();
    for (name, histogram) in [
        ("bare look-up of the digest", &bare),
        ("by token", &by_token),
        ("of it: hashing the token", &hashing),
    ] {
        let at = |q| histogram.value_at_quantile(q);
        println!(
            "{name:<28} {:>8} {:>8} {:>8.1}",
            at(0.5),
            at(0.99),
            histogram.mean()
        );
        let values = vec![
            ("p50_ns", at(0.5) as f64),
            ("p99_ns", at(0.99) as f64),
            ("mean_ns", histogram.mean()),
            ("beside_bare", histogram.mean() / bare.mean()),
        ];
        rows.push((name.to_owned(), values));
    }
    println!(
        "by token / bare, of the means: {:.2}",
        by_token.mean() / bare.mean()
    );
    options.write(&rows);
}
