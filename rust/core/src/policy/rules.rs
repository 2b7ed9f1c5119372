//! The rules of one entry (`docs/policy.md` section 1).

use super::ast::{Action, Approval, Mode, Rules};
use super::check::checks;
use super::conflict::Entry;
use super::fields::{Fields, word};
use super::limit::{PlacedLimit, limit, rate_limit};
use super::read::{DocumentError, Member, Node, Read};
use super::schema::schema;
use super::warnings::Warnings;
use super::window::duration;

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

/// The default time that a pending approval waits.
const DEFAULT_TIMEOUT_MS: u64 = 60 * 60 * 1_000;

/// Data of all entries, for checks that need all of them.
pub(super) struct Collected {
    pub(super) warnings: Warnings,
    pub(super) limits: Vec<(Entry, PlacedLimit)>,
}

/// The entry whose rules are read.
pub(super) struct Context<'p> {
    /// The name of the counter of `rate_limit`, without `_rate`.
    pub(super) counter: &'p str,
    /// The entry; it tells whether other entries may apply to the same calls.
    pub(super) entry: Entry,
    /// The mode of entries without a mode.
    pub(super) mode: Mode,
}

/// Reads the rules of one entry.
pub(super) fn rules(node: &Node, context: &Context<'_>, collected: &mut Collected) -> Read<Rules> {
    let fields = Fields::of(node, "rules", &FIELDS)?;
    let action = match fields.get("action") {
        Some(node) => action(node)?,
        None => Action::Allow,
    };
    let reason = fields
        .get("reason")
        .map(|node| node.string("a message").map(str::to_owned))
        .transpose()?;
    let warnings = &mut collected.warnings;
    let rules = Rules {
        action,
        reason,
        require: fields
            .get("require")
            .map_or_else(|| Ok(Vec::new()), |node| checks(node, warnings))?,
        deny_if: fields
            .get("deny_if")
            .map_or_else(|| Ok(Vec::new()), |node| checks(node, warnings))?,
        schema: fields.get("schema").map(schema).transpose()?,
        limits: limits(&fields, context, collected)?,
        approval: approval(fields.member("approval"), action, &mut collected.warnings)?,
        mode: fields.get("mode").map_or(Ok(context.mode), mode)?,
    };
    collected.warnings.of_rules(&fields, &rules);
    Ok(rules)
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
fn limits(
    fields: &Fields<'_>,
    context: &Context<'_>,
    collected: &mut Collected,
) -> Read<Vec<super::ast::Limit>> {
    let mut placed = Vec::new();
    if let Some(node) = fields.get("limits") {
        for element in node.list("a list of limits")? {
            placed.push(limit(element)?);
        }
    }
    if let Some(node) = fields.get("rate_limit") {
        placed.push(rate_limit(node, context.counter)?);
    }
    let limits = placed.iter().map(|placed| placed.limit.clone()).collect();
    collected.warnings.of_limits(&placed);
    collected
        .limits
        .extend(placed.into_iter().map(|placed| (context.entry, placed)));
    Ok(limits)
}

fn approval(member: Option<&Member>, action: Action, warnings: &mut Warnings) -> Read<Option<Approval>> {
    let Some(member) = member else {
        return Ok((action == Action::RequireApproval).then(|| Approval {
            when: Vec::new(),
            timeout_ms: DEFAULT_TIMEOUT_MS,
        }));
    };
    if action != Action::RequireApproval {
        return Err(DocumentError::at(
            member.key_at,
            "`approval` goes with `\"action\": \"require_approval\"`; add that action or remove this field",
        ));
    }
    let fields = Fields::of(&member.value, "an approval", &["when", "timeout"])?;
    let when = match fields.get("when") {
        None => Vec::new(),
        Some(node) => {
            let when = checks(node, warnings)?;
            if when.is_empty() {
                return Err(node.error("expected a list of checks, got an empty one; without `when` every call needs an approval"));
            }
            when
        }
    };
    let timeout_ms = fields.get("timeout").map_or(Ok(DEFAULT_TIMEOUT_MS), duration)?;
    Ok(Some(Approval { when, timeout_ms }))
}
