//! Look-up of a tool name: its entry of `tools`, and whether it is hidden (`docs/policy.md` section 1, patterns).

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::CompileError;
use super::glob::GlobSet;
use crate::policy::ast::{GlobPart, Pattern, Policy};

/// A policy's data about one tool name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameFacts {
    /// Index of the entry of `tools` that applies.
    pub(crate) entry: Option<u32>,
    /// `hide` matches it.
    pub(crate) hidden: bool,
    /// Index of the name, or of the pattern that matches it, among those that the policy names.
    pub(crate) listed: Option<u32>,
}

/// The tool names and patterns of one policy.
#[derive(Debug)]
pub(crate) struct Names {
    /// Every name spelled out in `tools` or `hide`, with matching globs already taken into account: one look-up is
    /// enough.
    // Keys come from the policy and callers only look them up, so a fixed hasher cannot be attacked.
    exact: HashMap<String, NameFacts, FixedState>,
    /// The names spelled out, then the globs of `tools`, then those of `hide`.
    listed: Vec<String>,
    /// The number of names spelled out.
    spelled: usize,
    globs: Option<GlobSet>,
    /// The entry of `tools` of each glob.
    glob_entries: Vec<u32>,
    hidden_globs: Option<GlobSet>,
}

impl Names {
    pub(super) fn build(policy: &Policy) -> Result<Self, CompileError> {
        let mut parts: Vec<&[GlobPart]> = Vec::new();
        let mut glob_entries = Vec::new();
        let mut glob_texts: Vec<String> = Vec::new();
        let mut spelled: Vec<(&str, Option<u32>, bool)> = Vec::new();
        for (entry, tool) in policy.tools.iter().enumerate() {
            let entry = u32::try_from(entry).map_err(|_| CompileError::new("too many entries in `tools`"))?;
            match &tool.pattern {
                Pattern::Exact(name) => spelled.push((name, Some(entry), false)),
                Pattern::Glob(glob) => {
                    parts.push(glob);
                    glob_entries.push(entry);
                    glob_texts.push(tool.key.clone());
                }
            }
        }
        let mut hidden_parts: Vec<&[GlobPart]> = Vec::new();
        for pattern in &policy.hide {
            match pattern {
                Pattern::Exact(name) => spelled.push((name, None, true)),
                Pattern::Glob(glob) => {
                    hidden_parts.push(glob);
                    glob_texts.push(text_of(glob));
                }
            }
        }
        let mut names = Self {
            exact: HashMap::with_hasher(FixedState::default()),
            listed: Vec::new(),
            spelled: 0,
            globs: GlobSet::build(&parts)?,
            glob_entries,
            hidden_globs: GlobSet::build(&hidden_parts)?,
        };
        for (name, entry, hidden) in spelled {
            let found = if let Some(found) = names.exact.get(name) {
                *found
            } else {
                let listed = u32::try_from(names.listed.len()).ok();
                names.listed.push(name.to_owned());
                NameFacts {
                    listed,
                    ..names.find(name)
                }
            };
            // An exact entry has priority over every glob.
            let found = NameFacts {
                entry: entry.or(found.entry),
                hidden: hidden || found.hidden,
                ..found
            };
            names.exact.insert(name.to_owned(), found);
        }
        names.spelled = names.listed.len();
        names.listed.extend(glob_texts);
        Ok(names)
    }

    /// The policy's data about this name.
    pub(crate) fn find(&self, name: &str) -> NameFacts {
        if let Some(found) = self.exact.get(name) {
            return *found;
        }
        let glob = self.globs.as_ref().and_then(|globs| globs.best(name));
        let hidden = self.hidden_globs.as_ref().and_then(|globs| globs.best(name));
        let listed = glob.or_else(|| hidden.map(|hidden| self.glob_entries.len() + hidden));
        NameFacts {
            entry: glob.and_then(|glob| self.glob_entries.get(glob).copied()),
            hidden: hidden.is_some(),
            listed: listed.and_then(|glob| u32::try_from(self.spelled + glob).ok()),
        }
    }

    /// The names spelled out in `tools`, then those that only `hide` spells out.
    pub(crate) fn spelled(&self) -> &[String] {
        self.listed.get(..self.spelled).unwrap_or_default()
    }

    /// The names spelled out, then the patterns of `tools`, then those of `hide`.
    pub(crate) fn listed(&self) -> &[String] {
        &self.listed
    }
}

/// A glob as a policy writes it.
fn text_of(parts: &[GlobPart]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            GlobPart::Many => text.push('*'),
            GlobPart::One => text.push('?'),
            GlobPart::Literal(literal) => {
                for character in literal.chars() {
                    if matches!(character, '*' | '?' | '\\') {
                        text.push('\\');
                    }
                    text.push(character);
                }
            }
        }
    }
    text
}
