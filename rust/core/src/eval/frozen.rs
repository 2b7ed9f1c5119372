//! Step 1a of `docs/policy.md` section 2: no freeze stops the call.

use std::borrow::Cow;

use super::weigh::Weighed;
use crate::freeze::{FROZEN, Freezes};
use crate::state::State;
use crate::{Decision, Now, Outcome};

/// The denial of a call that a freeze stops now.
pub(crate) fn decision<'s>(
    freezes: &Freezes,
    state: &'s State,
    weighed: &Weighed<'_, '_>,
    now: Now,
) -> Option<Decision<'s>> {
    let message = freezes.message(&weighed.server, &weighed.grant, &weighed.tool, now.unix_us())?;
    let mut decision = Decision::bare(
        Outcome::Deny,
        Cow::Borrowed(FROZEN),
        Cow::Owned(message),
        now.unix_us(),
    );
    weighed.indexes.complete(state, &mut decision);
    Some(decision)
}
