//! The explanation of a decision, step by step, for `check --explain`.

use super::trace::Trace;
use super::truth::Truth;
use crate::Decision;
use crate::policy::ast::{Op, Path};

/// A decision and the steps that led to it. No units were taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The steps in the order of `docs/policy.md` section 2, up to the one that decided.
    pub steps: Vec<Step>,
    /// The decision, as it would be given now.
    pub decision: Decision<'static>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The question of the step.
    pub kind: StepKind,
    /// Rule pointer of the rule that was evaluated.
    pub rule: String,
    /// True for a rule in shadow, which does not stop the call.
    pub shadowed: bool,
    /// The result of the step.
    pub result: StepResult,
    /// For checks: every condition, in document order.
    pub conditions: Vec<ConditionStep>,
}

/// The question that a step answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// Is the request well formed, are server and grant known, and is the grant valid?
    Request,
    /// Does a freeze stop the call? Asked only while there are freezes.
    Frozen,
    /// Is the tool hidden?
    Hidden,
    /// Does an entry or a category match, or else `default` allow?
    Default,
    /// Is the action `deny`?
    Action,
    /// Does a check of `require` hold?
    Require,
    /// Does a check of `deny_if` fire?
    DenyIf,
    /// Do the arguments validate?
    Schema,
    /// Does a limit have enough left?
    Limit,
    /// Does a check of an approval's `when` fire?
    ApprovalWhen,
    /// Is an approval needed?
    Approval,
}

impl StepKind {
    /// Returns a word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Frozen => "frozen",
            Self::Hidden => "hidden",
            Self::Default => "default",
            Self::Action => "action",
            Self::Require => "require",
            Self::DenyIf => "deny_if",
            Self::Schema => "schema",
            Self::Limit => "limit",
            Self::ApprovalWhen => "approval when",
            Self::Approval => "approval",
        }
    }
}

/// The result of a step or of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepResult {
    /// The step lets the call pass.
    Passed,
    /// The step stops the call, or would if it were not in shadow.
    Stopped,
    /// A condition: known to be true.
    True,
    /// A condition: presumed to be true, because a value is missing.
    PresumedTrue,
    /// A condition: presumed to be false, because a value is missing.
    PresumedFalse,
    /// A condition: known to be false.
    False,
    /// An evaluation error.
    Error,
}

impl StepResult {
    /// Returns the words of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Stopped => "stopped",
            Self::True => "true",
            Self::PresumedTrue => "presumed true",
            Self::PresumedFalse => "presumed false",
            Self::False => "false",
            Self::Error => "error",
        }
    }

    pub(super) const fn of(verdict: Result<Truth, ()>) -> Self {
        match verdict {
            Ok(Truth::True) => Self::True,
            Ok(Truth::PresumedTrue) => Self::PresumedTrue,
            Ok(Truth::PresumedFalse) => Self::PresumedFalse,
            Ok(Truth::False) => Self::False,
            Err(()) => Self::Error,
        }
    }

    pub(super) const fn stopped(stopped: bool) -> Self {
        if stopped { Self::Stopped } else { Self::Passed }
    }
}

/// One condition of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionStep {
    /// The path as written.
    pub path: String,
    /// The operator.
    pub op: &'static str,
    /// The types of the values at the path, each once, in the order in which they were met: `a string`, `missing`.
    /// Never the values.
    pub met: Vec<&'static str>,
    /// The result of the condition, before any `not` around it.
    pub result: StepResult,
}

impl Explanation {
    /// The explanation that `decide` tells the listener that it gets.
    pub(crate) fn of<'s>(decide: impl FnOnce(&mut Listener) -> Decision<'s>) -> Self {
        let mut listener = Listener::default();
        let decision = decide(&mut listener).into_owned();
        Self {
            steps: listener.steps,
            decision,
        }
    }
}

/// A listener that writes every step down.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    steps: Vec<Step>,
    conditions: Vec<ConditionStep>,
    met: Vec<&'static str>,
}

impl Trace for Listener {
    const ON: bool = true;
    const TAKES: bool = false;

    fn met(&mut self, kind: &'static str) {
        if !self.met.contains(&kind) {
            self.met.push(kind);
        }
    }

    fn condition(&mut self, path: &Path, op: &Op, verdict: Result<Truth, ()>) {
        self.conditions.push(ConditionStep {
            path: path.text.clone(),
            op: op.name(),
            met: std::mem::take(&mut self.met),
            result: StepResult::of(verdict),
        });
    }

    fn step(&mut self, kind: StepKind, rule: &str, shadowed: bool, result: StepResult) {
        // Limits stand before the approval, though its conditions are weighed before counters are looked at.
        let is_later = |step: &Step| matches!(step.kind, StepKind::ApprovalWhen | StepKind::Approval);
        let later = match kind {
            StepKind::Limit => self.steps.iter().rev().take_while(|step| is_later(step)).count(),
            _ => 0,
        };
        let step = Step {
            kind,
            rule: rule.to_owned(),
            shadowed,
            result,
            conditions: std::mem::take(&mut self.conditions),
        };
        self.steps.insert(self.steps.len() - later, step);
    }
}
