//! The order of a decision (`docs/policy.md` sections 1, 2 and 5).

use std::collections::HashSet;

use crate::call::{Call, Facts};
use crate::count::{Log, Reading};
use crate::demand::{Demand, merge, resolve};
use crate::json::Json;
use crate::policy::{Policy, Rules};
use crate::verdict::{Answer, Bounds, CountState, Verdict};

/// An answer other than allow, and whether it is shadowed.
pub(crate) type Finding = (Answer, bool);

/// A demand, and the state of its count exactly and with the largest allowed lateness.
pub(crate) type Looked = (Demand, Reading, Reading);

/// The findings that no other call changes, and the demands of the limits.
pub(crate) struct Weighed {
    early: Vec<Finding>,
    pub(crate) demands: Vec<Demand>,
    approvals: Vec<Finding>,
}

/// Every decision that the contract allows for a call; more than one only if a count may be late.
pub(crate) fn verdicts(policy: &Policy, facts: &Facts, log: &Log, call: &Call, frozen: bool) -> Vec<Verdict> {
    let Some(args) = call.well_formed() else {
        return vec![decided(Answer::new("deny", "(invalid request)"))];
    };
    if frozen {
        return vec![decided(Answer::new("deny", "(frozen)"))];
    }
    let Weighed {
        early,
        demands,
        approvals,
    } = weigh(policy, facts, call, &args);
    let demands = look(demands, log, call);
    readings(&demands)
        .into_iter()
        .map(|short| verdict(&early, &demands, &short, &approvals))
        .collect()
}

pub(crate) fn weigh(policy: &Policy, facts: &Facts, call: &Call, args: &Json) -> Weighed {
    let denials = denials(policy, facts, call, args);
    let rules = applying(policy, facts, call);
    let mut faults = Vec::new();
    let mut demands = Vec::new();
    for rules in &rules {
        for limit in &rules.limits {
            match resolve(policy, limit, rules.shadowed, call, args, facts) {
                Ok(demand) => demands.push(demand),
                Err(rule) => faults.push((Answer::new("deny", rule), rules.shadowed)),
            }
        }
    }
    Weighed {
        early: [denials, faults].concat(),
        demands: merge(&demands),
        approvals: approvals(&rules, facts, call, args),
    }
}

pub(crate) fn look(demands: Vec<Demand>, log: &Log, call: &Call) -> Vec<Looked> {
    let looked = demands.into_iter().map(|demand| {
        let (exact, late) = log.look(&demand.count, demand.cost, call);
        (demand, exact, late)
    });
    looked.collect()
}

/// A decision without shadow, limits and units.
pub(crate) const fn decided(answer: Answer) -> Verdict {
    Verdict {
        answer,
        shadow: None,
        retry_after_ms: None,
        limits: Vec::new(),
        needs: Vec::new(),
        asked_counts: Vec::new(),
        first_shadowed: None,
        takes: Vec::new(),
    }
}

/// The demands for which too little is left, for every allowed lateness.
pub(crate) fn readings(demands: &[Looked]) -> Vec<HashSet<usize>> {
    let mut readings = vec![HashSet::new()];
    for (index, (demand, exact, late)) in demands.iter().enumerate() {
        // Where nothing is wanted, nothing is missing, however much is above `max`.
        let short = |look: &Reading| demand.cost > 0 && look.used + demand.cost > demand.count.max;
        let with: Vec<HashSet<usize>> = readings
            .iter()
            .map(|reading| reading.iter().copied().chain([index]).collect())
            .collect();
        match (short(exact), short(late)) {
            (true, _) => readings = with,
            (false, true) => readings.extend(with),
            (false, false) => {}
        }
    }
    readings
}

pub(crate) fn verdict(
    early: &[Finding],
    demands: &[Looked],
    short: &HashSet<usize>,
    approvals: &[Finding],
) -> Verdict {
    let short_of = |asks: bool| {
        let demands = demands
            .iter()
            .enumerate()
            .filter(|(index, _)| short.contains(index));
        let demands = demands.map(|(_, (demand, ..))| demand);
        demands.filter(move |demand| demand.asks == asks)
    };
    let limited = short_of(false).map(|demand| (Answer::new("rate_limited", &*demand.rule), demand.shadowed));
    let asked =
        short_of(true).map(|demand| (Answer::new("approval_required", &*demand.rule), demand.shadowed));
    let findings: Vec<Finding> = early
        .iter()
        .cloned()
        .chain(limited)
        .chain(approvals.iter().cloned())
        .chain(asked)
        .collect();
    let first = |finding: Option<&Finding>| finding.map_or_else(Answer::allow, |(answer, _)| answer.clone());
    let full = first(findings.first());
    let answer = first(findings.iter().find(|(_, shadowed)| !shadowed));
    let allowed = answer.outcome == "allow";
    let asked_for = answer.outcome == "approval_required";
    let asks =
        |(finding, shadowed): &&Finding| finding.outcome == "approval_required" && !shadowed && asked_for;
    let needs = findings
        .iter()
        .filter(asks)
        .map(|(need, _)| need.rule.clone())
        .collect();
    let asked_counts = short_of(true)
        .filter(|demand| asked_for && !demand.shadowed)
        .map(|demand| demand.count.key.clone())
        .collect();
    let takes: Vec<&Looked> = demands
        .iter()
        .filter(|(demand, ..)| allowed && (!demand.shadowed || full.outcome == "allow"))
        .collect();
    let waits = demands
        .iter()
        .enumerate()
        .filter(|(index, (demand, ..))| short.contains(index) && !demand.shadowed && !demand.asks)
        .map(|(_, (_, exact, late))| (exact.wait_us, late.wait_us));
    let longest = waits.reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)));
    let retry_after_ms = longest
        .filter(|_| answer.outcome == "rate_limited")
        .map(|(exact, late)| Bounds {
            least: exact.div_ceil(1_000),
            most: late.div_ceil(1_000),
        });
    Verdict {
        shadow: (allowed && full != answer).then_some(full),
        retry_after_ms,
        limits: enforced_states(demands, allowed),
        needs,
        asked_counts,
        first_shadowed: findings
            .into_iter()
            .find(|(_, shadowed)| *shadowed)
            .map(|(finding, _)| finding),
        takes: takes
            .into_iter()
            .map(|(demand, ..)| (demand.count.clone(), demand.cost))
            .collect(),
        answer,
    }
}

/// The states of the enforced counts, after units were taken where the call is allowed.
fn enforced_states(demands: &[Looked], allowed: bool) -> Vec<CountState> {
    let enforced = demands.iter().filter(|(demand, ..)| !demand.shadowed);
    enforced.map(|one| state(one, allowed)).collect()
}

fn state((demand, exact, late): &Looked, allowed: bool) -> CountState {
    let used = |used: i128| used + if allowed { demand.cost } else { 0 };
    let left = |units: i128| (demand.count.max - used(units)).max(0);
    let over = |units: i128| (used(units) - demand.count.max).max(0);
    let earliest = if allowed { exact.used_at_stamp } else { exact.used };
    CountState {
        rule: demand.rule.clone(),
        max: demand.count.max,
        remaining: Bounds {
            least: left(late.used),
            most: left(earliest),
        },
        over: Bounds {
            least: over(earliest),
            most: over(late.used),
        },
    }
}

/// The rules that apply: the tool's entry, then those of its category, then those of all tools.
fn applying<'p>(policy: &'p Policy, facts: &Facts, call: &Call) -> Vec<&'p Rules> {
    let category = category(policy, facts).and_then(Option::as_ref);
    let entry = policy.entry(&call.tool);
    entry
        .into_iter()
        .chain(category)
        .chain([&policy.all_tools])
        .collect()
}

fn category<'p>(policy: &'p Policy, facts: &Facts) -> Option<&'p Option<Rules>> {
    let name = facts.category.as_ref()?;
    let found = policy.categories.iter().find(|(category, _)| category == name)?;
    Some(&found.1)
}

fn denials(policy: &Policy, facts: &Facts, call: &Call, args: &Json) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut deny = |rule: String, shadowed: bool| found.push((Answer::new("deny", rule), shadowed));
    let category = category(policy, facts);
    if policy.hide.iter().any(|pattern| pattern.matches(&call.tool)) || matches!(category, Some(None)) {
        deny("(hidden)".to_owned(), policy.shadowed);
    }
    if policy.default_deny && policy.entry(&call.tool).is_none() && category.is_none() {
        deny("(default deny)".to_owned(), policy.shadowed);
    }
    let values = |path: &_| call.values(args, facts, path);
    let rules = applying(policy, facts, call);
    for rules in &rules {
        if rules.action == "deny" {
            deny(format!("{}/action", rules.pointer), rules.shadowed);
        }
    }
    for rules in &rules {
        for check in rules.require.iter().filter(|check| !check.is_met(&values)) {
            let which = crate::policy::step(&check.which);
            deny(format!("{}/require/{which}", rules.pointer), rules.shadowed);
        }
    }
    for rules in &rules {
        for check in rules.deny_if.iter().filter(|check| check.fires(&values)) {
            let which = crate::policy::step(&check.which);
            deny(format!("{}/deny_if/{which}", rules.pointer), rules.shadowed);
        }
    }
    for rules in &rules {
        if rules
            .schema
            .as_ref()
            .is_some_and(|schema| !validates(schema, facts, call))
        {
            deny(format!("{}/schema", rules.pointer), rules.shadowed);
        }
    }
    found
}

fn validates(schema: &Json, facts: &Facts, call: &Call) -> bool {
    let schema = match schema {
        Json::Text(_) => facts.input_schema.as_ref(),
        inline => Some(inline),
    };
    let read = |schema: &Json| serde_json::from_str::<serde_json::Value>(&schema.to_json());
    let Some(Ok(mut schema)) = schema.map(read) else {
        return false;
    };
    // There is one dialect, whatever a tool's schema declares.
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
    }
    let text = if call.args.is_empty() { "{}" } else { &call.args };
    let Ok(args) = serde_json::from_str(text) else {
        return false;
    };
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .offline()
        .should_validate_formats(false)
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(&schema)
        .is_ok_and(|validator| validator.is_valid(&args))
}

fn approvals(rules: &[&Rules], facts: &Facts, call: &Call, args: &Json) -> Vec<Finding> {
    let values = |path: &_| call.values(args, facts, path);
    let needed = |rules: &&&Rules| {
        let when = rules.approval_when.as_ref();
        rules.action == "require_approval"
            && when.is_none_or(|checks| checks.iter().any(|check| check.fires(&values)))
    };
    rules
        .iter()
        .filter(needed)
        .map(|rules| {
            (
                Answer::new("approval_required", format!("{}/approval", rules.pointer)),
                rules.shadowed,
            )
        })
        .collect()
}
