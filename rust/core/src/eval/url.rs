//! `host_in`: the host of an absolute URL, parsed strictly by RFC 3986.
//!
//! Lenient parsers disagree about the host of a malformed URL; a strict one refuses it.

use std::net::{IpAddr, Ipv4Addr};

use crate::address::ends_in_number;
use crate::policy::ast::HostPattern;

/// The expected value of `host_in`, in messages.
pub(super) const EXPECTED: &str =
    "an absolute URL with a host, which is a name or a whole IP address, and no user info";

/// The host of a URL, without a final dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host<'u> {
    /// A name, in any case of letters.
    Name(&'u str),
    /// An IPv4 address, or an IPv6 address in brackets; an IPv4-mapped one is IPv4.
    Address(IpAddr),
}

/// Returns the host of an absolute URL; `None` if the text is not an absolute URL, or has user info, or escapes in the
/// authority, or its host is a number that some parsers read as an IPv4 address, such as `127.1`.
pub(super) fn host(url: &str) -> Option<Host<'_>> {
    let (scheme, rest) = url.split_once(':')?;
    let mut scheme = scheme.bytes();
    if !scheme.next()?.is_ascii_alphabetic()
        || !scheme.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    {
        return None;
    }
    let rest = rest.strip_prefix("//")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    is_tail(tail).then(|| authority_host(authority)).flatten()
}

/// Returns true if the host is one of these, or a subdomain of one.
pub(super) fn host_in(host: &Host<'_>, patterns: &[HostPattern]) -> bool {
    patterns.iter().any(|pattern| match (host, pattern) {
        (Host::Name(name), HostPattern::Exact(wanted)) => name.eq_ignore_ascii_case(wanted),
        (Host::Name(name), HostPattern::Below(parent)) => is_below(name, parent),
        (Host::Address(address), HostPattern::Exact(wanted)) => address_of(wanted) == Some(*address),
        (Host::Address(_), HostPattern::Below(_)) => false,
    })
}

fn is_below(name: &str, parent: &str) -> bool {
    let Some(split) = name.len().checked_sub(parent.len() + 1) else {
        return false;
    };
    let Some((label, end)) = name.split_at_checked(split) else {
        return false;
    };
    !label.is_empty()
        && end
            .strip_prefix('.')
            .is_some_and(|end| end.eq_ignore_ascii_case(parent))
}

/// Returns the address if the host is an address and not a name.
fn address_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(literal) => literal
            .strip_suffix(']')?
            .parse::<IpAddr>()
            .ok()
            .filter(IpAddr::is_ipv6)
            .map(|address| address.to_canonical()),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Parses `host [":" port]`; user info is refused, and so are escapes, which parsers resolve differently.
fn authority_host(authority: &str) -> Option<Host<'_>> {
    if authority.starts_with('[') {
        let close = authority.find(']')?;
        let (literal, port) = authority.split_at_checked(close + 1)?;
        return if is_port(port) {
            address_of(literal).map(Host::Address)
        } else {
            None
        };
    }
    let colon = authority.find(':').unwrap_or(authority.len());
    let (name, port) = authority.split_at_checked(colon)?;
    if !is_port(port) || !name.bytes().all(|byte| is_unreserved(byte) || is_sub_delim(byte)) {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if let Some(address) = address_of(name) {
        return Some(Host::Address(address));
    }
    (!name.is_empty() && !ends_in_number(name)).then_some(Host::Name(name))
}

/// True for an empty text, or a colon with any number of digits.
fn is_port(port: &str) -> bool {
    port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// True for a valid path, query and fragment: their characters and escapes, at most one `#`.
fn is_tail(tail: &str) -> bool {
    let mut bytes = tail.bytes();
    let mut fragment = false;
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                hex() && hex()
            }
            b'#' => !std::mem::replace(&mut fragment, true),
            b'/' | b'?' | b':' | b'@' => true,
            other => is_unreserved(other) || is_sub_delim(other),
        };
        if !fine {
            return false;
        }
    }
    true
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_sub_delim(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, address) in [
            ("x://10.0.0.1?q", "10.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://[::1]:80/", "::1"),
            ("http://[::ffff:127.0.0.1]/", "127.0.0.1"),
            ("http://[::ffff:7f00:1]/", "127.0.0.1"),
        ] {
            assert_eq!(host(url), Some(Host::Address(address.parse().unwrap())), "{url}");
        }
        let list = ["127.0.0.1", "[::ffff:10.0.0.1]"].map(|host| HostPattern::Exact(host.into()));
        for (url, is_in) in [
            ("http://127.0.0.1/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://[::FFFF:7F00:1]/", true),
            ("http://10.0.0.1/", true),
            ("http://127.0.0.2/", false),
            ("http://[::127.0.0.1]/", false),
        ] {
            assert_eq!(host_in(&host(url).unwrap(), &list), is_in, "{url}");
        }
    }

    #[test]
    fn hosts() {
        for (url, name) in [
            ("https://example.com", "example.com"),
            ("HTTP://Example.COM./x", "Example.COM"),
            ("git+ssh://h:22/x?y=@z#a/?", "h"),
            ("https://example.com:/", "example.com"),
            ("https://a_b~c/%41", "a_b~c"),
            ("http://7f.example/", "7f.example"),
            ("http://1.2.3.4.example", "1.2.3.4.example"),
            ("http://1.2.3.a4", "1.2.3.a4"),
            ("http://1e3/", "1e3"),
            ("http://0xg/", "0xg"),
            ("https://evil.net/?example.com", "evil.net"),
            ("https://evil.net#@example.com", "evil.net"),
        ] {
            assert_eq!(host(url), Some(Host::Name(name)), "{url}");
        }
    }

    #[test]
    fn refused() {
        for url in [
            "",
            "example.com",
            "/x",
            "//example.com/",
            "https:example.com",
            "https:/example.com",
            "https:///x",
            "https://:80/",
            "https://./",
            "1http://h/",
            "ht tp://h/",
            "://h/",
            "https://user@h/",
            "https://@h/",
            "https://u:p@h/",
            "https://h:80a/",
            "https://h:80:80/",
            "https://evil.net\\@example.com/",
            "https:\\\\h/",
            "https://h/\\x",
            "https://h /",
            " https://h/",
            "https://h/a b",
            "https://h/\n",
            "https://h\t/",
            "https://h\u{7f}/",
            "https://example%2ecom/",
            "https://exämple.com/",
            "https://h/ä",
            "https://h/%4",
            "https://h/%zz",
            "https://h/#a#b",
            "https://h/[x]",
            "https://[::1/",
            "https://[::1]x/",
            "https://[fe80::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            "https://[1.2.3.4]/",
            "https://[]/",
            "http://127.1/",
            "http://127.0.1:80/",
            "http://2130706433",
            "http://0x7f.1/",
            "http://0x7F000001?",
            "http://0177.0.0.1/",
            "http://127.0.0.01/",
            "http://127.1./",
            "http://127.0.0.1../",
            "http://1.2.3.4.5/",
            "http://1.2.3.256/",
            "http://0x/",
            "http://1.2.3.0x",
            "http://09/",
            "http://example.1/",
            "http://example.0XA./",
        ] {
            assert_eq!(host(url), None, "{url:?}");
        }
    }

    #[test]
    fn lists() {
        let list = [
            HostPattern::Exact("example.com".into()),
            HostPattern::Below("example.org".into()),
            HostPattern::Exact("[::1]".into()),
        ];
        for url in [
            "https://EXAMPLE.com./",
            "https://a.example.org/",
            "https://a.b.Example.ORG.",
            "x://[0:0::0:1]",
        ] {
            assert!(host_in(&host(url).unwrap(), &list), "{url}");
        }
        for url in [
            "https://example.org/",
            "https://.example.org/",
            "https://xexample.org/",
            "https://example.com.evil.net/",
            "https://[::2]/",
            "https://a.example.com/",
        ] {
            assert!(!host_in(&host(url).unwrap(), &list), "{url}");
        }
    }
}
