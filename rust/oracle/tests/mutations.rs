//! Runs the checks of the fuzz targets on known inputs with a few changed bytes: a small `make fuzz` in every test run.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that cannot go on fails its test"
)]

use std::path::Path;

use callgate_oracle::fuzz;
use callgate_oracle::json::Json;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Words that a mutation may insert anywhere.
const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1",
    "-",
    "0",
    ".",
    "e400",
    "1e10001",
    "9007199254740993",
    "\n",
    " ",
    "\t",
    "é",
    "\u{0}",
    "*",
    "?",
    "[*]",
    ".",
    "args.",
    "args.a",
    "neq",
    "not_in",
    "exists",
    "not",
    "shadow",
    "session",
    "x-",
    "- ",
    "# ",
    "&a ",
];

/// One change: a word, or nothing, replaces a few bytes.
fn change() -> impl Strategy<Value = (Index, usize, &'static str)> {
    let word = prop_oneof![1 => Just(""), 3 => select(&WORDS[..])];
    (any::<Index>(), 0..8_usize, word)
}

fn changed(seed: &str, changes: &[(Index, usize, &str)]) -> Vec<u8> {
    let mut bytes = seed.as_bytes().to_vec();
    for (place, length, word) in changes {
        let from = place.index(bytes.len() + 1);
        let to = (from + length).min(bytes.len());
        bytes.splice(from..to, word.bytes());
    }
    bytes
}

/// Policies, arguments and whole cases of `tests/cases/decisions`.
fn seeds(pick: fn(&Json) -> Vec<String>) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/decisions");
    let mut seeds = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let cases = Json::read(&std::fs::read(file.unwrap().path()).unwrap(), 1_000).unwrap();
        seeds.extend(cases.elements().iter().flat_map(pick));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

fn policies(case: &Json) -> Vec<String> {
    vec![case.get("policy").unwrap().to_json()]
}

fn arguments(case: &Json) -> Vec<String> {
    let calls = case.get("calls").unwrap().elements();
    calls
        .iter()
        .map(|call| call.get("args").unwrap().to_json())
        .collect()
}

fn cases(case: &Json) -> Vec<String> {
    vec![case.to_json()]
}

fn check(bytes: &[u8], holds: Result<(), String>) -> Result<(), TestCaseError> {
    holds.map_err(|found| TestCaseError::fail(format!("{}\n{found}", String::from_utf8_lossy(bytes))))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: case_count(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_policies(seed in select(seeds(policies)), changes in vec(change(), 0..4)) {
        let bytes = changed(&seed, &changes);
        check(&bytes, fuzz::policy(&bytes))?;
    }

    #[test]
    fn changed_arguments(seed in select(seeds(arguments)), changes in vec(change(), 0..6)) {
        let bytes = changed(&seed, &changes);
        check(&bytes, fuzz::arguments(&bytes))?;
    }

    #[test]
    fn changed_cases(seed in select(seeds(cases)), changes in vec(change(), 0..4)) {
        let bytes = changed(&seed, &changes);
        check(&bytes, fuzz::decide(&bytes))?;
    }
}

/// The number of cases per property; `PROPTEST_CASES` overrides it.
fn case_count() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(1_000)
}
