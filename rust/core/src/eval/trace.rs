//! The observer of an evaluation: either none, at no cost, or [`super::explain`].

use super::explain::{StepKind, StepResult};
use super::truth::Truth;
use crate::policy::ast::{Op, Path};

/// An observer. Every method of [`Silent`] is empty, so the hot path pays nothing.
pub(crate) trait Trace {
    /// True if there is an observer: rules after the deciding one are then evaluated, too.
    const ON: bool;
    /// True if units are taken from the counters; otherwise the counters are only read.
    const TAKES: bool;

    /// Reports a value that was read: its type with an article, or `missing`.
    fn met(&mut self, kind: &'static str);
    /// Reports a condition that was evaluated, from the values reported since the last one.
    fn condition(&mut self, path: &Path, op: &Op, verdict: Result<Truth, ()>);
    /// Reports a finished step, with the conditions since the last one.
    fn step(&mut self, kind: StepKind, rule: &str, shadowed: bool, result: StepResult);
}

/// No observer.
#[derive(Debug)]
pub(crate) struct Silent;

/// No observer either, and no units are taken.
#[derive(Debug)]
pub(crate) struct Peeking;

impl Trace for Silent {
    const ON: bool = false;
    const TAKES: bool = true;

    fn met(&mut self, _kind: &'static str) {}
    fn condition(&mut self, _path: &Path, _op: &Op, _verdict: Result<Truth, ()>) {}
    fn step(&mut self, _kind: StepKind, _rule: &str, _shadowed: bool, _result: StepResult) {}
}

impl Trace for Peeking {
    const ON: bool = false;
    const TAKES: bool = false;

    fn met(&mut self, _kind: &'static str) {}
    fn condition(&mut self, _path: &Path, _op: &Op, _verdict: Result<Truth, ()>) {}
    fn step(&mut self, _kind: StepKind, _rule: &str, _shadowed: bool, _result: StepResult) {}
}
