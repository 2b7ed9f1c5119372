//! The checked form of a policy document: every value has been validated, nothing is compiled yet.

use std::net::IpAddr;

use crate::decision::Outcome;
use crate::json::{Constant, Decimal};
use crate::limit::Micros;

/// One policy document, checked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The document's `name`, else the file's stem.
    pub name: String,
    /// The document's `description`.
    pub description: Option<String>,
    /// SHA-256 of the canonical document without `$schema` and `x-` fields.
    pub digest: [u8; 32],
    /// For tools that no entry and no category matches.
    pub default: DefaultAction,
    /// Argument paths whose values the decision log may keep.
    pub log_args: Vec<Path>,
    /// Mode of `hide` and `default`, and of entries that name none.
    pub mode: Mode,
    /// Hidden tools, in document order.
    pub hide: Vec<Pattern>,
    /// Rules added to every tool's own.
    pub all_tools: Rules,
    /// Rules added to every tool of a category, in document order.
    pub categories: Vec<(Category, CategoryRules)>,
    /// Entries of `tools`, in document order.
    pub tools: Vec<ToolEntry>,
    /// What `callgate validate` points out; never an error.
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

/// What kind of effect a tool has.
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

    /// The word used in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Execute => "Execute",
            Self::Destructive => "Destructive",
            Self::Financial => "Financial",
        }
    }
}

/// How much harm a tool can do.
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

    /// The word used in documents.
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
    /// What it matches.
    pub pattern: Pattern,
    /// Its rules.
    pub rules: Rules,
}

/// A tool name pattern: `*`, `?`, and `\` to escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// No unescaped `*` or `?`: the exact name, unescaped.
    Exact(String),
    /// Anything else.
    Glob(Vec<GlobPart>),
}

/// A part of a glob; adjacent literals are joined and adjacent stars are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobPart {
    /// Characters that stand for themselves.
    Literal(String),
    /// `?`: one code point.
    One,
    /// `*`: any run of characters, also none.
    Many,
}

/// The rules of one entry.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `action`.
    pub action: Action,
    /// Message of an `action: deny`.
    pub reason: Option<String>,
    /// Every one must hold.
    pub require: Vec<Check>,
    /// None may hold.
    pub deny_if: Vec<Check>,
    /// Arguments must validate.
    pub schema: Option<Schema>,
    /// `limits`, then the limit that `rate_limit` is short for.
    pub limits: Vec<Limit>,
    /// With `action: require_approval` only.
    pub approval: Option<Approval>,
    /// The entry's own mode, else the policy's.
    pub mode: Mode,
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
    /// The approval is needed only when one of these fires; empty: always.
    pub when: Vec<Check>,
    /// How long a pending approval waits, in milliseconds.
    pub timeout_ms: u64,
}

/// `schema`.
#[derive(Clone, Debug)]
pub enum Schema {
    /// `"input"`: the tool's own input schema from the catalogue.
    Input,
    /// An inline JSON Schema 2020-12, proven to compile and to stay within the caps.
    Inline(serde_json::Value),
}

/// A check: all its conditions hold.
#[derive(Clone, Debug)]
pub struct Check {
    /// `name`, for the rule pointer.
    pub name: Option<String>,
    /// Possibly empty: always holds.
    pub conditions: Vec<Condition>,
    /// Message of the denial.
    pub on_deny: Option<String>,
}

/// A condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// `{"path", "op", "value"}`.
    Test {
        /// Where the value is.
        path: Path,
        /// What is asked of it.
        op: Op,
    },
    /// At least one; never empty.
    Any(Vec<Condition>),
    /// Every one; never empty.
    All(Vec<Condition>),
    /// The mirror image.
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
    /// Folders, normalised: absolute, no `.`, `..` or empty segments, no final slash (the root is empty).
    PathWithin(Vec<String>),
    HostIn(Vec<HostPattern>),
    CidrIn(Vec<Network>),
    Exists(bool),
}

impl Op {
    /// The word used in documents.
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
    /// Network address, no host bits set.
    pub address: IpAddr,
    /// Prefix length in bits, at most 32 or 128.
    pub prefix: u8,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// As written: rule pointers and messages use it.
    pub text: String,
    /// Where it starts.
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
    /// Name of the count.
    pub counter: String,
    /// How long units stay taken.
    pub window: Window,
    /// Units per window, rounded down to six decimals (costs have no more).
    pub max: Micros,
    /// What each count is for: a set, sorted and without repetitions.
    pub scope: Vec<Scope>,
    /// Units a call takes.
    pub cost: Cost,
    /// Message of the refusal.
    pub on_deny: Option<String>,
    /// What to answer when a shared store cannot be reached.
    pub on_store_failure: Outcome,
}

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// Any interval of this many microseconds, 10 ms to 366 days.
    Sliding {
        /// Length in microseconds.
        window_us: u64,
    },
    /// A period of the UTC calendar.
    Calendar(Period),
}

/// A period of the UTC calendar; weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Second,
    /// So many days at a time, counted from 1970 on: what other rate limiters call a week, a month and a year. No policy
    /// names these three, nor a second.
    Days7,
    Days30,
    Days365,
}

impl Period {
    /// Every period.
    pub const ALL: [Self; 9] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Second,
        Self::Days7,
        Self::Days30,
        Self::Days365,
    ];
}

/// One part of a limit's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Scope {
    Grant,
    /// The grant's session, or the grant's sessionless calls.
    Session,
    Tool,
    Server,
    Global,
    /// The value at an argument path without `[*]`.
    Args(Path),
}

/// What a call costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The same for every call.
    Fixed(Micros),
    /// The number at an argument path without `[*]`.
    Args(Path),
}

/// Something `callgate validate` points out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What, and what to do about it.
    pub message: String,
}
