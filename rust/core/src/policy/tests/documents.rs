//! Documents that load, and their contents.

use std::fs;
use std::path::{Path, PathBuf};

use callgate_counters::{Micros, Period, Window};

use super::super::Format;
use super::super::ast::{
    Action, ApprovalTerms, CategoryRules, Cost, DefaultAction, Mode, PermitBounds, Scope,
};
use super::{json, with_rules, yaml};
use crate::decision::Outcome;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases")
}

/// Every policy of the decision cases and of the seeds, with a name.
pub(super) fn every_policy() -> Vec<(String, String)> {
    let mut policies = Vec::new();
    for entry in fs::read_dir(cases().join("decisions")).unwrap() {
        let path = entry.unwrap().path();
        let list: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for case in list.as_array().unwrap() {
            policies.push((
                format!("{}: {}", path.display(), case["name"]),
                case["policy"].to_string(),
            ));
        }
    }
    for entry in fs::read_dir(cases().join("seeds")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".policy.json") {
            policies.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(policies.len() > 100, "only {} policies found", policies.len());
    policies
}

#[test]
pub(super) fn every_policy_of_the_cases_loads() {
    for (name, document) in every_policy() {
        let policy = json(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(policy.name, "policy", "{name}");
    }
}

#[test]
pub(super) fn every_policy_of_the_cases_loads_alike_as_yaml() {
    for (name, document) in every_policy() {
        // A JSON document is a YAML document, and its block style must mean the same.
        let block = block_style(&serde_json::from_str(&document).unwrap(), 0);
        let expected = json(&document).unwrap().digest;
        assert_eq!(yaml(&document).unwrap().digest, expected, "{name}");
        let policy = yaml(&block).unwrap_or_else(|error| panic!("{name}: {error}\n{block}"));
        assert_eq!(policy.digest, expected, "{name}");
    }
}

fn block_style(value: &serde_json::Value, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let lines: Vec<String> = match value {
        serde_json::Value::Object(members) if !members.is_empty() => members
            .iter()
            .map(|(key, value)| {
                let key = serde_json::Value::from(key.as_str());
                format!("\n{margin}{key}: {}", block_style(value, indent + 2))
            })
            .collect(),
        serde_json::Value::Array(elements) if !elements.is_empty() => elements
            .iter()
            .map(|value| format!("\n{margin}- {}", block_style(value, indent + 2)))
            .collect(),
        other => vec![other.to_string()],
    };
    lines.concat()
}

#[test]
fn the_example_of_the_contract_loads() {
    let contract = include_str!("../../../../../docs/policy.md");
    let example = contract
        .split("```json\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let policy = json(example).unwrap();
    assert_eq!(policy.tools.len(), 4);
    assert_eq!(
        policy.tools[1].rules.limits[0].window,
        Window::Calendar(Period::Day)
    );
    assert_eq!(policy.tools[3].rules.reason.as_deref(), Some("ask the data team"));
    assert_eq!(policy.warnings, []);
}

#[test]
fn the_least_policy() {
    let policy = json(r#"{"version": "1", "default": "deny"}"#).unwrap();
    assert_eq!((policy.name.as_str(), policy.description), ("policy", None));
    assert_eq!(
        (policy.default, policy.mode),
        (DefaultAction::Deny, Mode::Enforce)
    );
    assert!(policy.tools.is_empty() && policy.hide.is_empty() && policy.categories.is_empty());
    assert!(policy.log_args.is_empty() && policy.warnings.is_empty());
    assert_eq!(policy.all_tools.action, Action::Allow);
}

#[test]
fn the_terms_of_an_approval_are_read() {
    let terms = |approval: &str| {
        let document = format!(
            r#"{{"version": "1", "default": "deny", "tools": {{"x": {{"action": "require_approval"{approval}}}}}}}"#
        );
        json(&document)
            .unwrap()
            .tools
            .remove(0)
            .rules
            .approval
            .unwrap()
            .terms
    };
    let hour = 3_600_000;
    assert_eq!(terms(""), ApprovalTerms::with_timeout(hour));
    assert_eq!(terms(r#", "approval": {}"#), ApprovalTerms::with_timeout(hour));
    assert_eq!(
        terms(r#", "approval": {"timeout": "2h"}"#).valid_ms,
        2 * hour,
        "as long as the timeout"
    );
    let all = terms(
        r#", "approval": {"timeout": "1s", "valid": "30d", "approvers": ["ops", "finance"], "count": 2, "reason": "required",
            "permit": {"max_uses": 10000, "max_duration": "8h"}}"#,
    );
    assert_eq!(
        all,
        ApprovalTerms {
            timeout_ms: 1_000,
            valid_ms: 720 * hour,
            approvers: vec!["ops".into(), "finance".into()],
            count: 2,
            is_reason_required: true,
            permit: Some(PermitBounds {
                max_uses: 10_000,
                max_duration_ms: 8 * hour,
            }),
        }
    );
    assert!(!terms(r#", "approval": {"reason": "optional"}"#).is_reason_required);
}

#[test]
fn every_field_is_read() {
    let policy = yaml(
        r#"
version: "1"
default: allow
name: billing
description: what it is for
log_args: [args.currency, 'args.items[*].sku']
log_labels: [team, 'a.b']
mode: shadow
hide: [delete_*, drop_table]
all_tools: {mode: enforce, rate_limit: 5/hour}
categories:
  Destructive: {hide: true, x-why: dangerous}
  Financial:
    action: require_approval
    approval: {timeout: 30m}
    rate_limit: {max: 2.5, window: 60}
tools:
  create_*:
    rate_limit: {max: 10, window: 1d}
    limits:
      - counter: spend
        window: month
        max: 100.1234567
        scope: [args.b, tool, 'args["b"]', grant]
        cost: args.amount
        align: calendar
        on_deny: too much
        on_store_failure: allow
"#,
    )
    .unwrap();
    assert_eq!(
        (policy.name.as_str(), policy.description.as_deref()),
        ("billing", Some("what it is for"))
    );
    assert_eq!(
        (policy.default, policy.mode),
        (DefaultAction::Allow, Mode::Shadow)
    );
    assert_eq!(policy.log_args[1].text, "args.items[*].sku");
    assert_eq!(policy.log_labels, ["team", "a.b"]);
    assert_eq!(policy.hide.len(), 2);
    assert_eq!(policy.all_tools.mode, Mode::Enforce);
    assert_eq!(policy.all_tools.limits[0].counter, "all_tools_rate");

    assert!(matches!(policy.categories[0].1, CategoryRules::Hide));
    let CategoryRules::Rules(financial) = &policy.categories[1].1 else {
        panic!("{:?}", policy.categories[1]);
    };
    assert_eq!(
        (financial.action, financial.mode),
        (Action::RequireApproval, Mode::Shadow)
    );
    let approval = financial.approval.as_ref().unwrap();
    assert_eq!((approval.when.len(), approval.terms.timeout_ms), (0, 1_800_000));
    assert_eq!(financial.limits[0].counter, "category.Financial_rate");
    assert_eq!(financial.limits[0].max, Micros(2_500_000));
    assert_eq!(
        financial.limits[0].window,
        Window::Sliding {
            window_us: 60_000_000
        }
    );

    let [spend, rate] = policy.tools[0].rules.limits.as_slice() else {
        panic!("{:?}", policy.tools[0]);
    };
    assert_eq!(
        (spend.counter.as_str(), spend.window),
        ("spend", Window::Calendar(Period::Month))
    );
    assert_eq!(spend.max, Micros(100_123_456), "rounded down");
    let [Scope::Grant, Scope::Tool, Scope::Args(path)] = spend.scope.as_slice() else {
        panic!("{:?}", spend.scope);
    };
    assert_eq!(path.text, "args.b");
    assert!(matches!(&spend.cost, Cost::Args(path) if path.text == "args.amount"));
    assert_eq!(
        (spend.on_deny.as_deref(), spend.on_store_failure),
        (Some("too much"), Outcome::Allow)
    );
    assert_eq!(
        (rate.counter.as_str(), rate.cost.clone()),
        ("create_*_rate", Cost::Fixed(Micros::ONE))
    );
    assert_eq!(rate.scope, [Scope::Grant, Scope::Tool]);
    assert_eq!(rate.on_store_failure, Outcome::Deny);
}

#[test]
fn windows() {
    for (window, window_us) in [
        (r#""second""#, 1_000_000),
        (r#""minute""#, 60_000_000),
        (r#""hour""#, 3_600_000_000),
        (r#""day""#, 86_400_000_000),
        (r#""week""#, 604_800_000_000),
        (r#""10ms""#, 10_000),
        (r#""90s""#, 90_000_000),
        (r#""2m""#, 120_000_000),
        (r#""366d""#, 31_622_400_000_000),
        (r#""52w""#, 31_449_600_000_000),
        ("60", 60_000_000),
        ("0.01", 10_000),
        ("1.2340", 1_234_000),
        ("31622400", 31_622_400_000_000),
    ] {
        let policy = with_rules(&format!(r#"{{"rate_limit":{{"max":1,"window":{window}}}}}"#)).unwrap();
        assert_eq!(
            policy.tools[0].rules.limits[0].window,
            Window::Sliding { window_us },
            "{window}"
        );
    }
    let short = with_rules(r#"{"rate_limit":"1.5/10ms"}"#).unwrap();
    let limit = &short.tools[0].rules.limits[0];
    assert_eq!(
        (limit.max, limit.window),
        (Micros(1_500_000), Window::Sliding { window_us: 10_000 })
    );
}

#[test]
fn costs_count_decimals_by_value() {
    for (cost, micros) in [
        ("0", 0),
        ("1e12", 1_000_000_000_000_000_000),
        ("0.000001", 1),
        ("1.50000000", 1_500_000),
    ] {
        let limit = format!(r#"{{"limits":[{{"counter":"c","window":1,"max":1,"cost":{cost}}}]}}"#);
        let policy = with_rules(&limit).unwrap();
        assert_eq!(
            policy.tools[0].rules.limits[0].cost,
            Cost::Fixed(Micros(micros)),
            "{cost}"
        );
    }
}

#[test]
fn limits_that_share_a_count_agree() {
    let limits = |a: &str, b: &str| {
        with_rules(&format!(
            r#"{{"limits":[{{"counter":"c",{a}}},{{"counter":"c",{b}}}]}}"#
        ))
    };
    let hour = r#""window":"hour","max":5"#;
    assert!(
        limits(hour, r#""window":3600,"max":5.0"#).is_ok(),
        "the same `max`"
    );
    assert!(
        limits(hour, r#""window":"day","max":50"#).is_ok(),
        "another window"
    );
    assert!(
        limits(hour, r#""window":"hour","max":50,"align":"calendar""#).is_ok(),
        "another alignment"
    );
    assert!(
        limits(hour, r#""window":"hour","max":50,"scope":["grant","tool"]"#).is_ok(),
        "another scope"
    );
    assert!(limits(hour, r#""window":"60m","max":50,"scope":["grant","grant"]"#).is_err());
}

#[test]
fn counts_per_tool_of_two_entries_never_meet() {
    let tools = |a: &str, b: &str, more: &str| {
        json(&format!(
            r#"{{"version":"1","default":"deny"{more},"tools":{{
                "a":{{"limits":[{{"counter":"c","window":1,"max":{a},"scope":["tool","grant"]}}]}},
                "b":{{"limits":[{{"counter":"c","window":1,"max":{b},"scope":["tool","grant"]}}]}}}}}}"#
        ))
    };
    assert!(
        tools("1", "2", "").is_ok(),
        "a call meets one entry, and its tool is part of the count"
    );
    let shared = r#","all_tools":{"limits":[{"counter":"c","window":1,"max":1,"scope":["tool","grant"]}]}"#;
    assert!(tools("1", "1", shared).is_ok());
    assert!(tools("1", "2", shared).is_err(), "`all_tools` meets both");
    assert!(tools("2", "2", shared).is_err());
    let within = r#"{"limits":[{"counter":"x_rate","window":"day","max":1,"scope":["tool","grant"]}],"rate_limit":"2/day"}"#;
    assert!(with_rules(within).is_err(), "both are limits of one entry");
}

#[test]
fn fields_for_others_are_ignored_and_names_are_not() {
    let policy = json(
        r#"{"$schema": "a", "x-a": [1], "version": "1", "default": "deny",
            "tools": {"x-ray": {"x-b": null, "$schema": "b", "require": [
                {"x-c": 1, "conditions": [{"x-d": 1, "path": "args.a", "op": "eq", "value": {"x-e": 1, "$schema": 2}}]}]}}}"#,
    )
    .unwrap();
    assert_eq!(policy.tools[0].key, "x-ray");
    let plain = r#"{"version": "1", "default": "deny",
            "tools": {"x-ray": {"require": [
                {"conditions": [{"path": "args.a", "op": "eq", "value": {"x-e": 1, "$schema": 2}}]}]}}}"#;
    assert_eq!(json(plain).unwrap().digest, policy.digest);
    let other_data = plain.replace(r#""x-e": 1"#, r#""x-e": 2"#);
    assert_ne!(json(&other_data).unwrap().digest, policy.digest);
    let other_name = plain.replace("x-ray", "x-rays");
    assert_ne!(json(&other_name).unwrap().digest, policy.digest);
}

#[test]
fn the_digest_is_that_of_the_canonical_form() {
    let policy = json("{\"default\":\"deny\",\"version\":\"1\",\"x-a\":1,\"all_tools\":{\"rate_limit\":{\"window\":6.0e1,\"max\":10}}}").unwrap();
    let canonical = r#"{"all_tools":{"rate_limit":{"max":1e1,"window":6e1}},"default":"deny","version":"1"}"#;
    let expected: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(canonical.as_bytes()).into();
    assert_eq!(policy.digest, expected);
}

#[test]
fn the_data_of_a_schema_is_part_of_the_digest() {
    let digest = |note: &str| {
        let rules = format!(
            r#"{{"schema":{{"type":"object","x-note":"{note}","properties":{{"x-a":{{"const":1}}}}}}}}"#
        );
        with_rules(&rules).unwrap().digest
    };
    assert_ne!(digest("a"), digest("b"));
}

#[test]
fn formats_by_file_name() {
    for (name, format) in [
        ("a.yaml", Format::Yaml),
        ("a.b.YML", Format::Yaml),
        ("a.json", Format::Json),
        ("yaml", Format::Json),
    ] {
        assert_eq!(Format::of_file_name(name), format, "{name}");
    }
}

#[test]
fn a_document_too_large_is_not_read() {
    let error = json(&" ".repeat(16 * 1024 * 1024 + 1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "policy.json:1:1: the document has 16777217 bytes, expected at most 16777216; split it"
    );
}
