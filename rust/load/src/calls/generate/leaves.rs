//! The paths that the rules of one tool read, and values on either side of their conditions.

use callgate_core::policy::ast::{
    Category, CategoryRules, Check, Condition, Cost, Op, Path, Policy, Rules, Scope,
};
use serde_json::json;

use super::super::random::Random;
use super::values::{Candidate, candidates};

/// One condition, or one argument that a limit needs.
#[derive(Debug)]
pub(super) struct Leaf<'p> {
    pub(super) path: &'p Path,
    /// Values that help the call to be allowed.
    pub(super) good: Vec<Candidate>,
    /// Values that help the call to be denied.
    pub(super) bad: Vec<Candidate>,
}

/// The conditions of one check.
pub(super) type Group<'p> = Vec<Leaf<'p>>;

/// The rules of a policy that may apply to a tool.
pub(super) fn rules_of<'p>(policy: &'p Policy, tool: &str, category: Option<Category>) -> Vec<&'p Rules> {
    let entries = policy.tools.iter().filter(|entry| entry.pattern.matches(tool));
    let of_category = policy.categories.iter().filter_map(|(of, rules)| match rules {
        CategoryRules::Rules(rules) if Some(*of) == category => Some(&**rules),
        CategoryRules::Rules(_) | CategoryRules::Hide => None,
    });
    entries
        .map(|entry| &entry.rules)
        .chain(of_category)
        .chain([&policy.all_tools])
        .collect()
}

/// The conditions and limits' arguments of these rules, by check.
pub(super) fn groups<'p>(rules: &[&'p Rules], random: &mut Random) -> Vec<Group<'p>> {
    let mut groups = Vec::new();
    for rules in rules {
        for (checks, wanted) in [(&rules.require, true), (&rules.deny_if, false)] {
            groups.extend(checks.iter().map(|check| group(check, wanted, random)));
        }
        let approvals = rules.approval.iter().flat_map(|approval| &approval.when);
        groups.extend(approvals.map(|check| group(check, false, random)));
        for limit in &rules.limits {
            if let Cost::Args(path) = &limit.cost {
                groups.push(vec![Leaf {
                    path,
                    good: vec![Some(json!(1)), Some(json!(2.5))],
                    bad: vec![None, Some(json!("many")), Some(json!(-1))],
                }]);
            }
            for scope in &limit.scope {
                if let Scope::Args(path) = scope {
                    groups.push(vec![Leaf {
                        path,
                        good: vec![Some(json!("a")), Some(json!("b"))],
                        bad: vec![None],
                    }]);
                }
            }
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn group<'p>(check: &'p Check, wanted: bool, random: &mut Random) -> Group<'p> {
    let mut leaves = Vec::new();
    for condition in &check.conditions {
        collect(condition, wanted, random, &mut leaves);
    }
    leaves
}

fn collect<'p>(condition: &'p Condition, wanted: bool, random: &mut Random, leaves: &mut Group<'p>) {
    match condition {
        Condition::Test { path, op } => {
            let mut sides = |holds| -> Vec<Candidate> { of(op, holds, random) };
            let (good, bad) = (sides(wanted), sides(!wanted));
            leaves.push(Leaf { path, good, bad });
        }
        Condition::Any(parts) | Condition::All(parts) => {
            for part in parts {
                collect(part, wanted, random, leaves);
            }
        }
        Condition::Not(inner) => collect(inner, !wanted, random, leaves),
    }
}

fn of(op: &Op, holds: bool, random: &mut Random) -> Vec<Candidate> {
    let mut values = candidates(op, holds, random);
    if values.is_empty() {
        values.push(None);
    }
    values
}
