//! The checked form of a policy document: all values are validated, nothing is compiled.

use std::net::IpAddr;
use std::sync::Arc;

use callgate_counters::{Micros, Sharing, Window};

use crate::decision::Outcome;
use crate::json::{Constant, Decimal};

/// One policy document, checked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The document's `name`, else the file's stem.
    pub name: String,
    /// The document's `description`.
    pub description: Option<String>,
    /// SHA-256 of the canonical document without `$schema` and `x-` fields.
    pub digest: [u8; 32],
    /// The action for tools that no entry and no category matches.
    pub default: DefaultAction,
    /// Argument paths whose values the decision log may contain.
    pub log_args: Vec<Path>,
    /// Names of labels whose values the decision log may contain.
    pub log_labels: Vec<String>,
    /// The mode of `hide` and `default`, and of entries without a mode.
    pub mode: Mode,
    /// Hidden tools, in document order.
    pub hide: Vec<Pattern>,
    /// Rules added to every tool's own.
    pub all_tools: Rules,
    /// Rules added to every tool of a category, in document order.
    pub categories: Vec<(Category, CategoryRules)>,
    /// Entries of `tools`, in document order.
    pub tools: Vec<ToolEntry>,
    /// Findings of `callgate validate` that are not errors.
    pub warnings: Vec<Warning>,
}

/// `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum DefaultAction {
    Allow,
    Deny,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Mode {
    Enforce,
    Shadow,
}

/// The kind of effect of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Category {
    Read,
    Write,
    Execute,
    Destructive,
    Financial,
}

impl Category {
    /// Every category, in the order used for indexes.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Execute,
        Self::Destructive,
        Self::Financial,
    ];

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Execute => "Execute",
            Self::Destructive => "Destructive",
            Self::Financial => "Financial",
        }
    }

    /// The risk of a tool of which the category alone is known.
    pub const fn risk(self) -> Risk {
        match self {
            Self::Read => Risk::Low,
            Self::Write => Risk::Medium,
            Self::Execute => Risk::High,
            Self::Destructive | Self::Financial => Risk::Critical,
        }
    }
}

/// The harm that a tool can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Risk {
    Low,
    Medium,
    High,
    Critical,
}

impl Risk {
    /// Every risk, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A category's entry.
#[derive(Clone, Debug)]
pub enum CategoryRules {
    /// `{"hide": true}`.
    Hide,
    /// Rules.
    Rules(Box<Rules>),
}

/// One entry of `tools`.
#[derive(Clone, Debug)]
pub struct ToolEntry {
    /// The key as written; rule pointers use it (escaped as in RFC 6901).
    pub key: String,
    /// The names that it matches.
    pub pattern: Pattern,
    /// Its rules.
    pub rules: Rules,
}

/// A tool name pattern: `*`, `?`, and `\` to escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// No unescaped `*` or `?`: the exact name, unescaped.
    Exact(String),
    /// A pattern with an unescaped `*` or `?`.
    Glob(Vec<GlobPart>),
}

/// A part of a glob; adjacent literals and adjacent stars are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobPart {
    /// Literal characters.
    Literal(String),
    /// `?`: one code point.
    One,
    /// `*`: any characters, including none.
    Many,
}

/// The rules of one entry.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `action`.
    pub action: Action,
    /// Message of an `action: deny`.
    pub reason: Option<String>,
    /// Checks that must all hold.
    pub require: Vec<Check>,
    /// Checks of which none may hold.
    pub deny_if: Vec<Check>,
    /// The schema that the arguments must match.
    pub schema: Option<Schema>,
    /// The elements of `limits`, then the limit that `rate_limit` stands for.
    pub limits: Vec<Limit>,
    /// The approval, if the action or a limit asks for one.
    pub approval: Option<Approval>,
    /// The entry's own mode, or else the policy's.
    pub mode: Mode,
    /// The entry itself; `None` if it is absent.
    pub entry: Option<Arc<EntryDocument>>,
}

impl Rules {
    /// The rules of an absent entry.
    pub const fn empty(mode: Mode) -> Self {
        Self {
            action: Action::Allow,
            reason: None,
            require: Vec::new(),
            deny_if: Vec::new(),
            schema: None,
            limits: Vec::new(),
            approval: None,
            mode,
            entry: None,
        }
    }
}

/// `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Action {
    Allow,
    Deny,
    RequireApproval,
}

/// `approval`.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The approval is needed only if one of these fires; always if empty.
    pub when: Vec<Check>,
    /// Its terms.
    pub terms: ApprovalTerms,
}

/// The rules of one entry, as a person who answers is shown them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryDocument {
    /// Their JSON, without `$schema` and `x-` fields.
    pub json: String,
    /// SHA-256 of their canonical form, 64 hex digits. A permit stays with it.
    pub digest: String,
}

/// The terms of an approval: who gives it, and for how long it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalTerms {
    /// The time that a pending approval waits, and that a denial holds, in milliseconds.
    pub timeout_ms: u64,
    /// The time in which an approved one can be used, in milliseconds.
    pub valid_ms: u64,
    /// The groups whose members may answer; any approver if empty.
    pub approvers: Vec<String>,
    /// The number of different people who must approve.
    pub count: u16,
    /// True if an approval needs a reason.
    pub is_reason_required: bool,
    /// The bounds of a permit; without them an approver cannot make one.
    pub permit: Option<PermitBounds>,
}

/// `permit`: the bounds of what an approver may make of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitBounds {
    /// The greatest number of calls.
    pub max_uses: u16,
    /// The longest time, in milliseconds.
    pub max_duration_ms: u64,
}

impl ApprovalTerms {
    /// The terms of a block that gives no other field.
    pub const fn with_timeout(timeout_ms: u64) -> Self {
        Self {
            timeout_ms,
            valid_ms: timeout_ms,
            approvers: Vec::new(),
            count: 1,
            is_reason_required: false,
            permit: None,
        }
    }
}

/// `schema`.
#[derive(Clone, Debug)]
pub enum Schema {
    /// `"input"`: the tool's own input schema from the catalogue.
    Input,
    /// An inline JSON Schema 2020-12 that compiles and stays within the caps.
    Inline(serde_json::Value),
}

/// A check, which holds if all its conditions hold.
#[derive(Clone, Debug)]
pub struct Check {
    /// `name`, for the rule pointer.
    pub name: Option<String>,
    /// The conditions. A check without conditions always holds.
    pub conditions: Vec<Condition>,
    /// Message of the denial.
    pub on_deny: Option<String>,
}

/// A condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// `{"path", "op", "value"}`.
    Test {
        /// The path of the value.
        path: Path,
        /// The operator that the value must satisfy.
        op: Op,
    },
    /// One of these holds; never empty.
    Any(Vec<Condition>),
    /// All of these hold; never empty.
    All(Vec<Condition>),
    /// The negation.
    Not(Box<Condition>),
}

/// An operator with its value.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Op {
    Eq(Constant),
    Neq(Constant),
    In(Vec<Constant>),
    NotIn(Vec<Constant>),
    Lt(Decimal),
    Lte(Decimal),
    Gt(Decimal),
    Gte(Decimal),
    Regex(regex::Regex),
    NotRegex(regex::Regex),
    Contains(Constant),
    NotContains(Constant),
    StartsWith(String),
    EndsWith(String),
    /// Length compared with an integer; integers beyond the range of `i64` are clamped to it.
    LenLt(i64),
    LenLte(i64),
    LenGt(i64),
    LenGte(i64),
    /// Normalised folders: absolute, no `.`, `..` or empty segments, no final slash (the root is empty).
    PathWithin(Vec<String>),
    HostIn(Vec<HostPattern>),
    CidrIn(Vec<Network>),
    Exists(bool),
}

impl Op {
    /// The word in documents.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Eq(_) => "eq",
            Self::Neq(_) => "neq",
            Self::In(_) => "in",
            Self::NotIn(_) => "not_in",
            Self::Lt(_) => "lt",
            Self::Lte(_) => "lte",
            Self::Gt(_) => "gt",
            Self::Gte(_) => "gte",
            Self::Regex(_) => "regex",
            Self::NotRegex(_) => "not_regex",
            Self::Contains(_) => "contains",
            Self::NotContains(_) => "not_contains",
            Self::StartsWith(_) => "starts_with",
            Self::EndsWith(_) => "ends_with",
            Self::LenLt(_) => "len_lt",
            Self::LenLte(_) => "len_lte",
            Self::LenGt(_) => "len_gt",
            Self::LenGte(_) => "len_gte",
            Self::PathWithin(_) => "path_within",
            Self::HostIn(_) => "host_in",
            Self::CidrIn(_) => "cidr_in",
            Self::Exists(_) => "exists",
        }
    }
}

/// A host of `host_in`: lower-cased, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Any host below this one: `example.com` for `*.example.com`.
    Below(String),
}

/// A network of `cidr_in`; an IPv4-mapped IPv6 network is stored as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network address, without host bits.
    pub address: IpAddr,
    /// Prefix length in bits, at most 32 or 128.
    pub prefix: u8,
}

/// The path of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The path as the policy writes it, for rule pointers and messages.
    pub text: String,
    /// The root.
    pub root: Root,
    /// Steps below `args`; empty for every other root.
    pub steps: Vec<Step>,
}

/// The start of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Root {
    Args,
    Tool,
    Server,
    Session,
    GrantId,
    GrantLabel(String),
    Category,
    Risk,
    Hour,
    Weekday,
}

/// One step of a path below `args`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `.key` or `["key"]`.
    Key(String),
    /// `[0]`.
    Index(usize),
    /// `[*]`.
    Every,
}

/// A limit.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The counter's name.
    pub counter: String,
    /// The window in which units stay taken.
    pub window: Window,
    /// Units per window, rounded down to six decimals (costs have no more).
    pub max: Micros,
    /// The scopes of each count, sorted and without duplicates.
    pub scope: Vec<Scope>,
    /// The units that a call takes.
    pub cost: Cost,
    /// Message of the refusal.
    pub on_deny: Option<String>,
    /// The answer if a shared store is unreachable.
    pub on_store_failure: Outcome,
    /// `at_max: require_approval`: where too little is left, a person may allow the call.
    pub asks_at_max: bool,
    /// The place of the count; `None` for that which a shared store brings, if there is one.
    pub shared: Option<Sharing>,
}

/// One part of a limit's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Scope {
    Grant,
    /// The grant's session, or all of the grant's calls without a session.
    Session,
    Tool,
    Server,
    Global,
    /// The value at an argument path without `[*]`.
    Args(Path),
}

/// The cost of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The same cost for every call.
    Fixed(Micros),
    /// The number at an argument path without `[*]`.
    Args(Path),
}

/// A finding of `callgate validate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The finding and its remedy.
    pub message: String,
    /// True for a setting that changes nothing in this version: `callgate serve` warns of it as well.
    pub is_ineffective: bool,
}
