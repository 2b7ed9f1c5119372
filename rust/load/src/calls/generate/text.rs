//! Texts that match regular expressions and patterns of tool names.

use callgate_core::policy::ast::{GlobPart, Pattern};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::super::random::Random;

/// The longest text that a repetition may produce, in characters.
const MAX_CHARACTERS: usize = 2_000;

/// A text that probably matches; look-around is ignored, so the caller checks.
pub(super) fn matching(regex: &str, random: &mut Random) -> Option<String> {
    let mut text = String::new();
    write(&regex_syntax::parse(regex).ok()?, random, &mut text);
    Some(text)
}

fn write(hir: &Hir, random: &mut Random, out: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            if let Some(range) = random.pick(class.ranges()) {
                // The first character of a range reads better than one from the middle of Unicode.
                out.push(range.start());
            }
        }
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = random.pick(class.ranges()) {
                out.push(char::from(range.start()));
            }
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min.saturating_add(3));
            let spread = most.saturating_sub(repetition.min).min(3) as usize;
            let times = repetition.min as usize + random.below(spread + 1);
            for _ in 0..times {
                if out.len() > MAX_CHARACTERS {
                    return;
                }
                write(&repetition.sub, random, out);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, random, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, random, out)),
        HirKind::Alternation(parts) => {
            if let Some(part) = random.pick(parts) {
                write(part, random, out);
            }
        }
    }
}

/// A name that the pattern matches.
pub(super) fn name_of(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Exact(name) => name.clone(),
        Pattern::Glob(parts) => parts
            .iter()
            .map(|part| match part {
                GlobPart::Literal(text) => text.as_str(),
                GlobPart::One => "x",
                GlobPart::Many => "any",
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_the_expression_they_were_made_for() {
        let mut random = Random::new(1);
        for regex in [
            "^[a-z]{3,8}$",
            r"^(prod|test)-\d+$",
            r"@example\.com$",
            "^$",
            "(?i)delete",
            "[^a-z]",
            r"^a+b*c?(de){2}$",
        ] {
            let compiled = regex::Regex::new(regex).unwrap();
            for _ in 0..20 {
                let text = matching(regex, &mut random).unwrap();
                assert!(compiled.is_match(&text), "{regex}: {text:?}");
            }
        }
    }

    #[test]
    fn names_match_their_pattern() {
        let literal = |text: &str| GlobPart::Literal(text.to_owned());
        for parts in [
            vec![literal("create_"), GlobPart::Many],
            vec![GlobPart::One, literal("."), GlobPart::Many, literal("x")],
        ] {
            let pattern = Pattern::Glob(parts);
            assert!(pattern.matches(&name_of(&pattern)));
            assert!(!pattern.matches("other"));
        }
    }
}
