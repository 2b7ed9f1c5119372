//! Patterns of tool names: `*`, `?`, and `\` to escape (`docs/policy.md` section 1).

use super::ast::{GlobPart, Pattern};
use super::read::{DocumentError, Position, Read, check_name, quoted};

/// A pattern for names other than a policy's tools, with the same syntax and meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Pattern);

impl NamePattern {
    /// Reads a pattern. The error says what is wrong and what to write instead.
    ///
    /// ```
    /// use callgate_core::policy::NamePattern;
    ///
    /// let pattern = NamePattern::parse("tasks/*")?;
    /// assert!(pattern.matches("tasks/get") && !pattern.matches("task"));
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        named(text, Position::START, "a name or a pattern")
            .map(Self)
            .map_err(|error| error.message)
    }

    /// Returns whether the pattern matches the whole of `name`.
    ///
    /// Takes time proportional to the length of `name` times that of the pattern; policies use an automaton instead.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

/// Reads a pattern of tools at position `at`.
pub(super) fn pattern(text: &str, at: Position) -> Read<Pattern> {
    named(text, at, "the name of a tool or a pattern")
}

fn named(text: &str, at: Position, expected: &str) -> Read<Pattern> {
    check_name(text, at, expected)?;
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let part = match character {
            '*' => GlobPart::Many,
            '?' => GlobPart::One,
            '\\' => match characters.next() {
                Some(escaped) => {
                    literal.push(escaped);
                    continue;
                }
                None => {
                    return Err(DocumentError::at(
                        at,
                        format!(
                            "{} ends in a lone `\\`, which escapes nothing; write `\\\\` for a backslash",
                            quoted(text)
                        ),
                    ));
                }
            },
            other => {
                literal.push(other);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(GlobPart::Literal(std::mem::take(&mut literal)));
        }
        if part != GlobPart::Many || parts.last() != Some(&GlobPart::Many) {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        return Ok(Pattern::Exact(literal));
    }
    if !literal.is_empty() {
        parts.push(GlobPart::Literal(literal));
    }
    Ok(Pattern::Glob(parts))
}

impl Pattern {
    /// Returns whether the pattern matches the whole of `name`, in time as [`NamePattern::matches`].
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Glob(parts) => matches_parts(parts, name),
        }
    }
}

/// Returns whether a glob matches the whole name. A star matches as little as possible; on a mismatch the last star
/// takes more characters. An earlier star need not be tried again, because the last one reaches every position that
/// it could reach.
pub(crate) fn matches_parts(parts: &[GlobPart], name: &str) -> bool {
    let (mut part, mut rest) = (0, name);
    let mut star: Option<(usize, &str)> = None;
    loop {
        let met = match parts.get(part) {
            None if rest.is_empty() => return true,
            None => None,
            Some(GlobPart::Many) => match parts.get(part + 1..) {
                None | Some([]) => return true,
                Some([GlobPart::Literal(end)]) => return rest.ends_with(end.as_str()),
                Some(_) => {
                    star = Some((part + 1, rest));
                    Some(rest)
                }
            },
            Some(GlobPart::Literal(text)) => rest.strip_prefix(text.as_str()),
            Some(GlobPart::One) => without_first(rest),
        };
        if let Some(after) = met {
            (part, rest) = (part + 1, after);
            continue;
        }
        let Some((after_star, taken)) = star else {
            return false;
        };
        let Some(taken) = next_start(parts.get(after_star), taken) else {
            return false;
        };
        star = Some((after_star, taken));
        (part, rest) = (after_star, taken);
    }
}

/// The rest of a text from the next position at which `part` may match, if the current position is excluded.
fn next_start<'t>(part: Option<&GlobPart>, text: &'t str) -> Option<&'t str> {
    let next = without_first(text)?;
    match part {
        Some(GlobPart::Literal(literal)) => next.get(next.find(literal.as_str())?..),
        _ => Some(next),
    }
}

fn without_first(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next()?;
    Some(characters.as_str())
}

/// Returns whether `outer` matches every name that `inner` matches.
///
/// True is always right; a false result may miss a cover that is harder to prove.
pub(super) fn covers(outer: &Pattern, inner: &Pattern) -> bool {
    match (outer, inner) {
        (Pattern::Exact(a), Pattern::Exact(b)) => a == b,
        (Pattern::Exact(_), Pattern::Glob(_)) => false,
        // Most pairs differ in their first character, so this is checked before anything is built.
        (Pattern::Glob(parts), inner) => {
            shares_prefix(parts, inner) && matches(&symbols_of_parts(parts), &symbols(inner))
        }
    }
}

/// Returns false if the initial literal of the outer pattern is not a prefix of the inner one.
fn shares_prefix(outer: &[GlobPart], inner: &Pattern) -> bool {
    let Some(GlobPart::Literal(prefix)) = outer.first() else {
        return true;
    };
    match inner {
        Pattern::Exact(name) => name.starts_with(prefix),
        Pattern::Glob(parts) => {
            matches!(parts.first(), Some(GlobPart::Literal(text)) if text.starts_with(prefix))
        }
    }
}

/// A character of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    This(char),
    One,
    Many,
}

fn symbols(pattern: &Pattern) -> Vec<Symbol> {
    match pattern {
        Pattern::Exact(name) => name.chars().map(Symbol::This).collect(),
        Pattern::Glob(parts) => symbols_of_parts(parts),
    }
}

fn symbols_of_parts(parts: &[GlobPart]) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for part in parts {
        match part {
            GlobPart::Literal(text) => symbols.extend(text.chars().map(Symbol::This)),
            GlobPart::One => symbols.push(Symbol::One),
            GlobPart::Many => symbols.push(Symbol::Many),
        }
    }
    symbols
}

/// Greedy matching with one backtracking point over the symbols of the inner pattern; only `*` matches a `*` there.
fn matches(outer: &[Symbol], inner: &[Symbol]) -> bool {
    let (mut o, mut i) = (0, 0);
    let mut resume = None;
    while i < inner.len() {
        match (outer.get(o), inner[i]) {
            (Some(Symbol::Many), _) => {
                resume = Some((o + 1, i));
                o += 1;
                continue;
            }
            (Some(Symbol::One), Symbol::This(_) | Symbol::One) => {}
            (Some(Symbol::This(a)), Symbol::This(b)) if *a == b => {}
            _ => {
                let Some((after, from)) = resume else { return false };
                resume = Some((after, from + 1));
                (o, i) = (after, from + 1);
                continue;
            }
        }
        o += 1;
        i += 1;
    }
    outer.iter().skip(o).all(|symbol| *symbol == Symbol::Many)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Pattern {
        pattern(text, Position::START).unwrap()
    }

    #[test]
    fn normal_forms() {
        let literal = |text: &str| GlobPart::Literal(text.to_owned());
        for (text, expected) in [
            ("create-ami", Pattern::Exact("create-ami".to_owned())),
            (r"a\*b", Pattern::Exact("a*b".to_owned())),
            (r"a\b", Pattern::Exact("ab".to_owned())),
            (r"a\\", Pattern::Exact(r"a\".to_owned())),
            ("[a-z]{1}", Pattern::Exact("[a-z]{1}".to_owned())),
            ("*", Pattern::Glob(vec![GlobPart::Many])),
            ("***", Pattern::Glob(vec![GlobPart::Many])),
            (
                "a**b",
                Pattern::Glob(vec![literal("a"), GlobPart::Many, literal("b")]),
            ),
            (
                r"\aa?\*",
                Pattern::Glob(vec![literal("aa"), GlobPart::One, literal("*")]),
            ),
            ("??", Pattern::Glob(vec![GlobPart::One, GlobPart::One])),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for (text, message) in [
            (
                "",
                "expected the name of a tool or a pattern, got an empty string",
            ),
            (
                "a\\",
                "`a\\` ends in a lone `\\`, which escapes nothing; write `\\\\` for a backslash",
            ),
            ("a\0", "`a\\u{0}` holds a NUL character; remove it"),
        ] {
            assert_eq!(pattern(text, Position::START).unwrap_err().message, message);
        }
    }

    #[test]
    fn covering() {
        for (outer, inner, covered) in [
            ("create_*", "create_charge", true),
            ("create_*", "create_", true),
            ("create_*", "update_x", false),
            ("*", "a*b?", true),
            ("a*", "a*b", true),
            ("a*b", "a*", false),
            ("?", "a", true),
            ("?", "*", false),
            ("?*", "??*", true),
            ("*ab", "aab", true),
            ("a*b*c", "axxbyybc", true),
            ("a", "a*", false),
            ("ab*", "a*", false),
            ("a*", "*a", false),
            ("a?c*", "abcd", true),
            ("a?c*", "a?c?", true),
        ] {
            assert_eq!(
                covers(&read(outer), &read(inner)),
                covered,
                "{outer} over {inner}"
            );
        }
    }

    #[test]
    fn patterns_of_other_names() {
        let matches = |pattern: &str, name| NamePattern::parse(pattern).unwrap().matches(name);
        assert!(matches("tasks/*", "tasks/get") && matches("tasks/*", "tasks/"));
        assert!(matches("*/?et", "tasks/get") && matches(r"a\*b", "a*b"));
        assert!(!matches("tasks/*", "Tasks/get") && !matches("*/?et", "tasks/et"));
        assert!(!matches(r"a\*b", "axb") && !matches("get", "gets"));
        assert_eq!(
            NamePattern::parse("").unwrap_err(),
            "expected a name or a pattern, got an empty string"
        );
        assert!(NamePattern::parse("a\\").unwrap_err().contains("lone"));
    }
}
