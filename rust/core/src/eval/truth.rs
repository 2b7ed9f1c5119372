//! Four truth values, and evaluation errors that combine so that order does not matter (`docs/policy.md` section 3).

/// The truth value of a condition: known, or presumed because the value is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    False,
    PresumedFalse,
    PresumedTrue,
    True,
}

impl Truth {
    /// Returns the negation.
    pub(crate) const fn mirrored(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::PresumedFalse => Self::PresumedTrue,
            Self::PresumedTrue => Self::PresumedFalse,
            Self::True => Self::False,
        }
    }

    /// Converts a known result.
    pub(crate) const fn known(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Computes `all` (the least) or `any` (the greatest) of values that arrive one by one.
///
/// A definite false decides `all`, a definite true decides `any`; otherwise one error makes the whole an error.
#[derive(Debug)]
pub(crate) struct Combination<E> {
    /// The value that decides the result on its own.
    decisive: Truth,
    so_far: Truth,
    error: Option<E>,
}

impl<E> Combination<E> {
    /// Requires every value to hold; true for no values.
    pub(crate) const fn all() -> Self {
        Self {
            decisive: Truth::False,
            so_far: Truth::True,
            error: None,
        }
    }

    /// Requires one value to hold; false for no values.
    pub(crate) const fn any() -> Self {
        Self {
            decisive: Truth::True,
            so_far: Truth::False,
            error: None,
        }
    }

    /// Adds one value.
    pub(crate) fn add(&mut self, value: Result<Truth, E>) {
        match value {
            Ok(truth) if self.decisive == Truth::False => self.so_far = self.so_far.min(truth),
            Ok(truth) => self.so_far = self.so_far.max(truth),
            // The first error is kept for all: the choice changes no decision.
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }

    /// True if no later value can change the result.
    pub(crate) fn is_decided(&self) -> bool {
        self.so_far == self.decisive
    }

    /// Returns the result.
    pub(crate) fn finish(self) -> Result<Truth, E> {
        if self.so_far == self.decisive {
            return Ok(self.so_far);
        }
        self.error.map_or(Ok(self.so_far), Err)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Truth::{False, PresumedFalse, PresumedTrue, True};
    use super::*;

    fn combine(mut combination: Combination<()>, values: &[Result<Truth, ()>]) -> Result<Truth, ()> {
        for value in values {
            combination.add(*value);
        }
        combination.finish()
    }

    #[test]
    fn the_order_of_the_four() {
        assert!(False < PresumedFalse && PresumedFalse < PresumedTrue && PresumedTrue < True);
        for truth in [False, PresumedFalse, PresumedTrue, True] {
            assert_eq!(truth.mirrored().mirrored(), truth);
        }
        assert_eq!(PresumedFalse.mirrored(), PresumedTrue);
    }

    #[test]
    fn all_takes_the_least_and_any_the_greatest() {
        assert_eq!(
            combine(Combination::all(), &[Ok(True), Ok(PresumedTrue)]),
            Ok(PresumedTrue)
        );
        assert_eq!(
            combine(Combination::any(), &[Ok(False), Ok(PresumedTrue)]),
            Ok(PresumedTrue)
        );
        assert_eq!(combine(Combination::all(), &[]), Ok(True));
        assert_eq!(combine(Combination::any(), &[]), Ok(False));
    }

    #[test]
    fn an_error_yields_to_what_is_definite_alone() {
        assert_eq!(combine(Combination::all(), &[Err(()), Ok(False)]), Ok(False));
        assert_eq!(
            combine(Combination::all(), &[Err(()), Ok(PresumedFalse)]),
            Err(())
        );
        assert_eq!(combine(Combination::any(), &[Err(()), Ok(True)]), Ok(True));
        assert_eq!(combine(Combination::any(), &[Err(()), Ok(PresumedTrue)]), Err(()));
    }

    fn value() -> impl Strategy<Value = Result<Truth, ()>> {
        prop_oneof![
            Just(Ok(False)),
            Just(Ok(PresumedFalse)),
            Just(Ok(PresumedTrue)),
            Just(Ok(True)),
            Just(Err(()))
        ]
    }

    proptest! {
        #[test]
        fn order_does_not_matter(
            (values, shuffled) in proptest::collection::vec(value(), 0..8)
                .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        ) {
            prop_assert_eq!(combine(Combination::all(), &values), combine(Combination::all(), &shuffled));
            prop_assert_eq!(combine(Combination::any(), &values), combine(Combination::any(), &shuffled));
        }

        #[test]
        fn not_swaps_all_and_any(values in proptest::collection::vec(value(), 0..8)) {
            let mirrored: Vec<_> = values.iter().map(|value| value.map(Truth::mirrored)).collect();
            prop_assert_eq!(
                combine(Combination::all(), &values).map(Truth::mirrored),
                combine(Combination::any(), &mirrored)
            );
        }
    }
}
