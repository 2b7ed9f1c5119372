//! Who listens to an evaluation: nobody, at no cost, or [`super::explain`].

use super::explain::{StepKind, StepResult};
use super::truth::Truth;
use crate::policy::ast::{Op, Path};

/// A listener. Every method of [`Silent`] is empty, so the hot path pays nothing.
pub(crate) trait Trace {
    /// Someone listens: evaluate what has already been decided, too.
    const ON: bool;
    /// Units are taken from the counters; otherwise they are only looked at.
    const TAKES: bool;

    /// A value was looked at; its type with an article, or `missing`.
    fn met(&mut self, kind: &'static str);
    /// A condition was worked out, from the values met since the last one.
    fn condition(&mut self, path: &Path, op: &Op, verdict: Result<Truth, ()>);
    /// A step was done, with the conditions since the last one.
    fn step(&mut self, kind: StepKind, rule: &str, shadowed: bool, result: StepResult);
}

/// Nobody listens.
#[derive(Debug)]
pub(crate) struct Silent;

impl Trace for Silent {
    const ON: bool = false;
    const TAKES: bool = true;

    fn met(&mut self, _kind: &'static str) {}
    fn condition(&mut self, _path: &Path, _op: &Op, _verdict: Result<Truth, ()>) {}
    fn step(&mut self, _kind: StepKind, _rule: &str, _shadowed: bool, _result: StepResult) {}
}
