//! Hosts of URLs, addresses and networks (`docs/policy.md` section 3; RFC 3986).

use std::net::{IpAddr, Ipv6Addr};

/// The host of an absolute URL, lower-cased, without a final dot.
pub(crate) fn host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let mut letters = scheme.chars();
    if !letters.next()?.is_ascii_alphabetic()
        || !letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if !is_tail(tail) {
        return None;
    }
    let host = if let Some(literal) = authority.strip_prefix('[') {
        let (inside, port) = literal.split_once(']')?;
        inside.parse::<Ipv6Addr>().ok()?;
        is_port(port).then(|| format!("[{inside}]"))?
    } else {
        let (name, port) = match authority.find(':') {
            Some(colon) => authority.split_at(colon),
            None => (authority, ""),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c);
        (is_port(port) && name.chars().all(plain) && !is_crooked_address(name)).then(|| name.to_owned())?
    };
    let host = plain_host(&host);
    (!host.is_empty()).then_some(host)
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.chars().all(|c| c.is_ascii_digit()))
}

/// Returns whether a text is a path, query and fragment according to RFC 3986.
fn is_tail(tail: &str) -> bool {
    let (before, fragment) = tail.split_once('#').unwrap_or((tail, ""));
    [before, fragment].iter().all(|part| {
        let mut rest = part.chars();
        while let Some(c) = rest.next() {
            let fine = if c == '%' {
                let mut digit = || rest.next().is_some_and(|c| c.is_ascii_hexdigit());
                digit() && digit()
            } else {
                c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?".contains(c)
            };
            if !fine {
                return false;
            }
        }
        true
    })
}

/// Returns whether a name has a number as its last label, but is not four plain numbers.
fn is_crooked_address(name: &str) -> bool {
    let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    let last = labels.last().copied().unwrap_or_default().to_ascii_lowercase();
    let is_number = match last.strip_prefix("0x") {
        Some(digits) => digits.chars().all(|c| c.is_ascii_hexdigit()),
        None => !last.is_empty() && last.chars().all(|c| c.is_ascii_digit()),
    };
    let is_plain = |label: &&str| label.parse::<u8>().is_ok_and(|byte| byte.to_string() == **label);
    let dots = name.len() - name.trim_end_matches('.').len();
    is_number && !(labels.len() == 4 && labels.iter().all(is_plain) && dots <= 1)
}

fn plain_host(host: &str) -> String {
    let lower = host.to_ascii_lowercase();
    if let Some(inside) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && let Ok(six) = inside.parse::<Ipv6Addr>()
    {
        return match six.to_ipv4_mapped() {
            Some(four) => four.to_string(),
            None => format!("[{six}]"),
        };
    }
    lower.strip_suffix('.').map_or(lower.clone(), str::to_owned)
}

/// Returns whether a host equals the listed one, or is below `*.example.com`.
pub(crate) fn is_host(host: &str, listed: &str) -> bool {
    let listed = plain_host(listed);
    match listed.strip_prefix("*.") {
        Some(parent) => host
            .strip_suffix(parent)
            .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => host == listed,
    }
}

/// An address; an IPv4-mapped one counts as IPv4.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Returns whether an address lies in a network, or equals the bare address.
pub(crate) fn is_inside(address: IpAddr, network: &str) -> bool {
    let (base, prefix) = match network.split_once('/') {
        Some((base, prefix)) => (base, prefix.parse::<usize>().ok()),
        None => (network, None),
    };
    let Ok(base) = base.parse::<IpAddr>() else {
        return false;
    };
    // Both as IPv6, so that mapped networks need no special case.
    let bits = |address: IpAddr| {
        let six = match address {
            IpAddr::V4(four) => four.to_ipv6_mapped(),
            IpAddr::V6(six) => six,
        };
        format!("{:0128b}", six.to_bits())
    };
    let prefix = match (base, prefix) {
        (_, None) => 128,
        (IpAddr::V4(_), Some(prefix)) => prefix + 96,
        (IpAddr::V6(_), Some(prefix)) => prefix,
    };
    // An IPv6 network as wide as `::/0` contains no IPv4 addresses: those are mapped, not routed.
    if address.is_ipv4() && prefix < 96 {
        return false;
    }
    bits(address).get(..prefix) == bits(base).get(..prefix)
}
