//! Compiled limits: identities, shapes and sentences (`docs/policy.md` section 4).

use std::sync::Arc;

use callgate_counters::{CountShape, Micros, Period, Sharing, SpecDigest, Window};
use hashbrown::HashMap;
use sha2::{Digest, Sha256};

use super::pointer::push_step;
use super::rules::Need;
use crate::Outcome;
use crate::policy::ast::{
    ApprovalTerms, CategoryRules, Cost, EntryDocument, Limit, Path, Policy, Rules, Scope, Step,
};

/// A limit with all data that a call needs.
#[derive(Debug)]
pub(crate) struct CompiledLimit {
    pub(crate) counter: String,
    pub(crate) rule: String,
    /// The rule pointer for an unusable cost.
    pub(crate) cost_rule: String,
    pub(crate) spec: SpecDigest,
    pub(crate) shape: CountShape,
    /// In the order of their canonical form, which is the order in which their values are hashed.
    pub(crate) scope: Vec<Scope>,
    pub(crate) cost: Cost,
    pub(crate) on_deny: Option<String>,
    /// True if a call is not refused because the shared store cannot be reached.
    pub(crate) passes_without_store: bool,
    /// The need of a call for which too little is left, if a person may allow it.
    pub(crate) at_max: Option<Arc<Need>>,
    /// The sentence names the tool; otherwise it is about calls in general.
    pub(crate) one_tool: bool,
    /// "30 calls per minute for this grant".
    pub(crate) quota: String,
}

impl CompiledLimit {
    /// Compiles a limit of an entry with these terms of approvals, if it has any.
    pub(super) fn build(
        part: &str,
        exact: bool,
        limit: Limit,
        terms: Option<(&ApprovalTerms, &Arc<EntryDocument>)>,
        counts: &Counts,
    ) -> Self {
        let mut rule = part.to_owned();
        push_step(&mut rule, &limit.counter);
        let spec = spec_digest(&counts.policy, &limit);
        let sharing = sharing(&limit);
        let mut scope = limit.scope;
        scope.sort_by_cached_key(scope_bytes);
        scope.dedup_by_key(|part| scope_bytes(part));
        Self {
            at_max: terms.filter(|_| limit.asks_at_max).map(|(terms, entry)| {
                Arc::new(Need {
                    rule: rule.clone(),
                    terms: terms.clone(),
                    entry: Arc::clone(entry),
                })
            }),
            cost_rule: format!("{rule}/cost"),
            rule,
            spec,
            shape: CountShape {
                window: limit.window,
                max: limit.max,
                whole_units: counts.whole_units.get(&spec).copied().unwrap_or(false),
                sharing,
            },
            passes_without_store: limit.on_store_failure == Outcome::Allow,
            quota: quota(limit.max, limit.window, &limit.cost, &scope),
            one_tool: exact || scope.contains(&Scope::Tool),
            counter: limit.counter,
            scope,
            cost: limit.cost,
            on_deny: limit.on_deny,
        }
    }

    /// The shape of its counts, where there is a shared store or none.
    pub(crate) fn shape(&self, has_store: bool) -> CountShape {
        let sharing = if has_store {
            self.shape.sharing
        } else {
            Sharing::Local
        };
        CountShape {
            sharing,
            ..self.shape
        }
    }

    /// True if grants have counts of their own; sessions are of one grant.
    pub(crate) fn counts_by_grant(&self) -> bool {
        let is_of_grant = |part: &Scope| matches!(part, Scope::Grant | Scope::Session);
        self.scope.iter().any(is_of_grant)
    }

    /// True if tools have counts of their own.
    pub(crate) fn counts_by_tool(&self) -> bool {
        self.scope.contains(&Scope::Tool)
    }
}

/// The greatest `max` of a shared count: a store counts millionths of units in numbers that are exact up to 2^53.
const MOST_SHARED: Micros = Micros(1 << 53);

/// The place of a limit's counts where there is a shared store.
fn sharing(limit: &Limit) -> Sharing {
    match (limit.shared.unwrap_or(Sharing::Leased), limit.window) {
        _ if limit.asks_at_max || limit.max > MOST_SHARED => Sharing::Local,
        // A period ends at all nodes at once, by the store's clock alone.
        (Sharing::Leased, Window::Calendar(_)) => Sharing::Strict,
        (sharing, _) => sharing,
    }
}

/// Facts about a policy's counts that its limits need for compilation.
#[derive(Debug)]
pub(super) struct Counts {
    policy: String,
    /// By count: true if all limits on it have a fixed cost of whole units, and none is ever exceeded.
    whole_units: HashMap<SpecDigest, bool>,
}

impl Counts {
    pub(super) fn of(policy: &Policy) -> Self {
        let mut whole_units = HashMap::new();
        let categories = policy.categories.iter().filter_map(|(_, rules)| match rules {
            CategoryRules::Hide => None,
            CategoryRules::Rules(rules) => Some(&**rules),
        });
        let tools = policy.tools.iter().map(|entry| &entry.rules);
        let all: Vec<&Rules> = tools.chain(categories).chain([&policy.all_tools]).collect();
        for limit in all.into_iter().flat_map(|rules| &rules.limits) {
            // Slots hold no units above `max`.
            let whole = !limit.asks_at_max
                && matches!(limit.cost, Cost::Fixed(cost) if cost.0.is_multiple_of(Micros::ONE.0));
            *whole_units
                .entry(spec_digest(&policy.name, limit))
                .or_insert(true) &= whole;
        }
        Self {
            policy: policy.name.clone(),
            whole_units,
        }
    }
}

/// The part of a count's identity that is known at load. Every part is preceded by its length, so that no two lists of
/// parts are equal. Sliding windows are identified by duration and calendar windows by word; scopes are a set, and
/// paths their steps.
fn spec_digest(policy: &str, limit: &Limit) -> SpecDigest {
    let mut scopes: Vec<Vec<u8>> = limit.scope.iter().map(scope_bytes).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let (alignment, window) = match limit.window {
        Window::Sliding { window_us } => ("sliding", window_us.to_string()),
        Window::Calendar(period) => ("calendar", period_word(period).to_owned()),
    };
    let mut hash = Sha256::new();
    let mut frame = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    for part in [policy, &limit.counter, alignment, &window] {
        frame(part.as_bytes());
    }
    for scope in &scopes {
        frame(scope);
    }
    let full: [u8; 32] = hash.finalize().into();
    let mut digest = SpecDigest::default();
    digest.copy_from_slice(full.first_chunk::<16>().unwrap_or(&[0; 16]));
    digest
}

/// A scope in a form that does not depend on its spelling.
fn scope_bytes(scope: &Scope) -> Vec<u8> {
    let path = match scope {
        Scope::Grant => return b"grant".to_vec(),
        Scope::Session => return b"session".to_vec(),
        Scope::Tool => return b"tool".to_vec(),
        Scope::Server => return b"server".to_vec(),
        Scope::Global => return b"global".to_vec(),
        Scope::Args(path) => path,
    };
    let mut bytes = b"args".to_vec();
    for step in &path.steps {
        match step {
            Step::Key(key) => {
                bytes.push(b'.');
                bytes.extend((key.len() as u64).to_le_bytes());
                bytes.extend(key.as_bytes());
            }
            Step::Index(index) => {
                bytes.push(b'[');
                bytes.extend((*index as u64).to_le_bytes());
            }
            Step::Every => bytes.push(b'*'),
        }
    }
    bytes
}

const fn period_word(period: Period) -> &'static str {
    match period {
        Period::Minute => "minute",
        Period::Hour => "hour",
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
        Period::Second => "second",
        Period::Days7 => "7 days",
        Period::Days30 => "30 days",
        Period::Days365 => "365 days",
    }
}

/// "30 calls per minute for this grant".
fn quota(max: Micros, window: Window, cost: &Cost, scope: &[Scope]) -> String {
    let unit = match cost {
        Cost::Fixed(cost) if *cost == Micros::ONE => "call",
        Cost::Fixed(_) | Cost::Args(_) => "unit",
    };
    let plural = if max == Micros::ONE { "" } else { "s" };
    let window = match window {
        Window::Calendar(period) => format!("calendar {} (UTC)", period_word(period)),
        Window::Sliding { window_us } => duration_words(window_us),
    };
    let of = scope.iter().filter_map(|part| match part {
        Scope::Grant => Some("this grant".to_owned()),
        Scope::Session => Some("this session".to_owned()),
        Scope::Server => Some("this server".to_owned()),
        Scope::Args(Path { text, .. }) => Some(format!("this `{text}`")),
        Scope::Tool | Scope::Global => None,
    });
    let of: Vec<String> = of.collect();
    let of = if of.is_empty() {
        String::from("all callers together")
    } else {
        of.join(" and ")
    };
    format!("{max} {unit}{plural} per {window} for {of}")
}

fn duration_words(window_us: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (604_800_000_000, "week"),
        (86_400_000_000, "day"),
        (3_600_000_000, "hour"),
        (60_000_000, "minute"),
        (1_000_000, "second"),
    ];
    for (unit_us, word) in UNITS {
        if window_us == unit_us {
            return word.to_owned();
        }
        if window_us.is_multiple_of(unit_us) {
            return format!("{} {word}s", window_us / unit_us);
        }
    }
    format!("{} ms", window_us / 1_000)
}
