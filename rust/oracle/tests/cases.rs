//! Checks that the oracle passes every case of `tests/cases/decisions`, which qualifies it as a reference, and that the
//! engine agrees with it on all of them and on every input that fuzzing has found.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test helper that cannot go on fails its test"
)]

use std::path::{Path, PathBuf};

use callgate_oracle::json::Json;
use callgate_oracle::{Case, Oracle, Verdict, compare};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/cases")
        .join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Compares a verdict with the expectations of a case.
fn expected(verdict: &Verdict, expect: &Json) -> bool {
    let is = |json: &Json, outcome: &str, rule: &str| {
        json.get("outcome").and_then(Json::text) == Some(outcome)
            && json.get("rule").and_then(Json::text) == Some(rule)
    };
    let retry = expect
        .get("retry_after_ms")
        .map(|retry| retry.to_json().parse::<u64>().unwrap());
    let shadow = match (&verdict.shadow, expect.get("shadow")) {
        (None, None) => true,
        (Some(shadow), Some(expect)) => is(expect, shadow.outcome, &shadow.rule),
        _ => false,
    };
    let waits = match (retry, &verdict.retry_after_ms) {
        (None, _) => true,
        (Some(retry), Some(bounds)) => bounds.holds(&retry),
        (Some(_), None) => false,
    };
    is(expect, verdict.answer.outcome, &verdict.answer.rule) && shadow && waits
}

fn run_oracle(json: &Json, case: &Case) {
    let name = json.get("name").unwrap().to_json();
    let mut oracle = Oracle::new(&case.policy, &case.catalogue, &case.freezes).unwrap();
    for (call, text) in case.calls.iter().zip(json.get("calls").unwrap().elements()) {
        let expect = text.get("expect").unwrap();
        let verdicts = oracle.verdicts(call);
        let Some(verdict) = verdicts.iter().find(|verdict| expected(verdict, expect)) else {
            panic!(
                "{name}: {call:?}\nexpected {}\nallowed {verdicts:#?}",
                expect.to_json()
            );
        };
        oracle.settle(call, verdict);
    }
}

#[test]
fn every_decision_case() {
    let mut calls = 0;
    for file in files("decisions") {
        let cases = Json::read(&std::fs::read(&file).unwrap(), 1_000).unwrap();
        for json in cases.elements() {
            let case = Case::read(json).unwrap();
            run_oracle(json, &case);
            calls += case.calls.len();
            let agreed = compare::run(&case)
                .unwrap_or_else(|difference| panic!("{}: {difference}", json.get("name").unwrap().to_json()));
            assert!(matches!(agreed, compare::Agreement::Decisions(_)), "{agreed:?}");
        }
    }
    assert!(calls > 700, "only {calls} calls");
}

#[test]
fn a_case_survives_its_file() {
    for seed in 0..=255_u8 {
        let bytes: Vec<u8> = (0..400_u32)
            .map(|n| seed.wrapping_mul(37) ^ n.to_le_bytes()[0].wrapping_mul(91))
            .collect();
        let case = callgate_oracle::generate::case(&bytes);
        let read = Json::read(case.to_json().as_bytes(), 1_000).unwrap();
        // The policy has no spaces that a second spelling could drop.
        let read = Case::read(&read).unwrap();
        assert_eq!((read.calls, read.freezes), (case.calls, case.freezes));
    }
}

/// Inputs that fuzzing has found, as regression tests.
#[test]
fn inputs_found_by_fuzzing_pass() {
    type Check = fn(&[u8]) -> Result<(), String>;
    let checks: [(&str, Check); 3] = [
        ("policy", callgate_oracle::fuzz::policy),
        ("arguments", callgate_oracle::fuzz::arguments),
        ("decide", callgate_oracle::fuzz::decide),
    ];
    let mut inputs = 0;
    for (target, check) in checks {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/cases/fuzz")
            .join(target);
        // A target without findings has no folder.
        let Ok(files) = std::fs::read_dir(folder) else {
            continue;
        };
        for file in files.map(|file| file.unwrap().path()) {
            let checked = check(&std::fs::read(&file).unwrap());
            checked.unwrap_or_else(|found| panic!("{}: {found}", file.display()));
            inputs += 1;
        }
    }
    assert!(inputs > 0, "no inputs");
}
