//! Generated messages: short sentences that a model can act on, never with a value of the call's arguments.

use std::borrow::Cow;

use super::walk::EvaluationError;
use crate::compile::{Check, CompiledLimit};
use crate::freeze::format_seconds;
use crate::grant::without_tokens;
use crate::json::JsonError;

/// Longest name that a message repeats, in characters.
const MAX_SHOWN: usize = 200;

/// A caller's text, cut to a bounded length and without tokens.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let text = without_tokens(text);
    let cut = text.char_indices().nth(MAX_SHOWN).map(|(end, _)| end);
    match cut {
        None => text,
        Some(end) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
    }
}

pub(super) fn not_json(error: &JsonError) -> String {
    format!(
        "the arguments are no JSON object as callgate reads it: {} at byte {}",
        error.kind, error.offset
    )
}

pub(super) fn not_an_object(kind: &str) -> String {
    format!("the arguments must be one JSON object, got {kind}")
}

pub(super) fn args_unseen(tool: &str) -> String {
    format!(
        "the decision about `{}` depends on its arguments, and the proxy in front does not send them here; ask the operator \
         to let the proxy forward the request's body",
        shown(tool)
    )
}

pub(super) fn unseen_member(tool: &str, member: &str) -> String {
    format!(
        "the call of `{}` needs a person's approval, and its `params` have `{}`, which nobody who approves would see; make \
         the call with `name` and `arguments` alone",
        shown(tool),
        shown(member)
    )
}

pub(super) fn unknown_server(server: &str) -> String {
    format!(
        "server `{}` is not known here; ask for a tool of a known server",
        shown(server)
    )
}

pub(super) fn unknown_grant(grant: &str) -> String {
    format!(
        "grant `{}` is not known here; send the `grant_token` of a grant of this server",
        shown(grant)
    )
}

pub(super) fn no_policy_for_server(server: &str) -> String {
    format!(
        "server `{}` has no policy, so nothing is allowed there; ask the operator to give it one",
        shown(server)
    )
}

pub(super) fn no_policy_for_grant(grant: &str) -> String {
    format!(
        "grant `{}` has no policy, so it allows nothing; ask the operator to give it one",
        shown(grant)
    )
}

pub(super) fn grant_revoked(grant: &str) -> String {
    format!(
        "grant `{}` has been revoked; ask the operator for another",
        shown(grant)
    )
}

pub(super) fn grant_expired(grant: &str) -> String {
    format!(
        "grant `{}` has expired; ask the operator for another",
        shown(grant)
    )
}

pub(super) fn not_allowed(tool: &str) -> String {
    format!(
        "tool `{}` is not allowed by this policy; use another tool",
        shown(tool)
    )
}

pub(super) fn check_refused(tool: &str, check: &Check) -> String {
    if check.clause.is_empty() {
        return not_allowed(tool);
    }
    format!("`{}` was refused: {}", shown(tool), check.clause)
}

pub(super) fn check_fault(tool: &str, fault: &EvaluationError<'_>) -> String {
    format!("`{}` was refused: {}", shown(tool), fault.message())
}

pub(super) fn schema_refused(tool: &str, fault: &str) -> String {
    format!(
        "`{}` was refused, its arguments do not fit the schema: {fault}",
        shown(tool)
    )
}

pub(super) fn schema_unknown(tool: &str) -> String {
    format!(
        "`{}` was refused: its input schema is not in the catalogue; ask the operator to add it",
        shown(tool)
    )
}

pub(super) fn scope_fault(
    tool: &str,
    limit: &CompiledLimit,
    path: &str,
    fault: Option<&EvaluationError<'_>>,
) -> String {
    let why = fault.map_or_else(|| format!("`{path}` is missing"), EvaluationError::message);
    format!(
        "`{}` was refused: limit `{}` counts by `{path}`, and {why}",
        shown(tool),
        limit.counter
    )
}

pub(super) fn cost_fault(tool: &str, limit: &CompiledLimit, path: &str) -> String {
    format!(
        "`{}` was refused: `{path}` is what it costs on limit `{}` and must be a number from 0 to 1000000000000 with at \
         most 6 decimals",
        shown(tool),
        limit.counter
    )
}

pub(super) fn cost_above_max(tool: &str, limit: &CompiledLimit) -> String {
    if limit.shape.max.0 == 0 {
        return format!(
            "{} not allowed at all by limit `{}`",
            subject(tool, limit, "is", "are"),
            limit.counter
        );
    }
    format!(
        "`{}` was refused: this call alone is above the limit of {}",
        shown(tool),
        limit.quota
    )
}

pub(super) fn rate_limited(tool: &str, limit: &CompiledLimit, wait_us: u64) -> String {
    let subject = subject(tool, limit, "is", "are");
    format!(
        "{subject} limited to {}; try again in {} s",
        limit.quota,
        wait_us.div_ceil(1_000_000)
    )
}

/// The rest of the sentence where nobody was asked, as in a peek.
pub(super) const APPROVAL_NOT_ASKED: &str = "a person's approval";

/// The rest of the sentence about an approval that waits: who is asked, by which id, and until when.
pub(super) fn approval_waits(id: &str, approvers: &[String], until_us: u64) -> String {
    let who = match approvers {
        [] => "a person".to_owned(),
        [group] => format!("a person of the group `{group}`"),
        groups => format!("a person of the groups `{}`", groups.join("`, `")),
    };
    format!(
        "the approval `{id}` of {who}; tell your user, and repeat exactly this call once it is given, before {}",
        // People see the second in which it ends, too.
        format_seconds(until_us / 1_000_000 * 1_000_000)
    )
}

pub(super) fn approval_required(tool: &str, waits: &str) -> String {
    format!("`{}` needs {waits}", shown(tool))
}

pub(super) fn approval_at_max(tool: &str, limit: &CompiledLimit, waits: &str) -> String {
    format!(
        "`{}` would pass the limit of {}, so it needs {waits}",
        shown(tool),
        limit.quota
    )
}

pub(super) fn approval_denied(tool: &str, reason: &str, until_us: u64) -> String {
    let reason = reason.trim();
    let said = if reason.is_empty() {
        String::new()
    } else {
        format!(": {}", on_one_line(reason))
    };
    format!(
        "a person has denied this call of `{}`{said}; it stays denied until {}, do not repeat it",
        shown(tool),
        format_seconds(until_us)
    )
}

pub(super) fn approval_too_long(tool: &str, max_bytes: usize) -> String {
    format!(
        "`{}` needs a person's approval, and its arguments, with the names of tool and session, are longer than {max_bytes} \
         bytes, which nobody could read; send less",
        shown(tool)
    )
}

pub(super) fn approval_capacity(of_grant: bool) -> String {
    let whose = if of_grant { "of this grant" } else { "in all" };
    format!(
        "the call needs a person's approval, and too many approvals {whose} are pending; wait until people have answered some"
    )
}

pub(super) fn too_many_wait(of_grant: bool) -> String {
    let whose = if of_grant { " of this grant" } else { "" };
    format!(
        "the call needs a person's approval, and too many calls{whose} wait for answers now; nobody was asked, try again in a \
         moment"
    )
}

/// A person's words without line breaks and other control characters.
fn on_one_line(text: &str) -> String {
    let text = shown(text);
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn subject(tool: &str, limit: &CompiledLimit, one: &str, many: &str) -> String {
    if limit.one_tool {
        format!("`{}` {one}", shown(tool))
    } else {
        format!("calls {many}")
    }
}
