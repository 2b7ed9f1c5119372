//! Globs merged into one automaton, so that matching does not depend on their number.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::CompileError;
use crate::policy::ast::GlobPart;
use crate::policy::matches_parts;

/// The memory of one thread's lazily built states, in bytes. Every state lists the globs that are still possible, so
/// the cache must grow with their number. Otherwise thousands of globs would evict each other's states at every call.
const CACHE_BYTES: usize = 4 << 20;
const CACHE_BYTES_PER_GLOB: usize = 4 << 10;
/// The number of times that a full cache is cleared before the automaton gives up on names that need new states.
/// Building states costs more than trying the globs one by one, so a caller with ever new names must not cause it
/// repeatedly.
const CACHE_CLEARS: usize = 8;

type CachePool =
    Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>>;

/// An ordered set of globs, matched as one.
#[derive(Debug)]
pub(super) struct GlobSet {
    automaton: DFA,
    caches: CachePool,
    /// By the automaton's pattern: the index of the glob in the input, and its parts.
    globs: Vec<(usize, Vec<GlobPart>)>,
}

impl GlobSet {
    /// Builds the automaton; `None` if there are no globs.
    pub(super) fn build(globs: &[&[GlobPart]]) -> Result<Option<Self>, CompileError> {
        if globs.is_empty() {
            return Ok(None);
        }
        // Leftmost-first matching prefers earlier patterns: the most literal characters first, then the earlier glob.
        let mut globs: Vec<(usize, Vec<GlobPart>)> =
            globs.iter().map(|parts| parts.to_vec()).enumerate().collect();
        globs.sort_by_key(|(_, parts)| std::cmp::Reverse(literal_chars(parts)));
        let patterns: Vec<String> = globs.iter().map(|(_, parts)| pattern(parts)).collect();
        // `*` matches bytes instead of characters, which needs a tenth of the states. A match still ends at character
        // boundaries, because names and all other parts of a pattern are UTF-8.
        let automaton = DFA::builder()
            .syntax(syntax::Config::new().utf8(false).dot_matches_new_line(true))
            .thompson(
                thompson::Config::new()
                    .utf8(false)
                    .nfa_size_limit(None)
                    .which_captures(WhichCaptures::None),
            )
            .configure(
                DFA::config()
                    .cache_capacity(CACHE_BYTES + CACHE_BYTES_PER_GLOB * globs.len())
                    .skip_cache_capacity_check(true)
                    .minimum_cache_clear_count(Some(CACHE_CLEARS)),
            )
            .build_many(&patterns)
            .map_err(|error| {
                CompileError::new(format!("the globs of this policy do not compile: {error}"))
            })?;
        let maker = automaton.clone();
        let caches = CachePool::new(Box::new(move || maker.create_cache()));
        Ok(Some(Self {
            automaton,
            caches,
            globs,
        }))
    }

    /// The glob that matches the whole name: the one with the most literal characters, and among equals the earlier
    /// one.
    pub(super) fn best(&self, name: &str) -> Option<usize> {
        let input = Input::new(name).anchored(Anchored::Yes);
        match self.automaton.try_search_fwd(&mut self.caches.get(), &input) {
            Ok(found) => self
                .globs
                .get(found?.pattern().as_usize())
                .map(|(given, _)| *given),
            Err(_) => self.first_of_all(name),
        }
    }

    /// The same result by trying one glob after the other, if the automaton has given up.
    fn first_of_all(&self, name: &str) -> Option<usize> {
        self.globs
            .iter()
            .find(|(_, parts)| matches_parts(parts, name))
            .map(|(given, _)| *given)
    }
}

fn literal_chars(parts: &[GlobPart]) -> usize {
    let literal = |part: &GlobPart| match part {
        GlobPart::Literal(text) => text.chars().count(),
        GlobPart::One | GlobPart::Many => 0,
    };
    parts.iter().map(literal).sum()
}

fn pattern(parts: &[GlobPart]) -> String {
    let mut out = String::from(r"\A");
    for part in parts {
        match part {
            GlobPart::Literal(text) => out.push_str(&regex::escape(text)),
            GlobPart::One => out.push('.'),
            GlobPart::Many => out.push_str("(?-u:.)*"),
        }
    }
    out.push_str(r"\z");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(glob: &str) -> Vec<GlobPart> {
        let mut out = Vec::new();
        for character in glob.chars() {
            match character {
                '*' => out.push(GlobPart::Many),
                '?' => out.push(GlobPart::One),
                other => out.push(GlobPart::Literal(other.to_string())),
            }
        }
        out
    }

    fn set(globs: &[&str]) -> GlobSet {
        let parts: Vec<_> = globs.iter().map(|glob| parts(glob)).collect();
        let slices: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        GlobSet::build(&slices).unwrap().unwrap()
    }

    /// A direct implementation of the contract: `*` any characters, `?` one code point.
    fn matches(glob: &[char], name: &[char]) -> bool {
        match glob.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
            Some(('?', rest)) => !name.is_empty() && matches(rest, &name[1..]),
            Some((literal, rest)) => name.first() == Some(literal) && matches(rest, &name[1..]),
        }
    }

    #[test]
    fn whole_names_newlines_and_code_points() {
        let globs = set(&["a*", "?"]);
        assert_eq!(globs.best("a\nb"), Some(0), "a star crosses lines");
        assert_eq!(globs.best("ba"), None, "anchored at the start");
        assert_eq!(set(&["a"]).best("ab"), None, "anchored at the end");
        assert_eq!(globs.best("é"), Some(1), "one code point of two bytes");
        assert_eq!(globs.best("\n"), Some(1));
        assert_eq!(globs.best("e\u{301}"), None, "two code points");
        assert_eq!(set(&["*?"]).best(""), None);
        assert_eq!(set(&["*"]).best(""), Some(0));
    }

    #[test]
    fn priority_is_literal_characters_then_order() {
        let globs = set(&["*", "get_*", "*_secret", "get_s*"]);
        assert_eq!(
            globs.best("get_secret"),
            Some(2),
            "seven literal characters beat five"
        );
        assert_eq!(globs.best("get_sun"), Some(3));
        assert_eq!(globs.best("get_x"), Some(1));
        assert_eq!(globs.best("put"), Some(0));
        assert_eq!(set(&["a*", "*a"]).best("aa"), Some(0));
        assert_eq!(set(&["*a", "a*"]).best("aa"), Some(0));
        // Characters count, not bytes: two two-byte characters are fewer than three.
        assert_eq!(set(&["éé*", "*xyz"]).best("ééxyz"), Some(1));
    }

    #[test]
    fn thousands_of_globs_build_and_match() {
        let names: Vec<String> = (0..8_000)
            .map(|index| format!("tool_{index}_*_suffix{index}*"))
            .collect();
        let globs = set(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for index in [0, 1, 4_321, 7_999] {
            assert_eq!(globs.best(&format!("tool_{index}_x_suffix{index}y")), Some(index));
        }
        assert_eq!(globs.best("tool_8000_x_suffix8000"), None);
    }

    #[test]
    fn names_that_keep_thousands_of_globs_possible() {
        let prefixes = (0..4_000).map(|index| format!("tool_{index}_*"));
        let suffixes = (0..1_000).map(|index| format!("*_longer_suffix{index}"));
        let names: Vec<String> = prefixes.chain(suffixes).collect();
        let globs = set(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for index in (0..8_000).step_by(97) {
            let name = format!("tool_{index}_x_longer_suffix{}", index % 2_000);
            assert_eq!(globs.best(&name), globs.first_of_all(&name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_contract(
            globs in proptest::collection::vec("[ab*?é]{1,6}", 1..6),
            name in "[abé\n]{0,8}",
        ) {
            let name_chars: Vec<char> = name.chars().collect();
            let expected = globs
                .iter()
                .enumerate()
                .filter(|(_, glob)| matches(&glob.chars().collect::<Vec<_>>(), &name_chars))
                .max_by_key(|(index, glob)| {
                    (glob.chars().filter(|c| !"*?".contains(*c)).count(), std::cmp::Reverse(*index))
                })
                .map(|(index, _)| index);
            let refs: Vec<&str> = globs.iter().map(String::as_str).collect();
            let globs = set(&refs);
            prop_assert_eq!(globs.best(&name), expected);
            prop_assert_eq!(globs.first_of_all(&name), expected, "one by one");
        }
    }
}
