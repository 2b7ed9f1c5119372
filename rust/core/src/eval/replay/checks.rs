//! Conditions and checks on a call of which not everything was logged: the set of what they can come to.

use super::known::{Known, KnownArgs, Others};
use super::line::{LoggedCall, LoggedLabel};
use super::verdicts::{Combine, Verdicts};
use crate::Now;
use crate::compile::ToolFactsCompiled;
use crate::eval::admission::AdmittedRequest;
use crate::eval::call::{EvaluatedCall, Fact};
use crate::eval::operand::Operand;
use crate::eval::operators::{on_missing, on_value};
use crate::eval::truth::Truth;
use crate::eval::walk::{Reached, visit_from, walk};
use crate::policy::ast::{Condition, Op, Path, Root};

/// A call as far as it was logged, with everything that conditions and limits may read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartialCall<'c> {
    pub(super) line: &'c LoggedCall<'c>,
    pub(super) args: &'c KnownArgs<'c>,
    pub(super) request: &'c AdmittedRequest<'c>,
    pub(super) facts: Option<&'c ToolFactsCompiled>,
    /// The labels of the grant, if the log shows that it had these.
    pub(super) labels: Option<&'c [(String, String)]>,
    pub(super) now: Now,
}

/// The paths that conditions read and that were not logged.
pub(super) type Missing<'p> = Vec<&'p Path>;

impl PartialCall<'_> {
    /// The set of verdicts of conditions that must all hold. Under `Combine::All` a `[*]` holds for every element, as under
    /// `require`; under `Combine::Any` for at least one.
    pub(super) fn check<'p>(
        &self,
        conditions: &'p [Condition],
        quantifier: Combine,
        missing: &mut Missing<'p>,
    ) -> Verdicts {
        self.combined(Combine::All, conditions, quantifier, missing)
    }

    fn combined<'p>(
        &self,
        combine: Combine,
        conditions: &'p [Condition],
        quantifier: Combine,
        missing: &mut Missing<'p>,
    ) -> Verdicts {
        let start = Verdicts::start(combine);
        conditions.iter().fold(start, |set, one| {
            set.combined(combine, self.condition(one, quantifier, missing))
        })
    }

    fn condition<'p>(
        &self,
        condition: &'p Condition,
        quantifier: Combine,
        missing: &mut Missing<'p>,
    ) -> Verdicts {
        match condition {
            Condition::Test { path, op } => {
                let verdicts = self.test(path, op, quantifier);
                if !verdicts.is_known() {
                    missing.push(path);
                }
                verdicts
            }
            Condition::Any(list) => self.combined(Combine::Any, list, quantifier, missing),
            Condition::All(list) => self.combined(Combine::All, list, quantifier, missing),
            // Nesting is bounded by the depth of the policy document.
            Condition::Not(inner) => self.condition(inner, quantifier.swapped(), missing).mirrored(),
        }
    }

    fn test(&self, path: &Path, op: &Op, quantifier: Combine) -> Verdicts {
        if path.root != Root::Args {
            return self.fact(&path.root, op);
        }
        match self.args.find(path) {
            Known::Reached(reached) => judge_all(path, op, quantifier, reached),
            Known::Some {
                values,
                next_step,
                others,
            } => {
                let known = values.into_iter().map(|value| walk(value, path, next_step));
                let known = known.fold(Verdicts::start(quantifier), |set, reached| {
                    set.combined(quantifier, judge_all(path, op, quantifier, reached))
                });
                let more = match others {
                    Others::None => return known,
                    Others::Valueless => Verdicts::truth(on_missing(op)).or(Verdicts::ERROR),
                    Others::Any => anything(op),
                };
                known.combined_with_more(quantifier, more)
            }
            Known::Present => of_some_value(op),
            Known::Nothing => anything(op),
        }
    }

    /// The set of verdicts about a value outside the arguments.
    fn fact(&self, root: &Root, op: &Op) -> Verdicts {
        let fact = match root {
            Root::GrantLabel(name) => match self.label(name) {
                LoggedLabel::Value(text) => Fact::Text(text),
                LoggedLabel::Absent => Fact::Missing,
                LoggedLabel::NotLogged => return anything(op),
            },
            Root::Session if !self.line.session.is_whole => return of_some_value(op),
            root => self.evaluated().fact(root),
        };
        match fact {
            Fact::Missing => Verdicts::truth(on_missing(op)),
            Fact::Text(text) => judge_operand(op, Operand::Text(text)),
            Fact::Number(number) => judge_operand(op, Operand::Number(number)),
        }
    }

    /// The same call for who reads nothing that may not have been logged.
    const fn evaluated(&self) -> EvaluatedCall<'_> {
        EvaluatedCall {
            request: self.request,
            args: self.args.object,
            args_are_seen: !self.line.are_args_unseen,
            facts: self.facts,
            now: self.now,
        }
    }

    fn label(&self, name: &str) -> LoggedLabel<'_> {
        match self.labels {
            Some(labels) => {
                let own = labels.iter().find(|(label, _)| label == name);
                own.map_or(LoggedLabel::Absent, |(_, value)| LoggedLabel::Value(value))
            }
            None => self.line.labels.get(name),
        }
    }
}

/// The verdicts on the value at a path, or on all of them where a `[*]` follows.
fn judge_all(path: &Path, op: &Op, quantifier: Combine, reached: Reached<'_, '_>) -> Verdicts {
    if !matches!(reached, Reached::Star(..)) {
        return judge(op, &reached);
    }
    let mut set = Verdicts::start(quantifier);
    let visited = visit_from(reached, path, &mut |reached| {
        set = set.combined(quantifier, judge(op, &reached));
    });
    visited.map_or(Verdicts::ERROR, |()| set)
}

fn judge(op: &Op, reached: &Reached<'_, '_>) -> Verdicts {
    match reached {
        Reached::Value(value) => judge_operand(op, Operand::of(*value)),
        Reached::Missing | Reached::Star(..) => Verdicts::truth(on_missing(op)),
        Reached::Wrong(_) => Verdicts::ERROR,
    }
}

fn judge_operand(op: &Op, operand: Operand<'_>) -> Verdicts {
    Verdicts::of(on_value(op, operand).map(Truth::known).map_err(|_| ()))
}

/// The verdicts on a value that is there and was not logged.
fn of_some_value(op: &Op) -> Verdicts {
    match op {
        Op::Exists(present) => Verdicts::truth(Truth::known(*present)),
        // Every value can be compared.
        Op::Eq(_) | Op::Neq(_) | Op::In(_) | Op::NotIn(_) => Verdicts::either(),
        _ => Verdicts::either().or(Verdicts::ERROR),
    }
}

/// The verdicts where nothing is known.
fn anything(op: &Op) -> Verdicts {
    of_some_value(op)
        .or(Verdicts::truth(on_missing(op)))
        .or(Verdicts::ERROR)
}
