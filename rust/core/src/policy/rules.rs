//! The rules of one entry (`docs/policy.md` section 1).

use std::sync::Arc;

use super::approval::{Asker, approval};
use super::ast::{Action, Limit, Mode, Rules};
use super::check::checks;
use super::collected::Collected;
use super::conflict::Entry;
use super::digest;
use super::fields::{Fields, word};
use super::limit::{limit, rate_limit};
use super::read::{Node, Read};
use super::schema::schema;

/// The fields of rules.
pub(super) const FIELDS: [&str; 9] = [
    "action",
    "reason",
    "require",
    "deny_if",
    "schema",
    "limits",
    "rate_limit",
    "approval",
    "mode",
];

/// The entry whose rules are read.
pub(super) struct Context<'p> {
    /// The name of the counter of `rate_limit`, without `_rate`.
    pub(super) counter: &'p str,
    /// The entry; it tells whether other entries may apply to the same calls.
    pub(super) entry: Entry,
    /// The mode of entries without a mode.
    pub(super) mode: Mode,
}

/// Reads the rules of one entry; `None` if they have a fault.
pub(super) fn rules(node: &Node, context: &Context<'_>, collected: &mut Collected) -> Option<Rules> {
    let fields = Fields::collect(node, "rules", &FIELDS, collected)?;
    read(&fields, context, collected)
}

/// Reads the rules among the fields of one entry; `None` if one has a fault.
pub(super) fn read(fields: &Fields<'_>, context: &Context<'_>, collected: &mut Collected) -> Option<Rules> {
    let action = collected.read(fields.get("action").map(action).transpose());
    let reason = fields.get("reason").map(|node| node.string("a message"));
    let reason = collected.read(reason.transpose());
    let require = fields.get("require").map(|node| checks(node, collected));
    let deny_if = fields.get("deny_if").map(|node| checks(node, collected));
    let schema = collected.read(fields.get("schema").map(schema).transpose());
    let limits = limits(fields, context, collected);
    // The approval cannot be compared with an action that has a fault.
    let approval = action.map(|action| {
        let asker = match action {
            Some(Action::RequireApproval) => Asker::Action,
            _ if limits.iter().any(|limit| limit.asks_at_max) => Asker::Limit,
            _ => Asker::None,
        };
        approval(fields.member("approval"), asker, collected)
    });
    let mode = collected.read(fields.get("mode").map_or(Ok(context.mode), mode));
    let rules = Rules {
        action: action?.unwrap_or(Action::Allow),
        reason: reason?.map(str::to_owned),
        require: require.unwrap_or_default(),
        deny_if: deny_if.unwrap_or_default(),
        schema: schema?,
        limits,
        approval: approval?,
        mode: mode?,
        // A fault of it is one of the whole document, whose digest tells it.
        entry: Some(Arc::new(digest::entry(fields.node()).ok()?)),
    };
    collected.warnings.of_rules(fields, &rules);
    Some(rules)
}

/// `mode`.
pub(super) fn mode(node: &Node) -> Read<Mode> {
    Ok(if word(node, &["enforce", "shadow"])? == 0 {
        Mode::Enforce
    } else {
        Mode::Shadow
    })
}

fn action(node: &Node) -> Read<Action> {
    Ok(match word(node, &["allow", "deny", "require_approval"])? {
        0 => Action::Allow,
        1 => Action::Deny,
        _ => Action::RequireApproval,
    })
}

/// The elements of `limits`, then the limit that `rate_limit` stands for.
fn limits(fields: &Fields<'_>, context: &Context<'_>, collected: &mut Collected) -> Vec<Limit> {
    let mut placed = Vec::new();
    if let Some(node) = fields.get("limits") {
        let elements = collected.read(node.list("a list of limits")).unwrap_or_default();
        placed.extend(elements.iter().filter_map(|element| limit(element, collected)));
    }
    if let Some(node) = fields.get("rate_limit") {
        placed.extend(collected.read(rate_limit(node, context.counter)));
    }
    let limits = placed.iter().map(|placed| placed.limit.clone()).collect();
    collected.warnings.of_limits(&placed);
    collected
        .limits
        .extend(placed.into_iter().map(|placed| (context.entry, placed)));
    limits
}
