use std::collections::BTreeMap;

use callgate_core::policy::{Format, Source, parse};

use super::*;

const POLICY: &str = r#"{
  "version": "1", "name": "p", "default": "deny",
  "hide": ["secret_*"],
  "all_tools": {"deny_if": [{"name": "no-root", "conditions": [{"path": "args.user", "op": "eq", "value": "root"}]}]},
  "tools": {
    "charge": {
      "require": [
        {"name": "currency", "conditions": [{"path": "args.currency", "op": "in", "value": ["usd", "eur"]}]},
        {"name": "amount", "conditions": [
          {"path": "args.amount", "op": "gt", "value": 10}, {"path": "args.amount", "op": "lte", "value": 12}]}
      ],
      "limits": [{"counter": "spend", "window": "day", "max": 1000, "cost": "args.amount", "scope": ["grant", "args.customer"]}]
    },
    "write_*": {
      "require": [
        {"name": "folder", "conditions": [{"path": "args.path", "op": "path_within", "value": "/workspace"}]},
        {"name": "names", "conditions": [{"path": "args.items[*].name", "op": "regex", "value": "^[a-z]{2,5}-\\d+$"}]}
      ],
      "deny_if": [{"name": "long", "conditions": [{"path": "args.text", "op": "len_gt", "value": 20},
                                                   {"path": "args.force", "op": "neq", "value": true}]}]
    },
    "fetch": {
      "require": [{"name": "host", "conditions": [{"any": [
        {"path": "args.url", "op": "host_in", "value": ["*.example.com"]},
        {"path": "args.address", "op": "cidr_in", "value": ["10.0.0.0/8"]}]}]},
        {"name": "team", "conditions": [{"path": "grant.labels.team", "op": "eq", "value": "red"}]}]
    },
    "plain": {},
    "typed": {"schema": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 5}}}},
    "refund": {"action": "require_approval", "approval": {"when": [{"conditions": [{"path": "args.amount", "op": "gt", "value": 100}]}]}}
  }
}"#;

fn policies() -> Policies {
    let source = Source {
        name: "p.json",
        stem: "p",
        format: Format::Json,
        bytes: POLICY.as_bytes(),
    };
    Policies::EveryServer(parse(&source).unwrap())
}

fn calls(grants: usize, seed: u64) -> Vec<CheckRequest> {
    generate(policies(), Catalogue::default(), Generate { grants, seed }).unwrap()
}

/// Outcomes and rules of the calls by tool, each call decided alone on fresh counters.
fn decided(calls: &[CheckRequest]) -> BTreeMap<String, Vec<String>> {
    let mut oracle = Oracle::new(State::build(policies(), Catalogue::default()).unwrap());
    let mut decided: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in calls {
        let snapshot = oracle.engine.snapshot();
        let decision = with_core(call, |request| {
            oracle
                .engine
                .explain(&snapshot, request, NOW, &mut oracle.scratch)
                .decision
        });
        let said = format!("{}{}", decision.outcome.as_str(), decision.rule);
        decided.entry(call.tool.clone()).or_default().push(said);
    }
    decided
}

#[test]
fn every_tool_and_both_sides_of_every_condition_are_met() {
    for seed in 0..10 {
        let decided = decided(&calls(1, seed));
        for (tool, expected) in [
            (
                "charge",
                &[
                    "allow",
                    "deny/tools/charge/require/currency",
                    "deny/tools/charge/require/amount",
                    "deny/tools/charge/limits/spend",
                    "deny/all_tools/deny_if/no-root",
                ][..],
            ),
            (
                "write_any",
                &[
                    "allow",
                    "deny/tools/write_*/require/folder",
                    "deny/tools/write_*/require/names",
                    "deny/tools/write_*/deny_if/long",
                ],
            ),
            (
                "fetch",
                &[
                    "allow",
                    "deny/tools/fetch/require/host",
                    "deny/tools/fetch/require/team",
                ],
            ),
            ("plain", &["allow", "deny/all_tools/deny_if/no-root"]),
            ("typed", &["allow"]),
            ("refund", &["allow", "approval_required/tools/refund/approval"]),
            ("secret_any", &["deny(hidden)"]),
            ("no-such-tool-1", &["deny(default deny)"]),
        ] {
            let said = &decided[tool];
            for wanted in expected {
                assert!(
                    said.iter().any(|one| one == wanted),
                    "seed {seed}: {tool}: {wanted} not in {said:?}"
                );
            }
        }
    }
}

#[test]
fn half_of_the_calls_of_a_tool_meet_its_rules() {
    let said = &decided(&calls(1, 7))["charge"];
    let allowed = said.iter().filter(|one| *one == "allow").count();
    assert!(allowed * 2 >= said.len(), "{said:?}");
}

#[test]
fn a_seed_gives_the_same_calls_and_another_seed_others() {
    assert_eq!(calls(3, 1), calls(3, 1));
    assert_ne!(calls(3, 1), calls(3, 2));
}

#[test]
fn every_grant_is_charged() {
    let mut grants: Vec<_> = calls(500, 1).into_iter().map(|call| call.grant).collect();
    grants.sort();
    grants.dedup();
    assert_eq!(grants.len(), 500);
    assert!(generate(policies(), Catalogue::default(), Generate { grants: 0, seed: 0 }).is_err());
}
