//! The four truth values, and their combination with errors (`docs/policy.md` section 3).

/// The truth values in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    False,
    PresumedFalse,
    PresumedTrue,
    True,
}

/// A condition could not be evaluated on this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EvaluationError;

pub(crate) type TruthResult = Result<Truth, EvaluationError>;

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

pub(crate) fn all(parts: &[TruthResult]) -> TruthResult {
    if parts.contains(&Ok(Truth::False)) {
        return Ok(Truth::False);
    }
    let truths: Vec<Truth> = parts.iter().copied().collect::<Result<_, _>>()?;
    Ok(truths.into_iter().min().unwrap_or(Truth::True))
}

pub(crate) fn any(parts: &[TruthResult]) -> TruthResult {
    if parts.contains(&Ok(Truth::True)) {
        return Ok(Truth::True);
    }
    let truths: Vec<Truth> = parts.iter().copied().collect::<Result<_, _>>()?;
    Ok(truths.into_iter().max().unwrap_or(Truth::False))
}

pub(crate) fn not(part: TruthResult) -> TruthResult {
    Ok(match part? {
        Truth::False => Truth::True,
        Truth::PresumedFalse => Truth::PresumedTrue,
        Truth::PresumedTrue => Truth::PresumedFalse,
        Truth::True => Truth::False,
    })
}
