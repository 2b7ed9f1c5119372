//! Headers that may be there once.

use super::Unclear;

/// Why a header that may be there once says nothing: what it says would depend on who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// It is there more than once.
    Repeated,
    /// It holds bytes that are no text.
    NotText,
    /// Another is there whose name some programs take for this one's.
    Alias,
}

impl HeaderFault {
    /// A sentence for the caller.
    pub(crate) fn of(self, name: &str) -> Unclear {
        Unclear::new(match self {
            Self::Repeated => format!("the header `{name}` is there more than once; expected it once"),
            Self::NotText => format!("the header `{name}` is no UTF-8 text"),
            Self::Alias => format!(
                "a header is there that some programs take for `{name}`, with `_` or `.` in place of `-`; send that one alone"
            ),
        })
    }
}

/// The value of the header of this lower-case name. Names are lower-case, values `None` where they are no text.
pub(crate) fn single<'a>(
    headers: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    name: &str,
) -> Result<Option<&'a str>, HeaderFault> {
    let mut found = None;
    for (key, value) in headers {
        if key != name {
            if alike(key, name) {
                return Err(HeaderFault::Alias);
            }
            continue;
        }
        if found.is_some() {
            return Err(HeaderFault::Repeated);
        }
        found = Some(value.ok_or(HeaderFault::NotText)?);
    }
    Ok(found)
}

/// Whether some programs take one name for the other: CGI and what followed it know no `-`.
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
        let fault = HeaderFault::Repeated;
        assert_eq!(
            read(&[("x-agent", Some("a")), ("x-agent", Some("a"))]),
            Err(fault)
        );
        assert_eq!(read(&[("x-agent", None)]), Err(HeaderFault::NotText));
        for alias in ["x_agent", "x.agent", "X-Agent"] {
            assert_eq!(
                read(&[("x-agent", Some("a")), (alias, Some("b"))]),
                Err(HeaderFault::Alias)
            );
            assert_eq!(read(&[(alias, Some("b"))]), Err(HeaderFault::Alias), "{alias}");
        }
        assert!(HeaderFault::Alias.of("x-agent").to_string().contains("`x-agent`"));
    }
}
