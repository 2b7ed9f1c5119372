//! The arguments of a call as far as a line of the decision log has them.

use super::line::LoggedArg;
use crate::eval::walk::{Reached, walk};
use crate::grant::TOKEN_PREFIX;
use crate::json::Value;
use crate::policy::ast::{Path, Step};

/// Characters of a key that a line keeps: a key of that many may be longer.
const KEY_CHARACTERS: usize = 64;

/// The knowledge of a call's arguments.
#[derive(Clone, Debug)]
pub(super) struct KnownArgs<'t> {
    /// An object, of which nothing but that is used.
    pub(super) object: Value<'t>,
    /// The arguments object, if all of it is known.
    pub(super) whole: Option<Value<'t>>,
    /// Keys of the arguments object; longer ones are cut.
    pub(super) keys: Vec<&'t str>,
    /// True if the object has no other keys.
    pub(super) are_all_keys: bool,
    pub(super) logged: Vec<LoggedArg<'t>>,
}

/// The knowledge of what stands at a path.
#[derive(Clone, Debug)]
pub(super) enum Known<'t, 'p> {
    /// The end of the walk.
    Reached(Reached<'t, 'p>),
    /// Some of the values of a `[*]`, each with the step of the path that follows.
    Some {
        values: Vec<Value<'t>>,
        next_step: usize,
        others: Others,
    },
    /// A value that was not logged.
    Present,
    /// A value that was not logged, or none, or a step of the wrong kind.
    Nothing,
}

/// The values of a `[*]` beside the known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    None,
    /// Elements without a value at the path: the log leaves them out.
    Valueless,
    /// Elements of any kind: the list was cut.
    Any,
}

impl<'t> KnownArgs<'t> {
    /// Returns what is known of the value at a path below `args`.
    pub(super) fn find<'p>(&self, path: &'p Path) -> Known<'t, 'p> {
        if let Some(args) = self.whole {
            return Known::Reached(walk(args, path, 0));
        }
        let Some(first) = path.steps.first() else {
            return Known::Present;
        };
        let Step::Key(key) = first else {
            // The arguments are an object, and the walk from any object fails here.
            return Known::Reached(walk(self.object, path, 0));
        };
        let is_there = self.has_key(key);
        if is_there == Some(false) {
            return Known::Reached(Reached::Missing);
        }
        let known = self.logged.iter().find_map(|logged| logged.at(path));
        known.unwrap_or_else(|| {
            let is_part_logged = self.logged.iter().any(|logged| logged.is_below(path));
            if is_part_logged || (path.steps.len() == 1 && is_there == Some(true)) {
                Known::Present
            } else {
                Known::Nothing
            }
        })
    }

    /// Returns whether the arguments object has a key; `None` if that is not known.
    fn has_key(&self, key: &str) -> Option<bool> {
        if key.contains(TOKEN_PREFIX) {
            // The log hides what looks like a token.
            return None;
        }
        let is_short = key.chars().take(KEY_CHARACTERS).count() < KEY_CHARACTERS;
        if is_short && self.keys.contains(&key) {
            return Some(true);
        }
        if self.are_all_keys
            && !self
                .keys
                .iter()
                .any(|kept| is_cut_key(kept) && key.starts_with(kept))
        {
            return Some(false);
        }
        None
    }
}

/// True if a key may be longer than the log shows it.
pub(super) fn is_cut_key(kept: &str) -> bool {
    kept.chars().take(KEY_CHARACTERS).count() == KEY_CHARACTERS
}

impl<'t> LoggedArg<'t> {
    /// What this entry says of the value at `path`; `None` for nothing.
    fn at<'p>(&self, path: &'p Path) -> Option<Known<'t, 'p>> {
        let own = &self.path.steps;
        if self.is_damaged || !path.steps.starts_with(own) {
            return None;
        }
        if !own.contains(&Step::Every) {
            return (!self.is_cut).then(|| Known::Reached(walk(self.value, path, own.len())));
        }
        let is_last = own.iter().position(|step| *step == Step::Every) == own.len().checked_sub(1);
        Some(Known::Some {
            values: self.value.elements().collect(),
            next_step: own.len(),
            others: if self.is_cut {
                Others::Any
            } else if is_last {
                // Every element of the one list has a value at the path.
                Others::None
            } else {
                Others::Valueless
            },
        })
    }

    /// True if the entry shows that there is a value at `path`, below which its own lies.
    fn is_below(&self, path: &Path) -> bool {
        let own = &self.path.steps;
        !path.steps.contains(&Step::Every)
            && own.len() > path.steps.len()
            && own.starts_with(&path.steps)
            && self.has_value()
    }

    /// True if there is a value at the entry's path.
    fn has_value(&self) -> bool {
        !self.path.steps.contains(&Step::Every) || !self.value.is_empty()
    }
}
