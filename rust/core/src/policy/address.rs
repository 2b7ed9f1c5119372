//! The values of `path_within`, `host_in` and `cidr_in`: folders, hosts and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ast::{HostPattern, Network};
use super::read::{Node, Read, quoted};
use crate::address::ends_in_number;

/// A normalised folder: `.`, `..` and empty segments resolved, without a final slash; the root is empty.
pub(super) fn folder(node: &Node) -> Read<String> {
    let text = node.string("an absolute path")?;
    if !text.starts_with('/') {
        return Err(node.error(format!(
            "expected an absolute path such as `/data`, got {}",
            quoted(text)
        )));
    }
    if text.contains('\0') {
        return Err(node.error(format!(
            "the path {} holds a NUL character; remove it",
            quoted(text)
        )));
    }
    let mut segments = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    Ok(segments.iter().flat_map(|segment| ["/", segment]).collect())
}

/// A host, or `*.` followed by the parent of the allowed hosts.
pub(super) fn host(node: &Node) -> Read<HostPattern> {
    let text = node.string("a host")?;
    let lower = text.to_ascii_lowercase();
    let refuse = |reason: &str| {
        node.error(format!(
            "expected a host such as `example.com` or `*.example.com`, got {}: {reason}",
            quoted(text)
        ))
    };
    if let Some(literal) = lower.strip_prefix('[') {
        let address = literal
            .strip_suffix(']')
            .ok_or_else(|| refuse("it has no closing `]`, or something after it"))?;
        address
            .parse::<Ipv6Addr>()
            .map_err(|_| refuse("in brackets stands an IPv6 address"))?;
        return Ok(HostPattern::Exact(lower));
    }
    let (below, name) = match lower.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, lower.as_str()),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    check_host(name).map_err(refuse)?;
    if ends_in_number(name) && (below || name.parse::<Ipv4Addr>().is_err()) {
        return Err(refuse(
            "its last label is a number, so it must be a whole IPv4 address such as `127.0.0.1`",
        ));
    }
    let name = name.to_owned();
    Ok(if below {
        HostPattern::Below(name)
    } else {
        HostPattern::Exact(name)
    })
}

fn check_host(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.contains("//") {
        return Err("leave out the scheme");
    }
    for character in name.chars() {
        // The characters of a host name in RFC 3986, without `*` (a wildcard here) and `%`.
        match character {
            'a'..='z'
            | '0'..='9'
            | '-'
            | '.'
            | '_'
            | '~'
            | '!'
            | '$'
            | '&'
            | '\''
            | '('
            | ')'
            | '+'
            | ','
            | ';'
            | '=' => {}
            '*' => return Err("`*` may stand only as the whole first label, before a dot"),
            ':' => return Err("leave out the port, and write an IPv6 address in brackets"),
            '/' => return Err("leave out the path"),
            '@' => return Err("leave out the user information"),
            character if !character.is_ascii() => {
                return Err("write its ASCII form, which begins with `xn--`");
            }
            _ => return Err("it holds a character that no host has"),
        }
    }
    if name.split('.').any(str::is_empty) {
        return Err("it has an empty label");
    }
    Ok(())
}

/// A network in CIDR notation; a bare address is a network with one address.
pub(super) fn network(node: &Node) -> Read<Network> {
    let text = node.string("a network")?;
    parse_network(text).map_err(|reason| {
        node.error(format!(
            "expected a network such as `10.0.0.0/8`, got {}: {reason}",
            quoted(text)
        ))
    })
}

fn parse_network(text: &str) -> Result<Network, String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    if address.contains('%') {
        return Err("a network has no zone id".to_owned());
    }
    let address: IpAddr = address
        .parse()
        .map_err(|_| "before the slash stands an IP address".to_owned())?;
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits,
        Some(digits) => Some(digits)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|digits| *digits == "0" || !digits.starts_with('0'))
            .and_then(|digits| digits.parse().ok())
            .filter(|prefix| *prefix <= bits)
            .ok_or_else(|| format!("after the slash stands a number from 0 to {bits}"))?,
    };
    let (network, has_host_bits) = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
            (
                IpAddr::from((u32::from(v4) & mask).to_be_bytes()),
                u32::from(v4) & !mask != 0,
            )
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
            (
                IpAddr::from((u128::from(v6) & mask).to_be_bytes()),
                u128::from(v6) & !mask != 0,
            )
        }
    };
    if has_host_bits {
        return Err(format!(
            "bits after the prefix are set; write `{network}/{prefix}`"
        ));
    }
    // Calls treat IPv4-mapped addresses as IPv4, so a network within `::ffff:0:0/96` is an IPv4 network. A wider
    // network stays IPv6 and contains no IPv4 address.
    Ok(match network {
        IpAddr::V6(v6) if prefix >= 96 => match v6.to_ipv4_mapped() {
            Some(v4) => Network {
                address: IpAddr::V4(v4),
                prefix: prefix - 96,
            },
            None => Network {
                address: network,
                prefix,
            },
        },
        _ => Network {
            address: network,
            prefix,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::{Content, Position};
    use super::*;

    fn node(text: &str) -> Node {
        Node {
            at: Position::START,
            content: Content::String(text.to_owned()),
        }
    }

    #[test]
    fn folders_are_normalised() {
        for (text, folder_text) in [
            ("/", ""),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("//a/./b/../c//", "/a/c"),
            ("/../..", ""),
            ("/a/..b", "/a/..b"),
        ] {
            assert_eq!(folder(&node(text)).unwrap(), folder_text, "{text}");
        }
        for text in ["", "a", "./a", "~/a", "/a\0b"] {
            assert!(folder(&node(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_lower_case_without_final_dot() {
        let exact = |text: &str| HostPattern::Exact(text.to_owned());
        let below = |text: &str| HostPattern::Below(text.to_owned());
        for (text, pattern) in [
            ("example.com", exact("example.com")),
            ("10.0.0.1.", exact("10.0.0.1")),
            ("0x7f.example", exact("0x7f.example")),
            ("Example.COM.", exact("example.com")),
            ("*.Example.com", below("example.com")),
            ("localhost", exact("localhost")),
            ("[::1]", exact("[::1]")),
            ("[2001:DB8::1]", exact("[2001:db8::1]")),
            ("10.0.0.1", exact("10.0.0.1")),
            ("a_b.example", exact("a_b.example")),
        ] {
            assert_eq!(host(&node(text)).unwrap(), pattern, "{text}");
        }
        for (text, reason) in [
            ("", "it is empty"),
            (".", "it is empty"),
            ("*", "`*` may stand only"),
            ("*.", "it is empty"),
            ("*.*.com", "`*` may stand only"),
            ("a*.com", "`*` may stand only"),
            ("https://example.com", "leave out the scheme"),
            ("example.com:443", "leave out the port"),
            ("::1", "leave out the port, and write an IPv6 address in brackets"),
            ("example.com/x", "leave out the path"),
            ("me@example.com", "leave out the user information"),
            (".example.com", "it has an empty label"),
            ("example.com..", "it has an empty label"),
            ("bücher.de", "xn--"),
            ("127.1", "whole IPv4 address"),
            ("0x7f000001", "whole IPv4 address"),
            ("127.0.0.01", "whole IPv4 address"),
            ("*.0.0.1", "whole IPv4 address"),
            ("example.1.", "whole IPv4 address"),
            ("a b", "no host has"),
            ("a%41", "no host has"),
            ("[::1", "no closing"),
            ("[::1]:80", "no closing"),
            ("[10.0.0.1]", "IPv6 address"),
        ] {
            let message = host(&node(text)).unwrap_err().message;
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn networks() {
        for (text, address, prefix) in [
            ("10.0.0.0/8", "10.0.0.0", 8),
            ("10.1.2.3", "10.1.2.3", 32),
            ("0.0.0.0/0", "0.0.0.0", 0),
            ("2001:db8::/32", "2001:db8::", 32),
            ("::1", "::1", 128),
            ("::/0", "::", 0),
            ("::ffff:10.0.0.0/104", "10.0.0.0", 8),
            ("::ffff:10.0.0.1", "10.0.0.1", 32),
            ("::ffff:0:0/96", "0.0.0.0", 0),
            ("::/80", "::", 80),
        ] {
            let expected = Network {
                address: address.parse().unwrap(),
                prefix,
            };
            assert_eq!(network(&node(text)).unwrap(), expected, "{text}");
        }
        for (text, reason) in [
            ("10.0.0.1/8", "write `10.0.0.0/8`"),
            ("2001:db8::1/32", "write `2001:db8::/32`"),
            ("::ffff:0:0/95", "write `::fffe:0:0/95`"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/", "from 0 to 32"),
            ("10.0.0.0/+8", "from 0 to 32"),
            ("10.0.0.0/08", "from 0 to 32"),
            ("10.0.0.0/8/8", "from 0 to 32"),
            ("fe80::1%eth0", "no zone id"),
            ("10.0.0", "an IP address"),
            ("010.0.0.1", "an IP address"),
            ("example.com", "an IP address"),
            ("", "an IP address"),
        ] {
            let message = network(&node(text)).unwrap_err().message;
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
