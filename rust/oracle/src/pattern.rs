//! Patterns of names, by backtracking (`docs/policy.md` section 1).

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Run,
    One,
    Exactly(char),
}

/// One pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Vec<Part>);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            parts.push(match character {
                '*' => Part::Run,
                '?' => Part::One,
                '\\' => Part::Exactly(characters.next()?),
                literal => Part::Exactly(literal),
            });
        }
        Some(Self(parts))
    }

    /// Returns whether the pattern contains no `*` and no `?`.
    pub(crate) fn is_exact(&self) -> bool {
        self.literals() == self.0.len()
    }

    /// The number of literal characters.
    pub(crate) fn literals(&self) -> usize {
        self.0
            .iter()
            .filter(|part| matches!(part, Part::Exactly(_)))
            .count()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        matches(&self.0, &name)
    }
}

fn matches(parts: &[Part], name: &[char]) -> bool {
    match (parts.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((Part::Run, others)), _) => (0..=name.len()).any(|skipped| matches(others, &name[skipped..])),
        (Some((Part::One, others)), Some((_, rest))) => matches(others, rest),
        (Some((Part::Exactly(wanted), others)), Some((got, rest))) => wanted == got && matches(others, rest),
        _ => false,
    }
}
