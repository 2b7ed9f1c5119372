//! The steps of `docs/policy.md` section 2 on a call of which not everything was logged: every answer that it can get.
//!
//! Rules in shadow change no answer. They matter for the units that a call takes: see [`shadowed_wants`].

use std::borrow::Cow;

use callgate_counters::{CountKey, KeyHasher, Micros};

use super::checks::{Missing, PartialCall};
use super::known::Known;
use super::usage::{Short, Usage, Want};
use super::verdicts::Combine;
use crate::Outcome;
use crate::compile::{Check, CompiledLimit, CompiledPolicy, CompiledSchema, Place};
use crate::eval::limits::{COST_DECIMALS, MAX_COST, hash_argument};
use crate::eval::schema;
use crate::eval::stages::{Places, UNSEEN};
use crate::eval::walk::Reached;
use crate::json::{Scaled, Value, scaled};
use crate::policy::ast::{Cost, Path, Scope};

/// The reason for which a call has several possible answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The value at this path was not logged.
    NotLogged(String),
    /// The schema of this rule needs all arguments, and not all were logged.
    Schema(String),
    /// What is left for the limit of this rule depends on calls that cannot be judged.
    Counts(String),
    /// What was left for the limit of this rule depends on calls before the log began.
    Earlier(String),
    /// A person approved the call for this rule, and the policy asks by another one.
    Approval(String),
    /// This name may be longer than the log shows it, or a part of it is hidden.
    Name(&'static str),
}

/// Every answer that a call can get.
#[derive(Debug, Default)]
pub(super) struct Answers<'s> {
    /// Outcomes with their rules, in the order in which they are met. The last one is certain if no earlier one applies.
    pub(super) list: Vec<(Outcome, Cow<'s, str>)>,
    pub(super) reasons: Vec<Unknown>,
    /// The units that the call takes if it is allowed.
    pub(super) wants: Vec<Want>,
    /// The rules that ask for an approval, or can ask.
    pub(super) asking: Vec<&'s str>,
    /// True if the call may be another one than the log shows.
    pub(super) is_anybody: bool,
}

/// The end of the judgement: nothing can be met after a certain answer.
struct Certain;

/// A step of the judgement.
type Step = Result<(), Certain>;

impl<'s> Answers<'s> {
    fn certain(&mut self, outcome: Outcome, rule: impl Into<Cow<'s, str>>) -> Certain {
        self.list.push((outcome, rule.into()));
        Certain
    }

    fn possible(&mut self, outcome: Outcome, rule: &'s str) {
        self.list.push((outcome, Cow::Borrowed(rule)));
    }

    fn blame(&mut self, reason: Unknown) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    fn blame_paths(&mut self, missing: &Missing<'_>) {
        for path in missing {
            self.blame(Unknown::NotLogged(path.text.clone()));
        }
    }

    /// Adds a denial that is possible, or certain.
    fn deny(&mut self, (possible, certain): (bool, bool), rule: &'s str, missing: &Missing<'_>) -> Step {
        if certain {
            return Err(self.certain(Outcome::Deny, rule));
        }
        if possible {
            self.possible(Outcome::Deny, rule);
            self.blame_paths(missing);
        }
        Ok(())
    }
}

/// The rules that take part in a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedRules {
    Enforced,
    /// Also those in shadow, as if they were enforced.
    All,
}

/// Judges a call by a policy, before any units are taken.
pub(super) fn answers<'s>(
    call: &PartialCall<'_>,
    policy: &'s CompiledPolicy,
    usage: &Usage,
    hash_key: &[u8; 16],
) -> Answers<'s> {
    answers_of(call, policy, usage, hash_key, AskedRules::Enforced)
}

/// The units that an allowed call takes from counts which only limits in shadow meet: those that it surely takes, and those that
/// it may take. It takes them if full enforcement would allow it too.
pub(super) fn shadowed_wants(
    call: &PartialCall<'_>,
    policy: &CompiledPolicy,
    usage: &Usage,
    hash_key: &[u8; 16],
    enforced: &Answers<'_>,
) -> (Vec<Want>, Vec<Want>) {
    let places = Places::find(policy, call.facts, policy.names.find(call.request.tool));
    let has_shadow = places.iter().any(|place| place.shadowed);
    if !has_shadow {
        return Default::default();
    }
    let full = answers_of(call, policy, usage, hash_key, AskedRules::All);
    // A person has approved what enforced rules ask, and nobody what those in shadow ask.
    let was_approved = call.line.was_approved();
    let passes = |outcome: Outcome| match outcome {
        Outcome::Allow => true,
        Outcome::ApprovalRequired => was_approved,
        Outcome::Deny | Outcome::RateLimited => false,
    };
    if !full.list.iter().any(|(outcome, _)| passes(*outcome)) {
        return Default::default();
    }
    // A count that enforced limits meet as well takes their cost alone.
    let is_met = |want: &Want| {
        let mut same = enforced.wants.iter().filter(|one| one.spec == want.spec);
        want.key.is_some() && same.any(|one| one.key == want.key)
    };
    let wants: Vec<Want> = full.wants.into_iter().filter(|want| !is_met(want)).collect();
    let is_sure = full.list.iter().all(|(outcome, _)| *outcome == Outcome::Allow);
    wants.into_iter().partition(|want| {
        // An enforced limit on an unknown count of the same kind may meet this one.
        let mut same = enforced.wants.iter().filter(|one| one.spec == want.spec);
        is_sure && same.all(|one| one.key.is_some())
    })
}

fn answers_of<'s>(
    call: &PartialCall<'_>,
    policy: &'s CompiledPolicy,
    usage: &Usage,
    hash_key: &[u8; 16],
    asked: AskedRules,
) -> Answers<'s> {
    let mut answers = Answers::default();
    // The steps end at the first certain answer; without one, the call is allowed.
    if judge(call, policy, usage, hash_key, asked, &mut answers).is_ok() {
        let _ = answers.certain(Outcome::Allow, "");
    }
    answers
}

fn judge<'s>(
    call: &PartialCall<'_>,
    policy: &'s CompiledPolicy,
    usage: &Usage,
    hash_key: &[u8; 16],
    asked: AskedRules,
    answers: &mut Answers<'s>,
) -> Step {
    let places = Places::find(policy, call.facts, policy.names.find(call.request.tool));
    let is_asked = |is_shadowed: bool| asked == AskedRules::All || !is_shadowed;
    if places.is_hidden() && is_asked(policy.shadowed) {
        return Err(answers.certain(Outcome::Deny, "(hidden)"));
    }
    if !places.is_named() && policy.default_deny && is_asked(policy.shadowed) {
        return Err(answers.certain(Outcome::Deny, "(default deny)"));
    }
    let enforced: Vec<&'s Place> = places.iter().filter(|place| is_asked(place.shadowed)).collect();
    if let Some(deny) = enforced.iter().find_map(|place| place.deny.as_ref()) {
        return Err(answers.certain(Outcome::Deny, deny.rule.as_str()));
    }
    if call.line.are_args_unseen && enforced.iter().any(|place| place.reads_args) {
        return Err(answers.certain(Outcome::Deny, UNSEEN));
    }
    for one in enforced.iter().flat_map(|place| &place.require) {
        let mut missing = Missing::new();
        let verdicts = call.check(&one.conditions, Combine::All, &mut missing);
        answers.deny(verdicts.refuses_as_requirement(), &one.rule, &missing)?;
    }
    for one in enforced.iter().flat_map(|place| &place.deny_if) {
        let mut missing = Missing::new();
        let verdicts = call.check(&one.conditions, Combine::Any, &mut missing);
        answers.deny(verdicts.fires(), &one.rule, &missing)?;
    }
    for place in enforced.iter().copied() {
        schema_of(call, place, answers)?;
    }
    for place in enforced.iter().copied() {
        for (index, limit) in policy.limits_of(place) {
            resolve(call, (index, limit), hash_key, answers)?;
        }
    }
    settle(call, policy, &enforced, usage, answers)
}

fn schema_of<'s>(call: &PartialCall<'_>, place: &'s Place, answers: &mut Answers<'s>) -> Step {
    let Some(rule) = &place.schema else { return Ok(()) };
    let schema = match &rule.schema {
        CompiledSchema::Inline(schema) => Some(&**schema),
        CompiledSchema::Input => call.facts.and_then(|facts| facts.input_schema.as_ref()),
    };
    let Some(schema) = schema else {
        return Err(answers.certain(Outcome::Deny, rule.rule.as_str()));
    };
    let Some(args) = call.args.whole else {
        answers.possible(Outcome::Deny, &rule.rule);
        answers.blame(Unknown::Schema(rule.rule.clone()));
        return Ok(());
    };
    let is_valid =
        schema.budget.allows(args) && schema::fault(&schema.validator, &schema::owned(args)).is_none();
    if is_valid {
        return Ok(());
    }
    Err(answers.certain(Outcome::Deny, rule.rule.as_str()))
}

/// The knowledge of the one value at a path of a scope or a cost.
enum One<'t> {
    Value(Value<'t>),
    /// No value: the call is denied.
    None,
    /// A value that was not logged; true if there may be none.
    NotLogged(bool),
}

fn one<'t>(call: &PartialCall<'t>, path: &Path) -> One<'t> {
    match call.args.find(path) {
        Known::Reached(Reached::Value(value)) => One::Value(value),
        Known::Reached(_) => One::None,
        Known::Present => One::NotLogged(false),
        Known::Some { .. } | Known::Nothing => One::NotLogged(true),
    }
}

/// Adds what the call wants of the count of a limit.
fn resolve<'s>(
    call: &PartialCall<'_>,
    (index, limit): (u32, &'s CompiledLimit),
    hash_key: &[u8; 16],
    answers: &mut Answers<'s>,
) -> Step {
    let key = key(call, limit, hash_key, answers)?;
    let most_cost = if limit.at_max.is_some() {
        MAX_COST
    } else {
        limit.shape.max
    };
    let cost = match &limit.cost {
        Cost::Fixed(cost) => (*cost, *cost),
        Cost::Args(path) => match one(call, path) {
            One::Value(value) => match value.as_number().map(|text| scaled(text, COST_DECIMALS)) {
                Some(Scaled::Units(units)) if units <= MAX_COST.0 => (Micros(units), Micros(units)),
                _ => return Err(answers.certain(Outcome::Deny, limit.cost_rule.as_str())),
            },
            One::None => return Err(answers.certain(Outcome::Deny, limit.cost_rule.as_str())),
            One::NotLogged(_) => {
                answers.possible(Outcome::Deny, &limit.cost_rule);
                answers.blame(Unknown::NotLogged(path.text.clone()));
                if limit.at_max.is_none() {
                    answers.possible(Outcome::Deny, &limit.rule);
                }
                (Micros(0), most_cost)
            }
        },
    };
    if cost.0 > limit.shape.max && limit.at_max.is_none() {
        return Err(answers.certain(Outcome::Deny, limit.rule.as_str()));
    }
    // One call that meets a count twice takes the larger cost, once, under the first limit's rule.
    let known = answers
        .wants
        .iter_mut()
        .find(|want| key.is_some() && want.key == key);
    if let Some(want) = known {
        want.cost = (want.cost.0.max(cost.0), want.cost.1.max(cost.1));
        return Ok(());
    }
    answers.wants.push(Want {
        limit: index,
        key,
        spec: limit.spec,
        shape: limit.shape(false),
        cost,
        asks: limit.at_max.is_some(),
    });
    Ok(())
}

/// The count of a limit; `None` if it depends on a value that was not logged.
fn key<'s>(
    call: &PartialCall<'_>,
    limit: &'s CompiledLimit,
    hash_key: &[u8; 16],
    answers: &mut Answers<'s>,
) -> Result<Option<CountKey>, Certain> {
    let mut hasher = KeyHasher::new(hash_key, &limit.spec);
    let mut is_known = true;
    let request = call.request;
    for scope in &limit.scope {
        match scope {
            Scope::Grant => hasher.str(request.grant),
            Scope::Session => {
                hasher.str(request.grant);
                if !call.line.session.is_whole {
                    is_known = false;
                    answers.blame(Unknown::Name("session"));
                }
                match request.session {
                    Some(session) => hasher.str(session),
                    None => hasher.none(),
                }
            }
            Scope::Tool => hasher.str(request.tool),
            Scope::Server => hasher.str(request.server),
            Scope::Global => {}
            Scope::Args(path) => match one(call, path) {
                One::Value(value) => hash_argument(&mut hasher, value),
                One::None => return Err(answers.certain(Outcome::Deny, limit.rule.as_str())),
                One::NotLogged(may_be_none) => {
                    is_known = false;
                    answers.blame(Unknown::NotLogged(path.text.clone()));
                    if may_be_none {
                        answers.possible(Outcome::Deny, &limit.rule);
                    }
                }
            },
        }
    }
    Ok(is_known.then(|| hasher.finish()))
}

/// Adds the answers of approvals and of counts.
fn settle<'s>(
    call: &PartialCall<'_>,
    policy: &'s CompiledPolicy,
    enforced: &[&'s Place],
    usage: &Usage,
    answers: &mut Answers<'s>,
) -> Step {
    let looked = |want: &Want| {
        let short = usage.short(want, call.now);
        // Where the count or the cost is not known, that was noted already.
        let is_known = want.key.is_some() && want.cost.0 == want.cost.1;
        Some((short, is_known, policy.limit(want.limit)?))
    };
    let short: Vec<(Short, bool, &'s CompiledLimit)> = answers.wants.iter().filter_map(looked).collect();
    for (short, is_known, limit) in &short {
        if *short == Short::Perhaps && *is_known {
            answers.blame(Unknown::Counts(limit.rule.clone()));
        }
        if limit.at_max.is_some() {
            continue;
        }
        match short {
            Short::No => {}
            Short::Perhaps => answers.possible(Outcome::RateLimited, &limit.rule),
            Short::Yes => return Err(answers.certain(Outcome::RateLimited, limit.rule.as_str())),
        }
    }
    // Each rule that can ask, and whether it must. The first that asks is the decision's.
    let mut asking: Vec<(&'s str, bool)> = Vec::new();
    for approval in enforced.iter().filter_map(|place| place.approval.as_ref()) {
        let mut missing = Missing::new();
        let (may, must) = fires_any(call, &approval.when, &mut missing);
        if may {
            asking.push((&approval.need.rule, must));
        }
        if may && !must {
            answers.blame_paths(&missing);
        }
    }
    for (short, _, limit) in short.iter().filter(|(.., limit)| limit.at_max.is_some()) {
        if *short != Short::No {
            asking.push((&limit.rule, *short == Short::Yes));
        }
    }
    answers.asking = asking.iter().map(|(rule, _)| *rule).collect();
    for (rule, must) in asking {
        if must {
            return Err(answers.certain(Outcome::ApprovalRequired, rule));
        }
        answers.possible(Outcome::ApprovalRequired, rule);
    }
    Ok(())
}

/// Returns whether one of these checks can ask for an approval, and whether one must; without any, it must.
fn fires_any<'s>(call: &PartialCall<'_>, when: &'s [Check], missing: &mut Missing<'s>) -> (bool, bool) {
    if when.is_empty() {
        return (true, true);
    }
    let each = when
        .iter()
        .map(|one| call.check(&one.conditions, Combine::Any, missing).fires());
    each.fold((false, false), |(may, must), (one_may, one_must)| {
        (may || one_may, must || one_must)
    })
}
