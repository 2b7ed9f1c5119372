//! Compiled domains, with look-up by hash.

use callgate_counters::{CountShape, Micros, SpecDigest};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sha2::{Digest, Sha256};

use super::document::{Domain, HeadersWhen, LimitRule, Rule};
use super::unit::{Align, Unit};
use super::wildcard::Wildcard;
use crate::policy::PolicyError;
use crate::policy::read::quoted;

/// All configured domains.
#[derive(Debug, Default)]
pub struct RateLimits {
    names: Vec<String>,
    by_name: Named<u32>,
    domains: Vec<CompiledDomain>,
}

/// A map whose keys come from the operator, so that a fixed hasher is safe.
type Named<T> = HashMap<String, T, FixedState>;

/// One domain.
#[derive(Debug)]
pub(super) struct CompiledDomain {
    /// The owner of its counters, in place of a grant. No grant has such an id, because it contains NUL.
    pub(super) owner: String,
    pub(super) align: Align,
    pub(super) headers: HeadersWhen,
    pub(super) root: Level,
    specs: [[SpecDigest; Unit::ALL.len()]; 2],
}

/// The rules of one level, by key.
#[derive(Debug, Default)]
pub(super) struct Level {
    keys: Named<Values>,
}

/// The rules for one key.
#[derive(Debug, Default)]
struct Values {
    exact: Named<Node>,
    /// In document order: the first match counts.
    wildcards: Vec<(Wildcard, Node)>,
    any: Option<Box<Node>>,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) limit: Option<CompiledLimit>,
    pub(super) below: Level,
    /// The text that stands for all values in a shared count.
    pub(super) shared: Option<String>,
}

/// One limit.
#[derive(Debug)]
pub(super) struct CompiledLimit {
    pub(super) name: String,
    pub(super) replaces: Vec<String>,
    /// `None` for no limit.
    pub(super) quota: Option<Quota>,
    pub(super) shadow: bool,
    pub(super) count_refused: bool,
}

/// The maximum, the window, and the identity of the counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) requests_per_unit: u32,
    pub(super) unit: Unit,
    pub(super) shape: CountShape,
    pub(super) spec: SpecDigest,
}

impl RateLimits {
    /// Compiles files, each with one domain.
    pub(crate) fn build(list: Vec<Domain>) -> Result<Self, PolicyError> {
        let mut limits = Self::default();
        let mut files: Vec<String> = Vec::new();
        for domain in list {
            let index = u32::try_from(limits.names.len()).unwrap_or(u32::MAX);
            if let Some(first) = limits.by_name.insert(domain.name.clone(), index) {
                let first = usize::try_from(first).ok().and_then(|first| files.get(first));
                let (line, column) = domain.at;
                return Err(PolicyError {
                    message: format!(
                        "the domain {} is already in `{}`; put all of its descriptors into one file",
                        quoted(&domain.name),
                        first.map_or("", String::as_str),
                    ),
                    file: domain.file,
                    line,
                    column,
                });
            }
            limits.names.push(domain.name.clone());
            files.push(domain.file.clone());
            limits.domains.push(CompiledDomain::build(domain));
        }
        Ok(limits)
    }

    /// The names of the domains.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A domain by its name, and its index in [`Self::names`].
    pub(super) fn domain(&self, name: &str) -> Option<(u32, &CompiledDomain)> {
        let index = *self.by_name.get(name)?;
        let domain = self.domains.get(usize::try_from(index).ok()?)?;
        Some((index, domain))
    }
}

impl CompiledDomain {
    fn build(domain: Domain) -> Self {
        let specs = [Align::Sliding, Align::Calendar]
            .map(|align| Unit::ALL.map(|unit| spec_digest(&domain.name, align, unit)));
        let mut compiled = Self {
            owner: format!("\0rate limits\0{}", domain.name),
            align: domain.align,
            headers: domain.headers,
            root: Level::default(),
            specs,
        };
        compiled.root = compiled.level(domain.rules);
        compiled
    }

    /// A limit of this domain. A count that shares a cell with overrides of any number is not a count of whole units.
    pub(super) fn quota(&self, requests_per_unit: u32, unit: Unit, align: Align, whole_units: bool) -> Quota {
        Quota {
            requests_per_unit,
            unit,
            shape: CountShape {
                window: unit.window(align),
                // 32 bits of units in millionths: 52 bits.
                max: Micros(u64::from(requests_per_unit) * Micros::ONE.0),
                whole_units,
                sharing: callgate_counters::Sharing::Local,
            },
            spec: self.specs[align as usize][unit as usize],
        }
    }

    fn level(&self, rules: Vec<Rule>) -> Level {
        let mut level = Level::default();
        for rule in rules {
            let wildcard = rule.value.as_deref().and_then(Wildcard::of);
            let node = Node {
                limit: rule
                    .limit
                    .map(|limit| self.limit(limit, rule.shadow, rule.count_refused)),
                below: self.level(rule.rules),
                shared: rule.value.clone().filter(|_| rule.share),
            };
            let values = level.keys.entry(rule.key).or_default();
            match (rule.value, wildcard) {
                (_, Some(wildcard)) => values.wildcards.push((wildcard, node)),
                (Some(value), None) => {
                    values.exact.insert(value, node);
                }
                (None, None) => values.any = Some(Box::new(node)),
            }
        }
        level
    }

    fn limit(&self, limit: LimitRule, shadow: bool, count_refused: bool) -> CompiledLimit {
        CompiledLimit {
            name: limit.name,
            replaces: limit.replaces,
            quota: limit
                .max
                .map(|(max, unit)| self.quota(max, unit, limit.align.unwrap_or(self.align), true)),
            shadow,
            count_refused,
        }
    }
}

impl Level {
    /// The rule for a key and value: that of the value itself, else of the first matching wildcard, else of any value.
    pub(super) fn get(&self, key: &str, value: &str) -> Option<&Node> {
        let values = self.keys.get(key)?;
        let wildcard = || {
            values
                .wildcards
                .iter()
                .find(|(wildcard, _)| wildcard.matches(value))
        };
        values
            .exact
            .get(value)
            .or_else(|| wildcard().map(|(_, node)| node))
            .or(values.any.as_deref())
    }
}

/// The part of a count's identity that is known at load, as for limits of policies. Policies' names contain no NUL, so
/// the identities differ from those of policies.
fn spec_digest(domain: &str, align: Align, unit: Unit) -> SpecDigest {
    let mut hash = Sha256::new();
    for part in ["\0rate limits", domain, align.as_str(), unit.as_str()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let full: [u8; 32] = hash.finalize().into();
    let mut digest = SpecDigest::default();
    digest.copy_from_slice(full.first_chunk::<16>().unwrap_or(&[0; 16]));
    digest
}
