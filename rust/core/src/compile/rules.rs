//! The compiled rules of one entry, with pointers and sentences rendered in advance.

use std::ops::Range;
use std::sync::Arc;

use super::limits::Counts;
use super::pointer::{check_name, pointer, push_step};
use super::{CompileError, CompiledLimit, reads, sentence};
use crate::policy::ast::{self, Action, ApprovalTerms, Condition, EntryDocument, Mode, Rules, Schema};
use crate::policy::schema::{SchemaCheck, compile_schema};

/// The rules of one part of the policy: an entry of `tools`, a category, or `all_tools`.
#[derive(Debug)]
pub(crate) struct Place {
    /// `mode: shadow`.
    pub(crate) shadowed: bool,
    /// Its result depends on the call's arguments.
    pub(crate) reads_args: bool,
    pub(crate) deny: Option<Deny>,
    pub(crate) require: Vec<Check>,
    pub(crate) deny_if: Vec<Check>,
    pub(crate) schema: Option<SchemaRule>,
    /// Indexes of [`super::CompiledPolicy::limit`].
    pub(super) limits: Range<u32>,
    pub(crate) approval: Option<ApprovalRule>,
    /// The entry itself, if the policy can ask for an approval.
    pub(crate) entry: Option<Arc<AppliedEntry>>,
}

/// An entry that applies to a call, as a person who answers is shown it.
#[derive(Clone, Debug)]
pub struct AppliedEntry {
    /// Its pointer.
    pub rule: String,
    /// Its rules.
    pub document: Arc<EntryDocument>,
}

/// `action: deny`.
#[derive(Debug)]
pub(crate) struct Deny {
    pub(crate) rule: String,
    pub(crate) reason: Option<String>,
}

/// A check with its rule pointer.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) rule: String,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) on_deny: Option<String>,
    /// The condition for a call as a clause: "`args.amount` must not be greater than 50000".
    pub(crate) clause: String,
}

/// `schema`.
#[derive(Debug)]
pub(crate) struct SchemaRule {
    pub(crate) rule: String,
    pub(crate) schema: CompiledSchema,
}

/// The source of the schema.
#[derive(Debug)]
pub(crate) enum CompiledSchema {
    /// The catalogue.
    Input,
    /// The policy.
    Inline(Box<SchemaCheck>),
}

/// A rule that asks for an approval.
#[derive(Debug)]
pub struct Need {
    /// Its pointer.
    pub rule: String,
    /// The terms of the approval.
    pub terms: ApprovalTerms,
    /// The entry that it stands in.
    pub entry: Arc<EntryDocument>,
}

/// `action: require_approval`.
#[derive(Debug)]
pub(crate) struct ApprovalRule {
    pub(crate) need: Arc<Need>,
    /// Checks; without any, the approval is always needed.
    pub(crate) when: Vec<Check>,
}

impl Place {
    /// Compiles the rules under `steps`, and adds their limits to those of the policy; `exact` if they are the entry of one
    /// exact tool name.
    pub(super) fn build(
        steps: &[&str],
        exact: bool,
        rules: Rules,
        counts: &Counts,
        limits: &mut Vec<CompiledLimit>,
    ) -> Result<Self, CompileError> {
        let base = pointer(steps);
        let reads_args = reads::reads_args(&rules);
        let part = |name: &str| format!("{base}/{name}");
        let schema = match rules.schema {
            None => None,
            Some(Schema::Input) => Some(SchemaRule {
                rule: part("schema"),
                schema: CompiledSchema::Input,
            }),
            Some(Schema::Inline(schema)) => {
                let validator = compile_schema(&schema).map_err(|reason| {
                    CompileError::new(format!("schema at `{base}/schema` does not compile: {reason}"))
                })?;
                Some(SchemaRule {
                    rule: part("schema"),
                    schema: CompiledSchema::Inline(Box::new(validator)),
                })
            }
        };
        let requires = rules.action == Action::RequireApproval;
        let first_limit = index_of(limits);
        let entry = rules.entry.unwrap_or_default();
        let terms = rules.approval.as_ref().map(|approval| (&approval.terms, &entry));
        let compile = |limit| CompiledLimit::build(&part("limits"), exact, limit, terms, counts);
        limits.extend(rules.limits.into_iter().map(compile));
        Ok(Self {
            shadowed: rules.mode == Mode::Shadow,
            reads_args,
            deny: (rules.action == Action::Deny).then(|| Deny {
                rule: part("action"),
                reason: rules.reason,
            }),
            require: checks(&part("require"), rules.require, true),
            deny_if: checks(&part("deny_if"), rules.deny_if, false),
            schema,
            limits: first_limit..index_of(limits),
            approval: rules.approval.filter(|_| requires).map(|approval| ApprovalRule {
                when: checks(&part("approval"), approval.when, false),
                need: Arc::new(Need {
                    rule: part("approval"),
                    terms: approval.terms,
                    entry: Arc::clone(&entry),
                }),
            }),
            entry: Some(Arc::new(AppliedEntry {
                rule: base.clone(),
                document: entry,
            })),
        })
    }

    /// Returns whether a call can need a person's approval.
    pub(super) fn asks(&self, limits: &[CompiledLimit]) -> bool {
        let own = usize::try_from(self.limits.start)
            .ok()
            .zip(usize::try_from(self.limits.end).ok());
        let own = own
            .and_then(|(start, end)| limits.get(start..end))
            .unwrap_or_default();
        self.approval.is_some() || own.iter().any(|limit| limit.at_max.is_some())
    }

    /// Returns whether the rules cannot change any decision.
    pub(super) const fn is_empty(&self) -> bool {
        self.deny.is_none()
            && self.require.is_empty()
            && self.deny_if.is_empty()
            && self.schema.is_none()
            && self.limits.start == self.limits.end
            && self.approval.is_none()
    }

    pub(super) fn reads_catalogue(&self) -> bool {
        let approval = self.approval.iter().flat_map(|approval| &approval.when);
        let mut checks = self.require.iter().chain(&self.deny_if).chain(approval);
        let is_of_catalogue = |root: &ast::Root| matches!(root, ast::Root::Category | ast::Root::Risk);
        self.asks_input_schema() || checks.any(|check| reads::any_root(&check.conditions, &is_of_catalogue))
    }

    pub(super) const fn asks_input_schema(&self) -> bool {
        matches!(
            self.schema,
            Some(SchemaRule {
                schema: CompiledSchema::Input,
                ..
            })
        )
    }
}

fn checks(part: &str, checks: Vec<ast::Check>, must_hold: bool) -> Vec<Check> {
    let compile = |(index, check): (usize, ast::Check)| {
        let mut rule = part.to_owned();
        push_step(&mut rule, &check_name(&check, index));
        let clause = sentence::clause(&check.conditions, must_hold);
        Check {
            rule,
            conditions: check.conditions,
            on_deny: check.on_deny,
            clause,
        }
    };
    checks.into_iter().enumerate().map(compile).collect()
}

/// The index that the next limit gets. Nobody has 2^32 limits.
fn index_of(limits: &[CompiledLimit]) -> u32 {
    u32::try_from(limits.len()).unwrap_or(u32::MAX)
}
