//! Findings of `callgate validate`: valid, but probably not intended.

use super::ast::{Action, Cost, Op, Path, Pattern, Root, Rules, Scope, Step, ToolEntry, Warning};
use super::fields::Fields;
use super::limit::PlacedLimit;
use super::number::scaled;
use super::pattern::covers;
use super::read::{Member, Node, Position, quoted};
use crate::json::Constant;

/// The highest number of warnings that are kept; more would not be read.
const MOST: usize = 100;

/// The highest number of compared pairs of patterns, so that loading stays fast with thousands of globs and names.
const MOST_PAIRS: usize = 200_000;

/// Fields of rules that are evaluated after `action`.
const AFTER_DENIAL: [&str; 5] = ["require", "deny_if", "schema", "limits", "rate_limit"];

/// The warnings of one document, in the order in which they are found.
#[derive(Default)]
pub(super) struct Warnings {
    found: Vec<Warning>,
    /// Limits per session in entries without a limit per grant; warned about unless `all_tools` has one.
    session_limits: Vec<(Position, String)>,
}

impl Warnings {
    fn push(&mut self, at: Position, message: String) {
        if self.found.len() < MOST {
            self.found.push(Warning {
                line: at.line,
                column: at.column,
                message,
                is_ineffective: false,
            });
        }
    }

    /// A setting that nothing reads. It is kept however many warnings came before.
    fn push_ineffective(&mut self, at: Position, message: &str) {
        self.found.push(Warning {
            line: at.line,
            column: at.column,
            message: message.to_owned(),
            is_ineffective: true,
        });
    }

    /// The warnings in document order.
    pub(super) fn finish(mut self) -> Vec<Warning> {
        self.found.sort_by_key(|warning| (warning.line, warning.column));
        self.found
    }

    /// Checks a condition.
    pub(super) fn of_test(&mut self, path: &Path, path_node: &Node, op: &Op, value_node: &Node) {
        let text = quoted(&path.text);
        if let Some(Step::Index(_) | Step::Every) = path.steps.first() {
            self.push(path_node.at, format!("{text} takes an element of `args`, which is an object: every call ends in an evaluation error"));
        }
        if path
            .steps
            .iter()
            .any(|step| matches!(step, Step::Key(key) if key == "*"))
            && path.text.contains(".*")
        {
            self.push(
                path_node.at,
                format!("{text} asks for a key called `*`; every element of a list is `[*]`"),
            );
        }
        let range = match path.root {
            Root::Hour => 0..=23,
            Root::Weekday => 1..=7,
            _ => return,
        };
        let constants: Vec<&Constant> = match op {
            Op::Eq(constant) | Op::Neq(constant) => vec![constant],
            Op::In(constants) | Op::NotIn(constants) => constants.iter().collect(),
            _ => return,
        };
        for constant in constants {
            if let Constant::Number(number) = constant {
                let integer = scaled(number, 0);
                if integer.negative || !range.contains(&integer.whole) {
                    self.push(
                        value_node.at,
                        format!(
                            "{text} is {} to {}, so it never has this value",
                            range.start(),
                            range.end()
                        ),
                    );
                    return;
                }
            }
        }
    }

    /// Checks the rules of one entry.
    pub(super) fn of_rules(&mut self, fields: &Fields<'_>, rules: &Rules) {
        if rules.action != Action::Deny {
            if let Some(reason) = fields.member("reason") {
                self.push(reason.key_at, "`reason` is the message of `\"action\": \"deny\"` and says nothing here; use `on_deny` of a check or a limit".to_owned());
            }
            return;
        }
        if let Some(field) = fields.first_of(&AFTER_DENIAL) {
            self.push(
                field.key_at,
                format!(
                    "`{}` is never looked at: `\"action\": \"deny\"` comes first",
                    field.key
                ),
            );
        }
    }

    /// Checks the limits of one entry.
    pub(super) fn of_limits(&mut self, limits: &[PlacedLimit]) {
        let per_grant = limits.iter().any(|placed| is_per_grant(&placed.limit.scope));
        for PlacedLimit {
            limit,
            at,
            for_store_at,
        } in limits
        {
            for (name, at) in for_store_at {
                self.push_ineffective(
                    *at,
                    &format!(
                        "`{name}` has no effect while counters are this process's own: it is for those that several \
                         nodes share, see `counters.shared` in docs/configuration.md"
                    ),
                );
            }
            if let Cost::Fixed(cost) = limit.cost
                && cost > limit.max
                && !limit.asks_at_max
            {
                self.push(
                    *at,
                    format!(
                        "the cost {cost} is above `max` {}: every call is denied",
                        limit.max
                    ),
                );
            }
            if !per_grant && limit.scope.contains(&Scope::Session) && self.session_limits.len() < MOST {
                self.session_limits.push((*at, limit.counter.clone()));
            }
        }
    }

    /// Checks the limits per session, after all entries are read.
    pub(super) fn of_session_limits(&mut self, all_tools: &Rules) {
        let limits = std::mem::take(&mut self.session_limits);
        if all_tools.limits.iter().any(|limit| is_per_grant(&limit.scope)) {
            return;
        }
        for (at, counter) in limits {
            self.push(at, format!("{} counts per session, and a new session begins at zero; put a limit with scope `grant` beside it", quoted(&counter)));
        }
    }

    /// Checks entries of `tools` that replace others, or that never apply.
    pub(super) fn of_entries(&mut self, members: &[Member], tools: &[ToolEntry], hide: &[Pattern]) {
        let globs: Vec<(usize, &ToolEntry)> = tools
            .iter()
            .enumerate()
            .filter(|(_, tool)| matches!(tool.pattern, Pattern::Glob(_)))
            .collect();
        let mut pairs = 0;
        for (index, (member, tool)) in members.iter().zip(tools).enumerate() {
            pairs += globs.len() + hide.len();
            if pairs > MOST_PAIRS || self.found.len() >= MOST {
                return;
            }
            if hide.iter().any(|hidden| covers(hidden, &tool.pattern)) {
                self.push(
                    member.key_at,
                    format!(
                        "{} is hidden by `hide`, so its rules never apply",
                        quoted(&tool.key)
                    ),
                );
                continue;
            }
            for (wider_index, wider) in &globs {
                if *wider_index == index || !covers(&wider.pattern, &tool.pattern) {
                    continue;
                }
                if !covers(&tool.pattern, &wider.pattern) {
                    if !is_empty(&wider.rules) {
                        self.push(member.key_at, format!("{} replaces the rules of {}, which do not apply to it; repeat those that should", quoted(&tool.key), quoted(&wider.key)));
                    }
                } else if *wider_index < index {
                    self.push(
                        member.key_at,
                        format!(
                            "{} matches what {} matches, which comes first, so its rules never apply",
                            quoted(&tool.key),
                            quoted(&wider.key)
                        ),
                    );
                }
            }
        }
    }
}

fn is_per_grant(scope: &[Scope]) -> bool {
    scope.contains(&Scope::Grant) && !scope.contains(&Scope::Session)
}

/// Returns whether rules can be replaced without losing anything.
fn is_empty(rules: &Rules) -> bool {
    rules.action == Action::Allow
        && rules.require.is_empty()
        && rules.deny_if.is_empty()
        && rules.schema.is_none()
        && rules.limits.is_empty()
}
