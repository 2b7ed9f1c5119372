//! The claims of a token that the configuration names.

use callgate_core::json::{Kind, Scaled, Value, scaled};

/// The path of a claim: the names of members, from the outermost on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// A path of at least one name.
    pub const fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claim; `None` where it or what it would stand in is absent or null, an error where that is of another type.
    pub(super) fn find<'t>(&self, claims: Value<'t>) -> Result<Option<Value<'t>>, ()> {
        let mut place = claims;
        for name in &self.0 {
            if place.kind() != Kind::Object {
                return Err(());
            }
            match place.get(name) {
                Some(value) if value.kind() != Kind::Null => place = value,
                _ => return Ok(None),
            }
        }
        Ok(Some(place))
    }
}

/// A label's value: text as it is, whole numbers and booleans as they are written.
pub(super) fn label(value: Value<'_>) -> Result<String, ()> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if let Some(flag) = value.as_bool() {
        return Ok(flag.to_string());
    }
    let number = value.as_number().ok_or(())?;
    let is_whole = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    is_whole.then(|| number.to_owned()).ok_or(())
}

/// A moment in Unix microseconds (RFC 7519 section 2).
pub(super) fn moment_us(value: Value<'_>) -> Result<u64, ()> {
    let number = value.as_number().ok_or(())?;
    match scaled(number, 6) {
        Scaled::Units(us) => Ok(us),
        // Clocks that are read as binary fractions; less than a second is lost.
        Scaled::TooManyDecimals if !number.contains(['e', 'E']) => {
            let whole = number.split('.').next().unwrap_or_default();
            match scaled(whole, 6) {
                Scaled::Units(us) => Ok(us),
                _ => Err(()),
            }
        }
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::json::Tape;

    use super::*;

    const CLAIMS: &[u8] =
        br#"{"sub": "alice", "https://a.example/team": "ops", "realm": {"id": 7, "on": true, "x": null},
        "list": ["a"], "half": 0.5, "big": 1e3, "minus": -3, "null": null}"#;

    fn of(names: &[&str]) -> Result<Option<String>, ()> {
        let mut tape = Tape::new();
        let claims = tape.parse(CLAIMS, 8).unwrap();
        let path = ClaimPath::new(names.iter().map(|&name| name.to_owned()).collect());
        path.find(claims)?.map(label).transpose()
    }

    #[test]
    fn claims_become_labels() {
        for (names, expected) in [
            (&["sub"][..], Ok(Some("alice"))),
            (&["https://a.example/team"], Ok(Some("ops"))),
            (&["realm", "id"], Ok(Some("7"))),
            (&["realm", "on"], Ok(Some("true"))),
            (&["minus"], Ok(Some("-3"))),
            (&["absent"], Ok(None)),
            (&["absent", "too"], Ok(None)),
            (&["null"], Ok(None)),
            (&["realm", "x", "y"], Ok(None)),
            (&["realm"], Err(())),
            (&["list"], Err(())),
            (&["half"], Err(())),
            (&["big"], Err(())),
            (&["sub", "x"], Err(())),
            (&["list", "0"], Err(())),
        ] {
            assert_eq!(
                of(names),
                expected.map(|value| value.map(str::to_owned)),
                "{names:?}"
            );
        }
    }

    #[test]
    fn moments_are_exact() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("1700000000", Ok(1_700_000_000_000_000)),
            ("1700000000.25", Ok(1_700_000_000_250_000)),
            ("1.7e9", Ok(1_700_000_000_000_000)),
            ("1700000000.1234567", Ok(1_700_000_000_000_000)),
            ("-1", Err(())),
            ("1e400", Err(())),
            ("1e-400", Err(())),
            ("99999999999999999999", Err(())),
            ("\"1700000000\"", Err(())),
            ("true", Err(())),
        ] {
            let mut tape = Tape::new();
            let value = tape.parse(text.as_bytes(), 1).unwrap();
            assert_eq!(moment_us(value), expected, "{text}");
        }
    }
}
