//! Questions to an engine that change nothing.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Engine, Explanation, Peek, Scratch, State, internal_error};
use crate::eval::Peeking;
use crate::{Now, Request};

impl Engine {
    /// Decides one call without taking units, and returns every step and the types that conditions met.
    pub fn explain(
        &self,
        state: &State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
    ) -> Explanation {
        let explained = catch_unwind(AssertUnwindSafe(|| {
            Explanation::of(|listener| self.run(state, request, now, &mut scratch.tape, listener, |_| ()))
        }));
        explained.unwrap_or_else(|_| {
            *scratch = Scratch::default();
            Explanation {
                steps: Vec::new(),
                decision: internal_error(now),
            }
        })
    }

    /// Looks at what is left for a caller of one tool, or of any where the request names none: no unit is taken and no counter
    /// is made. The decision is that of [`Engine::decide`], with the limits before the call; a reservation is not opened.
    pub fn peek<'s>(
        &self,
        state: &'s State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
    ) -> Peek<'s> {
        let peeked = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(any(test, feature = "forced-panic"))]
            super::force_panic(request);
            let evaluation = self.evaluation(state, request, now);
            let (policy, limits, frozen) = match evaluation.peek_limits(&self.counters, &mut scratch.tape) {
                ControlFlow::Continue(found) => found,
                ControlFlow::Break(denial) => return Peek::refused(denial),
            };
            let mut decide = || self.run(state, request, now, &mut scratch.tape, &mut Peeking, |_| ());
            Peek {
                decision: if request.tool.is_empty() {
                    frozen
                } else {
                    Some(decide())
                },
                policy: &policy.name,
                policy_version: policy.version(),
                limits,
            }
        }));
        peeked.unwrap_or_else(|_| {
            *scratch = Scratch::default();
            Peek::refused(internal_error(now))
        })
    }
}
