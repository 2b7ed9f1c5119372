//! Values on both sides of a condition. They are candidates: the engine decides which have the intended effect.

use callgate_core::json::{Constant, Decimal};
use callgate_core::policy::ast::{HostPattern, Op};
use serde_json::{Value, json};

use super::super::random::Random;
use super::text::matching;

/// The longest text or list that is generated for a condition on a length.
const MAX_LENGTH: i64 = 2_000;

/// A candidate value of an argument. `None`: the argument is absent.
pub(super) type Candidate = Option<Value>;

/// Values for which the condition probably holds (`holds`) or does not hold.
pub(super) fn candidates(op: &Op, holds: bool, random: &mut Random) -> Vec<Candidate> {
    let (yes, no) = sides(op, random);
    if holds { yes } else { no }
}

fn sides(op: &Op, random: &mut Random) -> (Vec<Candidate>, Vec<Candidate>) {
    match op {
        Op::Eq(constant) => sides_of(std::slice::from_ref(constant)),
        Op::Neq(constant) => swap(sides_of(std::slice::from_ref(constant))),
        Op::In(list) => sides_of(list),
        Op::NotIn(list) => swap(sides_of(list)),
        Op::Lt(bound) | Op::Lte(bound) => {
            let (below, above) = around(bound);
            (below, above)
        }
        Op::Gt(bound) | Op::Gte(bound) => {
            let (below, above) = around(bound);
            (above, below)
        }
        Op::Regex(regex) => matched(regex, random),
        Op::NotRegex(regex) => swap(matched(regex, random)),
        Op::Contains(constant) => containers(constant),
        Op::NotContains(constant) => swap(containers(constant)),
        Op::StartsWith(text) => (
            vec![some(format!("{text}x")), some(text.clone())],
            vec![some("~"), None],
        ),
        Op::EndsWith(text) => (
            vec![some(format!("x{text}")), some(text.clone())],
            vec![some("~"), None],
        ),
        Op::LenLt(bound) => (lengths(bound - 1), lengths(*bound)),
        Op::LenLte(bound) => (lengths(*bound), lengths(bound.saturating_add(1))),
        Op::LenGt(bound) => (lengths(bound.saturating_add(1)), lengths(*bound)),
        Op::LenGte(bound) => (lengths(*bound), lengths(bound - 1)),
        Op::PathWithin(folders) => {
            let inside = folders.iter().map(|folder| some(format!("{folder}/notes.txt")));
            let beside = folders
                .iter()
                .map(|folder| some(format!("{folder}/../else/notes.txt")));
            (
                inside.collect(),
                beside
                    .chain([some("/else/notes.txt"), some("notes.txt")])
                    .collect(),
            )
        }
        Op::HostIn(hosts) => {
            let inside = hosts.iter().map(|host| match host {
                HostPattern::Exact(host) => some(format!("https://{host}/")),
                HostPattern::Below(host) => some(format!("https://www.{host}/")),
            });
            (
                inside.collect(),
                vec![some("https://host.invalid/"), some("not a url"), None],
            )
        }
        Op::CidrIn(networks) => {
            let inside = networks.iter().map(|network| some(network.address.to_string()));
            let outside = ["203.0.113.7", "192.0.2.1", "2001:db8::7", "not an address"];
            (inside.collect(), outside.into_iter().map(some).collect())
        }
        Op::Exists(true) => (vec![some("x"), Some(json!(1))], vec![None]),
        Op::Exists(false) => (vec![None], vec![some("x"), Some(json!(1))]),
    }
}

fn swap<T>((yes, no): (T, T)) -> (T, T) {
    (no, yes)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "one of several candidates, of which some are absent"
)]
fn some(text: impl Into<String>) -> Candidate {
    Some(Value::String(text.into()))
}

/// A value from a policy as JSON.
fn value(constant: &Constant) -> Value {
    if let Constant::Number(decimal) = constant {
        return plain(decimal);
    }
    let mut text = String::new();
    constant.write_canonical(&mut text);
    // The canonical form is JSON, so this cannot fail.
    serde_json::from_str(&text).unwrap_or_default()
}

/// Values in the list, and values outside it.
fn sides_of(list: &[Constant]) -> (Vec<Candidate>, Vec<Candidate>) {
    (list.iter().map(value).map(Some).collect(), others(list))
}

/// Values outside the list.
fn others(list: &[Constant]) -> Vec<Candidate> {
    let mut others = vec![
        some("something-else"),
        Some(json!(424_242)),
        Some(json!(true)),
        None,
    ];
    for constant in list {
        match constant {
            Constant::String(text) => others.insert(0, some(format!("not-{text}"))),
            Constant::Number(decimal) => others.insert(0, Some(number(approximate(decimal) + 1.0))),
            Constant::Bool(flag) => others.insert(0, Some(json!(!flag))),
            _ => {}
        }
    }
    others
}

/// Numbers below or at a bound, and numbers above or at it.
fn around(bound: &Decimal) -> (Vec<Candidate>, Vec<Candidate>) {
    let exact = Some(plain(bound));
    let bound = approximate(bound);
    let some = |value: f64| Some(number(value));
    let half = (bound / 2.0).trunc();
    (
        vec![
            some(bound - 1.0),
            exact.clone(),
            some(half.min(bound - 2.0)),
            some(bound - bound.abs() - 1.0),
        ],
        vec![
            some(bound + 1.0),
            exact,
            some(bound + bound.abs() + 2.0),
            self::some("many"),
        ],
    )
}

/// A number as JSON, without a decimal point if it is whole.
pub(super) fn number(value: f64) -> Value {
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT {
        return json!(value as i64);
    }
    json!(value)
}

fn approximate(decimal: &Decimal) -> f64 {
    let mut text = String::new();
    decimal.write_canonical(&mut text);
    text.parse().unwrap_or_default()
}

/// A policy's number: in plain digits if it is whole, else exactly.
fn plain(decimal: &Decimal) -> Value {
    let mut text = String::new();
    decimal.write_canonical(&mut text);
    let near = number(approximate(decimal));
    if decimal.is_integer() && near.is_i64() {
        near
    } else {
        serde_json::from_str(&text).unwrap_or(near)
    }
}

fn matched(regex: &regex::Regex, random: &mut Random) -> (Vec<Candidate>, Vec<Candidate>) {
    let yes = (0..8)
        .filter_map(|_| matching(regex.as_str(), random))
        .filter(|text| regex.is_match(text))
        .map(some)
        .collect();
    let no = ["~", "", "no match here", "0", "NO-MATCH", "../x"]
        .into_iter()
        .filter(|text| !regex.is_match(text))
        .map(some)
        .collect();
    (yes, no)
}

fn containers(constant: &Constant) -> (Vec<Candidate>, Vec<Candidate>) {
    let element = value(constant);
    let mut yes = vec![Some(json!([element]))];
    if let Value::String(text) = &element {
        yes.insert(0, some(format!("x{text}x")));
    }
    (yes, vec![some("~"), Some(json!([])), None])
}

fn lengths(length: i64) -> Vec<Candidate> {
    let Ok(length) = usize::try_from(length.min(MAX_LENGTH)) else {
        return vec![None];
    };
    vec![
        some("x".repeat(length)),
        Some(Value::Array(vec![Value::String("x".to_owned()); length])),
    ]
}
