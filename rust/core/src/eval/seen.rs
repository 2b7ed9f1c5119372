//! The parts of a call that a decision has read, for records of it.

use std::ops::ControlFlow;

use super::admission::AdmittedRequest;
use super::walk::{MAX_VISITED, Reached, walk};
use crate::compile::CompiledPolicy;
use crate::json::Value;
use crate::policy::ast::{Path, Step};

/// The arguments of a well-formed call and the labels of its grant, and what its policy lets a record keep of them.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'t> {
    args: Value<'t>,
    are_args_known: bool,
    decider: Option<(&'t CompiledPolicy, &'t AdmittedRequest<'t>)>,
}

/// The labels of a call's grant, as a record keeps them.
#[derive(Clone, Copy, Debug)]
pub struct SeenLabels<'t> {
    policy: &'t CompiledPolicy,
    request: &'t AdmittedRequest<'t>,
}

/// A path of `log_args` (`docs/policy.md` section 1).
#[derive(Clone, Copy, Debug)]
pub struct LoggedPath<'t>(&'t Path);

impl<'t> Seen<'t> {
    /// Creates the view of a call. Without a policy that decides it, a record keeps only keys.
    pub(super) const fn new(
        args: Value<'t>,
        are_args_known: bool,
        decider: Option<(&'t CompiledPolicy, &'t AdmittedRequest<'t>)>,
    ) -> Self {
        Self {
            args,
            are_args_known,
            decider,
        }
    }

    /// False if the arguments are a substitute, because the proxy forwards no body.
    pub const fn are_args_known(&self) -> bool {
        self.are_args_known
    }

    /// The labels of the call's grant; `None` if no policy decides the call.
    pub fn labels(&self) -> Option<SeenLabels<'t>> {
        self.decider
            .map(|(policy, request)| SeenLabels { policy, request })
    }

    /// The keys of the arguments object, in the order of the document. The caller chose them.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &'t str> {
        let args = self.args;
        let mut members = args.members();
        // Sized by the object, whose members are as many.
        (0..args.len()).map(move |_| members.next().map_or("", |(key, _)| key))
    }

    /// The paths whose values a record may keep.
    pub fn logged(&self) -> impl Iterator<Item = LoggedPath<'t>> + use<'t> {
        let paths = self.decider.map_or(&[][..], |(policy, _)| &policy.log_args);
        paths.iter().map(LoggedPath)
    }

    /// Passes the values at a path to `see`, until it breaks off: none if the path is missing or meets another type.
    pub fn each_value(&self, path: LoggedPath<'t>, mut see: impl FnMut(Value<'t>) -> ControlFlow<()>) {
        let mut visits = MAX_VISITED;
        // A break needs no answer: `see` itself has asked for it.
        let _ = each(walk(self.args, path.0, 0), path.0, &mut visits, &mut see);
    }
}

impl<'t> SeenLabels<'t> {
    /// The digest of all labels: see [`crate::grant::labels_digest`]. `None` if the grant has none.
    pub fn digest(self) -> Option<u64> {
        self.request.labels_digest()
    }

    /// The names whose values a record may keep, each with the grant's label of this name, if it has one.
    pub fn logged(self) -> impl Iterator<Item = (&'t str, Option<&'t str>)> + use<'t> {
        let names = self.policy.log_labels.iter();
        names.map(move |name| (name.as_str(), self.request.label(name)))
    }
}

impl<'t> LoggedPath<'t> {
    /// Returns the path as the policy writes it.
    pub fn text(self) -> &'t str {
        &self.0.text
    }

    /// Returns true if the path holds `[*]`, and so may lead to several values.
    pub fn is_many(self) -> bool {
        self.0.steps.contains(&Step::Every)
    }
}

fn each<'t>(
    reached: Reached<'t, '_>,
    path: &Path,
    visits: &mut usize,
    see: &mut impl FnMut(Value<'t>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match reached {
        Reached::Value(value) => see(value),
        Reached::Missing | Reached::Wrong(_) => ControlFlow::Continue(()),
        // As deep as the path has `[*]`.
        Reached::Star(list, step) => list.elements().try_for_each(|element| {
            *visits = match visits.checked_sub(1) {
                Some(left) => left,
                None => return ControlFlow::Break(()),
            };
            each(walk(element, path, step + 1), path, visits, see)
        }),
    }
}
