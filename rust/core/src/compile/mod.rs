//! Checked policy -> compiled policy: everything that can be computed before a decision (`docs/policy.md`).

mod facts;
mod glob;
mod limits;
mod names;
mod pointer;
mod reads;
mod rules;
mod sentence;

use std::sync::{Arc, OnceLock};

use callgate_counters::Sharing;
use callgate_counters::lease::SharedPolicy;

use crate::hex::Hex;
use crate::policy::ast::{Category, CategoryRules, DefaultAction, Mode, Path, Policy};

pub(crate) use facts::{Facts, ToolFactsCompiled};
pub(crate) use limits::CompiledLimit;
pub(crate) use names::{NameFacts, Names};
pub use rules::{AppliedEntry, Need};
pub(crate) use rules::{Check, CompiledSchema, Place};

/// The reason for which a checked document cannot be compiled.
#[derive(Debug)]
pub(crate) struct CompileError {
    pub(crate) message: String,
}

impl CompileError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// One policy, compiled.
#[derive(Debug)]
pub(crate) struct CompiledPolicy {
    pub(crate) name: String,
    /// SHA-256 of the canonical document, 64 hex digits.
    pub(crate) digest_hex: String,
    /// The mode of `hide` and `default` is shadow.
    pub(crate) shadowed: bool,
    pub(crate) default_deny: bool,
    pub(crate) names: Names,
    /// Without duplicates.
    pub(crate) log_args: Vec<Path>,
    /// Without duplicates.
    pub(crate) log_labels: Vec<String>,
    limits: Vec<CompiledLimit>,
    tools: Vec<Place>,
    categories: [CategoryPlace; Category::ALL.len()],
    all_tools: Option<Place>,
    /// The policy as nodes share it, from the first call that needs it on.
    pub(crate) shared: OnceLock<Arc<SharedPolicy>>,
}

/// A policy's entry for one category.
#[derive(Debug, Default)]
pub(crate) enum CategoryPlace {
    #[default]
    Absent,
    Hide,
    Rules(Box<Place>),
}

impl CompiledPolicy {
    pub(crate) fn build(policy: Policy) -> Result<Self, CompileError> {
        let counts = limits::Counts::of(&policy);
        let names = Names::build(&policy)?;
        let mut limits = Vec::new();
        let mut tools = Vec::with_capacity(policy.tools.len());
        for entry in policy.tools {
            let exact = matches!(entry.pattern, crate::policy::ast::Pattern::Exact(_));
            tools.push(Place::build(
                &["tools", &entry.key],
                exact,
                entry.rules,
                &counts,
                &mut limits,
            )?);
        }
        let mut categories: [CategoryPlace; Category::ALL.len()] = Default::default();
        for (category, rules) in policy.categories {
            if let Some(slot) = categories.get_mut(category as usize) {
                *slot = match rules {
                    CategoryRules::Hide => CategoryPlace::Hide,
                    CategoryRules::Rules(rules) => {
                        let steps = ["categories", category.as_str()];
                        CategoryPlace::Rules(Box::new(Place::build(
                            &steps,
                            false,
                            *rules,
                            &counts,
                            &mut limits,
                        )?))
                    }
                };
            }
        }
        let mut all_tools = Place::build(&["all_tools"], false, policy.all_tools, &counts, &mut limits)?;
        forget_entries(&mut tools, &mut categories, &mut all_tools, &limits);
        Ok(Self {
            name: policy.name,
            digest_hex: Hex(&policy.digest).to_string(),
            shadowed: policy.mode == Mode::Shadow,
            default_deny: policy.default == DefaultAction::Deny,
            names,
            log_args: distinct(policy.log_args),
            log_labels: distinct(policy.log_labels),
            limits,
            tools,
            categories,
            all_tools: (!all_tools.is_empty()).then_some(all_tools),
            shared: OnceLock::new(),
        })
    }

    /// True if nodes can share a count of it.
    pub(crate) fn is_shared(&self) -> bool {
        self.limits
            .iter()
            .any(|limit| limit.shape.sharing != Sharing::Local)
    }

    /// First 12 hex digits of the digest.
    pub(crate) fn version(&self) -> &str {
        self.digest_hex.get(..12).unwrap_or_default()
    }

    /// The rules of an entry of `tools`.
    pub(crate) fn tool(&self, entry: u32) -> Option<&Place> {
        self.tools.get(usize::try_from(entry).ok()?)
    }

    /// The policy's entry for a category.
    pub(crate) fn category(&self, category: Category) -> &CategoryPlace {
        self.categories
            .get(category as usize)
            .unwrap_or(&CategoryPlace::Absent)
    }

    /// The rules of `all_tools`, if any.
    pub(crate) const fn all_tools(&self) -> Option<&Place> {
        self.all_tools.as_ref()
    }

    /// The limits of a place with their indexes, in the order of the document.
    pub(crate) fn limits_of(&self, place: &Place) -> impl Iterator<Item = (u32, &CompiledLimit)> {
        place
            .limits
            .clone()
            .filter_map(|index| Some((index, self.limit(index)?)))
    }

    /// The limit with this index.
    pub(crate) fn limit(&self, index: u32) -> Option<&CompiledLimit> {
        self.limits.get(usize::try_from(index).ok()?)
    }

    /// Returns whether a call can be decided by a person alone. What is shadowed asks nobody.
    pub(crate) fn may_ask(&self) -> bool {
        self.places()
            .any(|place| !place.shadowed && place.asks(&self.limits))
    }

    /// Returns whether a `schema` is `"input"`, so that the catalogue's schemas are needed.
    pub(crate) fn asks_input_schema(&self) -> bool {
        self.places().any(Place::asks_input_schema)
    }

    /// Returns whether a decision can depend on what the catalogue says of a tool.
    pub(crate) fn reads_catalogue(&self) -> bool {
        let is_there = |category: &CategoryPlace| !matches!(category, CategoryPlace::Absent);
        self.categories.iter().any(is_there) || self.places().any(Place::reads_catalogue)
    }

    /// Every place with rules: the entries of `tools`, the categories, `all_tools`.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        let categories = self.categories.iter().filter_map(|category| match category {
            CategoryPlace::Rules(place) => Some(&**place),
            CategoryPlace::Absent | CategoryPlace::Hide => None,
        });
        self.tools.iter().chain(categories).chain(&self.all_tools)
    }
}

/// The elements of a list without repeated ones, in their order.
fn distinct<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(list.len());
    for one in list {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

/// Drops the documents of entries if nobody will ever be shown one.
fn forget_entries(
    tools: &mut [Place],
    categories: &mut [CategoryPlace],
    all_tools: &mut Place,
    limits: &[CompiledLimit],
) {
    let categories = categories.iter_mut().filter_map(|category| match category {
        CategoryPlace::Rules(place) => Some(&mut **place),
        CategoryPlace::Absent | CategoryPlace::Hide => None,
    });
    let mut places: Vec<&mut Place> = tools.iter_mut().chain(categories).collect();
    places.push(all_tools);
    if !places.iter().any(|place| place.asks(limits)) {
        for place in places {
            place.entry = None;
        }
    }
}
