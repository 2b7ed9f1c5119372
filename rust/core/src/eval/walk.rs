//! Walking argument paths (`docs/policy.md` section 3, paths).

use std::fmt::Write as _;

use smallvec::SmallVec;

use super::operand::type_words;
use crate::json::{Kind, Value};
use crate::policy::ast::{Path, Step};

/// Elements that one `[*]` may visit in one call.
pub(super) const MAX_VISITED: usize = 10_000;

/// The reason why a condition cannot be evaluated: the expected type, the place, and the type that was met; never the
/// value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EvaluationError<'p> {
    path: &'p Path,
    /// Steps of the path before the fault.
    steps: usize,
    expected: &'static str,
    got: &'static str,
}

impl<'p> EvaluationError<'p> {
    /// Creates a fault of the value at the end of the path.
    pub(super) fn at_end(path: &'p Path, expected: &'static str, got: &'static str) -> Self {
        Self {
            path,
            steps: path.steps.len(),
            expected,
            got,
        }
    }

    /// Formats the fault: "expected an object at `args.a`, got a string".
    pub(crate) fn message(&self) -> String {
        format!(
            "expected {} at `{}`, got {}",
            self.expected,
            self.place(),
            self.got
        )
    }

    /// Returns the type that was met, with an article.
    pub(super) const fn got(&self) -> &'static str {
        self.got
    }

    fn place(&self) -> String {
        if self.steps == self.path.steps.len() {
            return self.path.text.clone();
        }
        // Only paths below `args` have steps.
        let mut place = String::from("args");
        for step in self.path.steps.iter().take(self.steps) {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Key(key) if key.is_empty() || key.contains(['.', '[', ']', '"']) => {
                    write!(place, "[{key:?}]")
                }
                Step::Key(key) => write!(place, ".{key}"),
                Step::Index(index) => write!(place, "[{index}]"),
                Step::Every => write!(place, "[*]"),
            };
        }
        place
    }
}

/// The end of a walk along a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reached<'t, 'p> {
    /// At a value; null is one.
    Value(Value<'t>),
    /// At an absent key or index, or at a step through null.
    Missing,
    /// At a step of the wrong kind.
    Wrong(EvaluationError<'p>),
    /// At a `[*]`, with the list and the index of the step.
    Star(Value<'t>, usize),
}

/// Walks from `value` along the steps from index `from`, up to the first `[*]`.
pub(super) fn walk<'t, 'p>(mut value: Value<'t>, path: &'p Path, from: usize) -> Reached<'t, 'p> {
    for (index, step) in path.steps.iter().enumerate().skip(from) {
        let (next, wanted) = match step {
            Step::Key(key) => (value.get(key), Kind::Object),
            Step::Index(position) => (value.element(*position), Kind::Array),
            Step::Every => (None, Kind::Array),
        };
        if let Some(next) = next {
            value = next;
            continue;
        }
        let kind = value.kind();
        if kind == wanted && *step == Step::Every {
            return Reached::Star(value, index);
        }
        if kind == wanted || kind == Kind::Null {
            return Reached::Missing;
        }
        return Reached::Wrong(EvaluationError {
            path,
            steps: index,
            expected: type_words(wanted),
            got: type_words(kind),
        });
    }
    Reached::Value(value)
}

/// Visits every value at a path with `[*]`: nested lists flatten, each empty list is one missing value.
///
/// More than [`MAX_VISITED`] elements at one `[*]` is a fault, wherever they are, so that neither the order of elements
/// nor their contents decide which of them are visited.
pub(super) fn visit_all<'t, 'p>(
    root: Value<'t>,
    path: &'p Path,
    see: &mut impl FnMut(Reached<'t, 'p>),
) -> Result<(), EvaluationError<'p>> {
    visit_from(walk(root, path, 0), path, see)
}

/// Visits every value at a path whose walk has come to `reached`, like [`visit_all`].
pub(super) fn visit_from<'t, 'p>(
    reached: Reached<'t, 'p>,
    path: &'p Path,
    see: &mut impl FnMut(Reached<'t, 'p>),
) -> Result<(), EvaluationError<'p>> {
    let mut visited: SmallVec<[usize; 8]> = SmallVec::from_elem(0, path.steps.len());
    visit(reached, path, &mut visited, see)
}

fn visit<'t, 'p>(
    reached: Reached<'t, 'p>,
    path: &'p Path,
    visited: &mut [usize],
    see: &mut impl FnMut(Reached<'t, 'p>),
) -> Result<(), EvaluationError<'p>> {
    let Reached::Star(list, step) = reached else {
        see(reached);
        return Ok(());
    };
    if list.is_empty() {
        see(Reached::Missing);
        return Ok(());
    }
    if let Some(count) = visited.get_mut(step) {
        *count += list.len();
        if *count > MAX_VISITED {
            return Err(EvaluationError {
                path,
                steps: step,
                expected: "at most 10000 elements",
                got: "more",
            });
        }
    }
    // Recursion goes one `[*]` of the policy's path deeper each time, and one list of a document of bounded depth.
    for element in list.elements() {
        visit(walk(element, path, step + 1), path, visited, see)?;
    }
    Ok(())
}
