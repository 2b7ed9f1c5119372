//! Needs: the rules that ask for an approval (`docs/policy.md` section 6).

use std::borrow::Cow;
use std::sync::Arc;

use crate::compile::Need;

/// The needs of one call; an owned one outlives the state that it is from.
pub(super) type Needs<'s> = Vec<Cow<'s, Arc<Need>>>;

/// The same needs without borrowed data.
pub(super) fn into_owned(needs: Needs<'_>) -> Needs<'static> {
    needs
        .into_iter()
        .map(|need| Cow::Owned(need.into_owned()))
        .collect()
}

/// The pointer of the first need; empty if there is none.
pub(super) fn first_rule<'s>(needs: &[Cow<'s, Arc<Need>>]) -> Cow<'s, str> {
    match needs.first() {
        Some(Cow::Borrowed(need)) => Cow::Borrowed(need.rule.as_str()),
        Some(Cow::Owned(need)) => Cow::Owned(need.rule.clone()),
        None => Cow::Borrowed(""),
    }
}
