//! Sets of verdicts: all that a condition can come to where not everything that it reads was logged.
//!
//! Each condition is taken by itself, as if the values that others read had nothing to do with it. So a set can be too large,
//! and is never too small.

use crate::eval::truth::Truth;

/// A set of the four truth values and of the evaluation error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdicts(u8);

/// The rule by which conditions, or the values of a `[*]`, combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    /// The least; a definite false decides.
    All,
    /// The greatest; a definite true decides.
    Any,
}

/// One verdict; `None` for an evaluation error.
type Verdict = Option<Truth>;

const EACH: [Verdict; 5] = [
    Some(Truth::False),
    Some(Truth::PresumedFalse),
    Some(Truth::PresumedTrue),
    Some(Truth::True),
    None,
];

impl Combine {
    /// Swaps the two rules, as each `not` does.
    pub(super) const fn swapped(self) -> Self {
        match self {
            Self::All => Self::Any,
            Self::Any => Self::All,
        }
    }

    const fn decisive(self) -> Truth {
        match self {
            Self::All => Truth::False,
            Self::Any => Truth::True,
        }
    }

    /// The result for no values.
    const fn neutral(self) -> Truth {
        self.swapped().decisive()
    }

    fn of(self, one: Verdict, other: Verdict) -> Verdict {
        let decisive = Some(self.decisive());
        if one == decisive || other == decisive {
            return decisive;
        }
        let (one, other) = (one?, other?);
        Some(match self {
            Self::All => one.min(other),
            Self::Any => one.max(other),
        })
    }
}

impl Verdicts {
    const NONE: Self = Self(0);
    pub(super) const ERROR: Self = Self::one(None);

    const fn one(verdict: Verdict) -> Self {
        Self(match verdict {
            Some(Truth::False) => 1,
            Some(Truth::PresumedFalse) => 2,
            Some(Truth::PresumedTrue) => 4,
            Some(Truth::True) => 8,
            None => 16,
        })
    }

    /// The set of one verdict.
    pub(super) fn of(verdict: Result<Truth, ()>) -> Self {
        Self::one(verdict.ok())
    }

    /// The set of one truth value.
    pub(super) const fn truth(truth: Truth) -> Self {
        Self::one(Some(truth))
    }

    /// True and false.
    pub(super) const fn either() -> Self {
        Self::truth(Truth::False).or(Self::truth(Truth::True))
    }

    #[must_use]
    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, verdict: Verdict) -> bool {
        self.0 & Self::one(verdict).0 != 0
    }

    /// True if only one verdict is possible.
    pub(super) const fn is_known(self) -> bool {
        self.0.is_power_of_two()
    }

    /// The verdicts of which a test holds: for some of them, and for all of them.
    fn which(self, test: impl Fn(Verdict) -> bool) -> (bool, bool) {
        let mut possible = EACH.into_iter().filter(|verdict| self.has(*verdict)).map(test);
        let first = possible.next().unwrap_or(false);
        possible.fold((first, first), |(some, all), one| (some || one, all && one))
    }

    /// Returns whether a check under `require` can refuse, and whether it must.
    pub(super) fn refuses_as_requirement(self) -> (bool, bool) {
        self.which(|verdict| verdict != Some(Truth::True))
    }

    /// Returns whether a check under `deny_if` or `when` can apply, and whether it must.
    pub(super) fn fires(self) -> (bool, bool) {
        self.which(|verdict| !matches!(verdict, Some(Truth::False | Truth::PresumedFalse)))
    }

    #[must_use]
    pub(super) fn mirrored(self) -> Self {
        self.each(|verdict| verdict.map(Truth::mirrored))
    }

    fn each(self, change: impl Fn(Verdict) -> Verdict) -> Self {
        EACH.into_iter()
            .filter(|verdict| self.has(*verdict))
            .fold(Self::NONE, |set, verdict| set.or(Self::one(change(verdict))))
    }

    /// The result for no values.
    pub(super) const fn start(combine: Combine) -> Self {
        Self::truth(combine.neutral())
    }

    /// The combinations of one of these verdicts with one of the others.
    #[must_use]
    pub(super) fn combined(self, combine: Combine, other: Self) -> Self {
        EACH.into_iter()
            .filter(|verdict| other.has(*verdict))
            .fold(Self::NONE, |set, verdict| {
                set.or(self.each(|one| combine.of(one, verdict)))
            })
    }

    /// The combinations of one of these verdicts with any number of the others.
    #[must_use]
    pub(super) fn combined_with_more(self, combine: Combine, more: Self) -> Self {
        let mut set = self;
        loop {
            let larger = set.or(set.combined(combine, more));
            if larger == set {
                return set;
            }
            set = larger;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::truth::Combination;

    fn sets() -> impl Iterator<Item = Verdicts> {
        (1..32).map(Verdicts)
    }

    fn members(set: Verdicts) -> impl Iterator<Item = Verdict> {
        EACH.into_iter().filter(move |verdict| set.has(*verdict))
    }

    #[test]
    fn two_sets_combine_as_their_verdicts_do() {
        for (combine, empty) in [
            (Combine::All, Combination::<()>::all as fn() -> Combination<()>),
            (Combine::Any, Combination::any),
        ] {
            for (one, other) in sets().flat_map(|one| sets().map(move |other| (one, other))) {
                let mut expected = Verdicts::NONE;
                for (one, other) in members(one).flat_map(|one| members(other).map(move |other| (one, other)))
                {
                    let mut combination = empty();
                    combination.add(one.ok_or(()));
                    combination.add(other.ok_or(()));
                    expected = expected.or(Verdicts::of(combination.finish()));
                }
                assert_eq!(one.combined(combine, other), expected);
            }
            assert_eq!(Verdicts::start(combine), Verdicts::of(empty().finish()));
        }
    }

    #[test]
    fn not_swaps_all_and_any() {
        for (one, other) in sets().flat_map(|one| sets().map(move |other| (one, other))) {
            assert_eq!(
                one.combined(Combine::All, other).mirrored(),
                one.mirrored().combined(Combine::Any, other.mirrored())
            );
        }
    }

    #[test]
    fn more_values_are_any_number_of_them() {
        for (one, more) in sets().flat_map(|one| sets().map(move |more| (one, more))) {
            let set = one.combined_with_more(Combine::All, more);
            assert_eq!(set.or(one).or(set.combined(Combine::All, more)), set);
        }
        let error = Verdicts::truth(Truth::True).combined_with_more(Combine::All, Verdicts::ERROR);
        assert_eq!(error, Verdicts::truth(Truth::True).or(Verdicts::ERROR));
    }
}
