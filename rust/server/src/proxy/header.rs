//! Headers that may occur once.

use super::UnclearError;

/// The reason why a header that may occur once cannot be used: readers would disagree about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The header occurs more than once.
    Repeated,
    /// The value is not text.
    NotText,
    /// There is another header whose name some programs read as this one's.
    Alias,
}

impl HeaderError {
    /// Makes a sentence for the caller.
    pub(crate) fn of(self, name: &str) -> UnclearError {
        UnclearError::new(match self {
            Self::Repeated => format!("the header `{name}` is there more than once; expected it once"),
            Self::NotText => format!("the header `{name}` is no UTF-8 text"),
            Self::Alias => format!(
                "a header is there that some programs take for `{name}`, with `_` or `.` in place of `-`; send that one alone"
            ),
        })
    }
}

/// The value of a header that may occur once, if it is present.
pub(crate) type Found<'a> = Result<Option<&'a str>, HeaderError>;

/// Finds the value of the header with this lower-case name. The given names are lower-case, the values `None` if they
/// are not text.
pub(crate) fn single<'a>(
    mut headers: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    name: &str,
) -> Found<'a> {
    headers.try_fold(None, |found, (key, value)| {
        if is_met(name, key) {
            met(found, name, key, value)
        } else {
            Ok(found)
        }
    })
}

/// The headers that judging reads in every configuration. None is an alias of another.
const JUDGED: [&str; 7] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "transfer-encoding",
    "upgrade",
    "x-envoy-auth-partial-body",
];

/// The result of [`single`] for each of [`JUDGED`], found in one pass over the headers instead of one for each.
#[derive(Debug)]
pub(crate) struct Singles<'a>([Found<'a>; JUDGED.len()]);

impl<'a> Singles<'a> {
    pub(crate) fn of(headers: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let mut all = [Ok(None); JUDGED.len()];
        headers.for_each(|(key, value)| {
            let place = JUDGED.iter().position(|name| is_met(name, key));
            if let Some(place) = place
                && let (Some(name), Some(found)) = (JUDGED.get(place), all.get_mut(place))
            {
                // The first fault stands.
                *found = found.and_then(|found| met(found, name, key, value));
            }
        });
        Self(all)
    }

    /// Returns the result for a header; `None` if it is not among [`JUDGED`].
    pub(crate) fn get(&self, name: &str) -> Option<Found<'a>> {
        let place = JUDGED.iter().position(|judged| *judged == name)?;
        self.0.get(place).copied()
    }
}

/// Returns true if a header has this name, or one that some programs read as this name.
fn is_met(name: &str, key: &str) -> bool {
    // Lengths differ nearly always, and where they do not, aliases are rare.
    key.len() == name.len() && (key == name || alike(key, name))
}

/// Combines the value found so far with one more header that [`is_met`] has accepted.
fn met<'a>(found: Option<&'a str>, name: &str, key: &str, value: Option<&'a str>) -> Found<'a> {
    if key != name {
        return Err(HeaderError::Alias);
    }
    if found.is_some() {
        return Err(HeaderError::Repeated);
    }
    value.map(Some).ok_or(HeaderError::NotText)
}

/// Returns true if some programs read one name as the other: CGI and its successors have no `-`.
pub(crate) fn alike(one: &str, other: &str) -> bool {
    let plain = |byte: u8| match byte {
        b'_' | b'.' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_or_none() {
        let read =
            |headers: &[(&'static str, Option<&'static str>)]| single(headers.iter().copied(), "x-agent");
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(
            read(&[("x-agents", Some("b")), ("x-agent", Some("a"))]),
            Ok(Some("a"))
        );
        let fault = HeaderError::Repeated;
        assert_eq!(
            read(&[("x-agent", Some("a")), ("x-agent", Some("a"))]),
            Err(fault)
        );
        assert_eq!(read(&[("x-agent", None)]), Err(HeaderError::NotText));
        for alias in ["x_agent", "x.agent", "X-Agent"] {
            assert_eq!(
                read(&[("x-agent", Some("a")), (alias, Some("b"))]),
                Err(HeaderError::Alias)
            );
            assert_eq!(read(&[(alias, Some("b"))]), Err(HeaderError::Alias), "{alias}");
        }
        assert!(HeaderError::Alias.of("x-agent").to_string().contains("`x-agent`"));
    }

    #[test]
    fn one_pass_finds_what_a_pass_for_each_does() {
        let values = [Some("a"), Some("b"), None];
        for judged in JUDGED {
            let names = [
                judged.to_owned(),
                judged.replacen('-', "_", 1),
                judged.replacen('-', ".", 1),
                judged.to_ascii_uppercase(),
                format!("x{}", &judged[1..]),
                format!("{judged}s"),
            ];
            let each = names
                .iter()
                .flat_map(|name| values.map(|value| (name.as_str(), value)));
            for (one, other) in each
                .clone()
                .flat_map(|one| each.clone().map(move |other| (one, other)))
            {
                let headers = [("accept", Some("*/*")), one, ("host", None), other];
                let expected = single(headers.into_iter(), judged);
                let found = Singles::of(headers.into_iter());
                assert_eq!(found.get(judged), Some(expected), "{headers:?}");
                let others = JUDGED.iter().filter(|name| **name != judged);
                for name in others {
                    assert_eq!(found.get(name), Some(Ok(None)), "{name} in {headers:?}");
                }
            }
        }
    }

    #[test]
    fn no_header_that_is_judged_is_an_alias_of_another() {
        let none = Singles::of(std::iter::empty());
        for (place, name) in JUDGED.iter().enumerate() {
            assert!(
                !JUDGED[place + 1..].iter().any(|other| alike(name, other)),
                "{name}"
            );
            assert_eq!(none.get(name), Some(Ok(None)));
        }
        assert_eq!(none.get("x-agent"), None, "asked for by configuration alone");
    }
}
